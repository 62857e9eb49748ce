package admission_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// slow returns a chain of a pure plug-in that takes 10 ms, and one that takes 100 ms to admit and refuses what is deleted, and 2 s to charge.
func slow(clock *clocktesting.FakePassiveClock, metrics *admission.Metrics) (*kinds.Kind, admission.Chain) {
	pass := func(d time.Duration) { clock.SetTime(clock.Now().Add(d)) }
	k := &kinds.Kind{GVK: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: "pods", Admission: []kinds.Admission{{
		Plugin: "LimitRanger", Admit: func(kinds.Env, kinds.Object, kinds.Object, kinds.Reader) error {
			pass(10 * time.Millisecond)
			return nil
		},
	}}}
	return k, admission.NewChain([]admission.Plugin{{
		Name: "ResourceQuota",
		Admit: func(_ context.Context, a *admission.Attributes) error {
			pass(100 * time.Millisecond)
			if a.Operation == admission.Delete {
				return errors.New("no")
			}
			return nil
		},
		Charge: func(context.Context, *admission.Attributes) ([]kinds.Write, error) {
			pass(2 * time.Second)
			return nil, nil
		},
	}}, nil, metrics)
}

// TestMetrics: plug-ins that are asked are counted, each and together, by what was wished and what they said.
func TestMetrics(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	metrics := admission.NewMetrics(clock)
	k, chain := slow(clock, metrics)
	create := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Object: &corev1.Pod{}}
	for range 2 {
		if err := errors.Join(chain.Admit(t.Context(), create), chain.Validate(t.Context(), create)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chain.Charge(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	if err := chain.Admit(t.Context(), &admission.Attributes{Operation: admission.Delete, Kind: k, Type: k.GVK}); err == nil {
		t.Error("the deletion is admitted")
	}
	const want = `
# HELP apiserver_admission_step_admission_duration_seconds_summary Time that all admission plug-ins take together, in sum.
# TYPE apiserver_admission_step_admission_duration_seconds_summary summary
apiserver_admission_step_admission_duration_seconds_summary_sum{operation="CREATE",rejected="false",type="admit"} 0.22
apiserver_admission_step_admission_duration_seconds_summary_count{operation="CREATE",rejected="false",type="admit"} 2
apiserver_admission_step_admission_duration_seconds_summary_sum{operation="CREATE",rejected="false",type="validate"} 0
apiserver_admission_step_admission_duration_seconds_summary_count{operation="CREATE",rejected="false",type="validate"} 2
apiserver_admission_step_admission_duration_seconds_summary_sum{operation="DELETE",rejected="true",type="admit"} 0.1
apiserver_admission_step_admission_duration_seconds_summary_count{operation="DELETE",rejected="true",type="admit"} 1
`
	if err := testutil.CollectAndCompare(metrics, strings.NewReader(want), "apiserver_admission_step_admission_duration_seconds_summary"); err != nil {
		t.Error(err)
	}
	const plugins = "apiserver_admission_controller_admission_duration_seconds"
	if err := testutil.CollectAndCompare(metrics, strings.NewReader("# HELP "+plugins+" Time that an admission plug-in takes.\n# TYPE "+plugins+" histogram\n"+
		histogram(plugins, `name="LimitRanger",operation="CREATE",rejected="false",type="admit"`, "0.02", 0, 2, 2, 2, 2, 2)+
		histogram(plugins, `name="ResourceQuota",operation="CREATE",rejected="false",type="admit"`, "0.2", 0, 0, 2, 2, 2, 2)+
		histogram(plugins, `name="ResourceQuota",operation="CREATE",rejected="false",type="validate"`, "2", 0, 0, 0, 0, 0, 1)+
		histogram(plugins, `name="ResourceQuota",operation="DELETE",rejected="true",type="admit"`, "0.1", 0, 0, 1, 1, 1, 1)), plugins); err != nil {
		t.Error(err)
	}
}

// histogram is what is told of one; counts are those of its buckets.
func histogram(name, labels, sum string, counts ...int) string {
	var out strings.Builder
	for i, most := range [...]string{"0.005", "0.025", "0.1", "0.5", "1", "2.5"} {
		fmt.Fprintf(&out, "%s_bucket{%s,le=%q} %d\n", name, labels, most, counts[i])
	}
	all := counts[len(counts)-1]
	fmt.Fprintf(&out, "%s_bucket{%s,le=\"+Inf\"} %d\n%s_sum{%s} %s\n%s_count{%s} %d\n", name, labels, all, name, labels, sum, name, labels, all)
	return out.String()
}

// TestMetricsCostNothing: who does not count pays nothing, and who does makes nothing for it.
func TestMetricsCostNothing(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	k, chain := slow(clock, nil)
	create := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Object: &corev1.Pod{}}
	ask := func() {
		if err := chain.Admit(context.Background(), create); err != nil {
			t.Error(err)
		}
	}
	without := testing.AllocsPerRun(100, ask)
	_, chain = slow(clock, admission.NewMetrics(clock))
	if with := testing.AllocsPerRun(100, ask); with > without {
		t.Errorf("with metrics there are %v allocations, without %v", with, without)
	}
	full, lease := busy(admission.NewMetrics(clock))
	if made := testing.AllocsPerRun(100, func() {
		if err := errors.Join(full.Admit(context.Background(), lease), full.Validate(context.Background(), lease)); err != nil {
			t.Error(err)
		}
	}); made != 0 {
		t.Errorf("a write that all plug-ins pass makes %v allocations", made)
	}
}
