package claims

import (
	"fmt"
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// BenchmarkDecide places pods with a claim for one device each on 5,000 nodes with eight: decided, reserved, counted.
func BenchmarkDecide(b *testing.B) {
	const nodes, devices = 5000, 8
	table := place.NewTable()
	r := New(table, Config{Clock: still{}})
	r.SetClass(class("gpu"))
	for i := range nodes {
		name := fmt.Sprintf("node-%04d", i)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110")}
		table.SetNode(n)
		s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: name}}
		s.Spec.NodeName, s.Spec.Driver, s.Spec.Pool = &name, "gpu", resourcev1.ResourcePool{Name: name, ResourceSliceCount: 1}
		for d := range devices {
			s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{Name: fmt.Sprint("d", d)})
		}
		r.SetSlice(s)
	}
	policy, rng := policyOf(b, r), rand.New(rand.NewSource(1))
	place := func(i int) {
		name := fmt.Sprint("c", i)
		c := gpuClaim(name)
		c.UID = types.UID(name)
		r.SetClaim(c)
		pod := user(name)
		pod.UID = types.UID(fmt.Sprint("p", i))
		plan, err := table.Decide(pod, policy, rng, nil)
		if err != nil || plan.Node == "" {
			b.Fatalf("%d: %+v, %v", i, plan, err)
		}
		list, err := r.Reserve(pod, plan.Node)
		if err != nil {
			b.Fatal(err)
		}
		table.SetPod(pod, plan.Node)
		written := c.DeepCopy()
		written.Status.Allocation = list[0].Allocation
		r.SetClaim(written)
		if i >= nodes { // so that devices do not run out
			table.RemovePod(types.UID(fmt.Sprint("p", i-nodes)))
			r.RemoveClaim("x", fmt.Sprint("c", i-nodes))
		}
	}
	place(-1) // asks all nodes
	b.ResetTimer()
	for i := range b.N {
		place(i)
	}
}
