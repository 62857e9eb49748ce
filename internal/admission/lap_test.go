package admission

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestRulesWithoutAPlace: what is asked as a plug-in and is none, as a definition's own rule, is counted with all, and by no name.
func TestRulesWithoutAPlace(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(time.Unix(1, 0))
	m := NewMetrics(clk)
	watch := m.start(admits, &Attributes{Operation: Create})
	watch.lap(rank("CustomResourceTerminating"), nil)
	watch.stop(nil)
	if named, all := testutil.CollectAndCount(m.plugins), testutil.CollectAndCount(m.steps); named != 0 || all != 1 {
		t.Errorf("%d series of plug-ins and %d of all, want 0 and 1", named, all)
	}
}
