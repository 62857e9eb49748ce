package fairness

import (
	"testing"
	"testing/synctest"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// TestCounted: what is only counted shows in the metrics of its flow schema, takes no seat from others, and runs where there is none.
func TestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(1)
		c.Configure([]*flowcontrolv1.FlowSchema{everyone("all", "one", 2)}, []*flowcontrolv1.PriorityLevelConfiguration{limited("one", 100, 0, 0)})
		part, ticket := get("part"), &Ticket{}
		if !c.Enter(t.Context(), ticket, get("user"), 0) {
			t.Fatal("an empty level refused")
		}
		var ends []func()
		for range 3 {
			ends = append(ends, c.Count(part.User, part.Attributes))
		}
		tally := ticket.tally
		if tally.schema != "all" || tally.running != 4 || tally.inUse != 1 || tally.dispatched != 4 {
			t.Errorf("schema %s: %d run with %d seats, %d began; want 4, 1 and 4", tally.schema, tally.running, tally.inUse, tally.dispatched)
		}
		ticket.Leave()
		if !c.Enter(t.Context(), ticket, get("user"), 0) {
			t.Error("three that are counted have taken the seat")
		}
		ticket.Leave()
		time.Sleep(time.Second)
		for _, end := range ends {
			end()
		}
		if tally.running != 0 || tally.inUse != 0 || tally.dispatched != 5 || tally.ran.sum != 3 {
			t.Errorf("at the end %d run with %d seats, %d began and took %v s; want 0, 0, 5 and 3", tally.running, tally.inUse, tally.dispatched, tally.ran.sum)
		}
	})
}
