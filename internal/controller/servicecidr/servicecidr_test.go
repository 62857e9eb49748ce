package servicecidr_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/servicecidr"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

func cidr(name, text string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{text}}}
}

// TestRangesAreHeldByTheirAddresses: one that is deleted stays until nothing of it would be left without a range, and a while longer.
func TestRangesAreHeldByTheirAddresses(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(servicecidr.New())
	pass := func(d time.Duration) {
		b.Settle()
		b.Clock.Step(d)
		b.Settle()
	}
	ready := func(step, name, status string) {
		t.Helper()
		got := "gone"
		if c := bed.Get[*networkingv1.ServiceCIDR](b, allocation.Ranges, "", name); c != nil && len(c.Finalizers) == 1 && len(c.Status.Conditions) == 1 {
			got = string(c.Status.Conditions[0].Status) + c.Status.Conditions[0].Reason
			by := func(e metav1.ManagedFieldsEntry) bool {
				return e.Manager == "service-cidr-controller" && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "status"
			}
			if !slices.ContainsFunc(c.ManagedFields, by) {
				t.Errorf("%s: the condition is nobody's that applies: %v", step, c.ManagedFields)
			}
		}
		if got != status {
			t.Errorf("%s: %s, want %s", step, got, status)
		}
	}
	b.Put(allocation.Ranges, cidr("new", "10.1.0.0/24"))
	pass(time.Second)
	ready("new", "new", "True")
	addr, _ := allocation.Parse("10.1.0.1")
	owner := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
	b.Put(allocation.Addresses, allocation.NewAddress(addr, owner))
	b.Remove(allocation.Ranges, "", "new")
	pass(time.Minute)
	ready("in use", "new", "FalseTerminating")
	b.Put(allocation.Ranges, cidr("wide", "10.1.0.0/16"))
	pass(time.Minute)
	ready("covered by another", "new", "gone")
	b.Put(allocation.Ranges, cidr("within", "10.1.7.0/24"))
	b.Settle()
	begun := b.Clock.Now()
	b.Remove(allocation.Ranges, "", "within")
	b.Settle()
	ready("when every server has heard", "within", "gone")
	if waited := b.Clock.Since(begun); waited < 9*time.Second { // deletions are told to the second
		t.Errorf("it was let go after %v", waited)
	}
	b.Remove(allocation.Ranges, "", "wide")
	pass(time.Minute)
	ready("the last one", "wide", "FalseTerminating")
	b.Remove(allocation.Addresses, "", "10.1.0.1")
	pass(time.Minute)
	ready("no longer in use", "wide", "gone")
}
