package controllertest

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
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
		stored, _, err := do(ctx, c, w)
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

// do does one write, and returns what is stored now and the revision of that; nil for a deletion.
func do(ctx context.Context, c client.Client, w engine.Write) (stored kinds.Object, rev uint64, err error) {
	switch w.Verb {
	case engine.Create:
		stored, err = c.Create(ctx, w.Resource, w.Object, metav1.CreateOptions{})
	case engine.Update:
		stored, err = c.Update(ctx, w.Resource, w.Object, w.Subresource)
	case engine.Delete:
		rev, err = c.Delete(ctx, w.Resource, w.Namespace, w.Name, w.Options)
		if apierrors.IsNotFound(err) {
			err = nil
		}
	}
	if err == nil && stored != nil {
		rev = revisionOf(stored)
	}
	return stored, rev, err
}
