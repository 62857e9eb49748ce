package fairness

import (
	"context"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// lending is how often levels lend each other seats.
const lending = 10 * time.Second

// Source reads what is stored now. The objects must not change.
type Source func(ctx context.Context) ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration, error)

// Run keeps the configuration what stored says, read anew with each of changed, and lends seats, until ctx ends.
func (c *Controller) Run(ctx context.Context, changed <-chan struct{}, stored Source) error {
	tick := c.Clock.NewTimer(lending)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C():
			c.Adjust()
			tick.Reset(lending)
		case <-changed:
			schemas, levels, err := stored(ctx)
			if err == nil {
				c.Configure(schemas, levels)
			} else if ctx.Err() == nil {
				c.Log.Warn("priority and fairness goes on as configured before", "err", err)
			}
		}
	}
}
