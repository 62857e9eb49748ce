package endpoints_test

import (
	"fmt"
	"iter"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/endpoints"
	"github.com/floe-k8s/floe/internal/controller/endpointslice"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// crowd is a service of many pods on one node, and what was made of it.
type crowd struct {
	service *corev1.Service
	node    *corev1.Node
	pods    []*corev1.Pod
	made    map[client.Resource][]kinds.Object
}

func (c *crowd) Revision() uint64 { return 1 }

func (c *crowd) Get(res client.Resource, _, _ string) kinds.Object {
	switch res.Resource {
	case "services":
		return c.service
	case "nodes":
		return c.node
	}
	for _, obj := range c.made[res] {
		return obj
	}
	return nil
}

func (c *crowd) List(client.Resource, string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, p := range c.pods {
			if !yield(p) {
				return
			}
		}
	}
}

func (c *crowd) Lookup(res client.Resource, _, _ string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, obj := range c.made[res] {
			if !yield(obj) {
				return
			}
		}
	}
}

func gather(n int) *crowd {
	web := map[string]string{"app": "web"}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "default", Name: name, Labels: web}
	}
	c := &crowd{service: &corev1.Service{ObjectMeta: meta("web")}, node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, made: map[client.Resource][]kinds.Object{}}
	c.service.Spec = corev1.ServiceSpec{ClusterIP: "10.0.0.1", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Selector: web,
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP}}}
	for i := range n {
		p := &corev1.Pod{ObjectMeta: meta(fmt.Sprintf("p%05d", i))}
		ip := fmt.Sprintf("10.%d.%d.%d", 1+i/62500, i/250%250, i%250+1)
		p.Spec.NodeName, p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = "n", corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Unix(int64(1_000_000+i), 0))}}
		c.pods = append(c.pods, p)
	}
	return c
}

// BenchmarkCrowd is what one pod's change costs a service of 6000 pods.
func BenchmarkCrowd(b *testing.B) {
	for _, controller := range []engine.Controller{endpointslice.New(), endpoints.New()} {
		b.Run(controller.Name, func(b *testing.B) {
			c := gather(6000)
			key := engine.Key{Resource: endpointslice.Services(), Namespace: "default", Name: "web"}
			look := func() engine.Plan {
				plan, err := controller.Reconcile(c, key, time.Time{})
				if err != nil || plan.Failed != nil {
					b.Fatal(err, plan.Failed)
				}
				return plan
			}
			for i, w := range look().Writes {
				w.Object.SetName(fmt.Sprint("web-", i))
				if s, ok := w.Object.(*discoveryv1.EndpointSlice); ok {
					c.made[endpointslice.Resource()] = append(c.made[endpointslice.Resource()], s)
				} else {
					c.made[endpoints.Resource()] = append(c.made[endpoints.Resource()], w.Object)
				}
			}
			states := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				c.pods[3000].Status.Conditions[0].Status = states[n%2]
				if got := len(look().Writes); got > 1 {
					b.Fatalf("%d writes, want at most one", got)
				}
			}
		})
	}
}
