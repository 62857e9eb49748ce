package controllertest

import (
	"context"
	"fmt"
	"time"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// Step reconciles key once, without the engine's goroutines, and returns the messages of its events and whether
// anything was written.
func Step(ctx context.Context, c client.Client, ctl engine.Controller, key engine.Key, now time.Time) (events []string, wrote bool, err error) {
	view, err := c.View(ctx)
	if err != nil {
		return nil, false, err
	}
	plan, err := ctl.Reconcile(view, key, now)
	if err != nil {
		return nil, false, err
	}
	for _, w := range plan.Writes {
		stored, _, err := w.Do(ctx, c)
		if w.Event != nil {
			if ev := w.Event(stored, err); ev != nil {
				events = append(events, ev.Message)
			}
		}
		if err != nil {
			return events, true, fmt.Errorf("step %s: %w", key, err)
		}
	}
	for _, ev := range plan.Events {
		events = append(events, ev.Message)
	}
	return events, len(plan.Writes) > 0, nil
}
