package nodettl

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
)

func TestSteps(t *testing.T) {
	at := 0
	for _, c := range []struct{ count, seconds int }{
		{0, 0}, {100, 0}, {101, 15}, {95, 15}, {89, 0}, {95, 0}, {501, 30}, {450, 30}, {449, 15}, {5000, 300}, {1800, 300}, {1799, 60}, {1, 0},
	} {
		if at = next(at, c.count); steps()[at].seconds != c.seconds {
			t.Errorf("%d nodes: %d seconds, want %d", c.count, steps()[at].seconds, c.seconds)
		}
	}
}

// TestNodesAreTold: each node has the seconds of the cluster's size once something of it has changed, whatever it said before.
func TestNodesAreTold(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(New())
	ttl := func(name string) string {
		return bed.Get[*corev1.Node](b, nodes(), "", name).Annotations[corev1.ObjectTTLAnnotationKey]
	}
	for i := range 101 {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}}
		if i == 1 {
			n.Annotations = map[string]string{corev1.ObjectTTLAnnotationKey: "soon"}
		}
		if i == 100 {
			b.Settle()
			if a, c := ttl("n0"), ttl("n1"); a != "0" || c != "0" {
				t.Errorf("100 nodes: %q, %q", a, c)
			}
		}
		b.Put(nodes(), n)
	}
	b.Settle()
	bed.Change(b, nodes(), "", "n1", "", func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} })
	b.Settle()
	if old, changed, fresh := ttl("n0"), ttl("n1"), ttl("n100"); old != "0" || changed != "15" || fresh != "15" {
		t.Errorf("101 nodes: %q, changed %q, new %q", old, changed, fresh)
	}
	for i := range 12 {
		b.Remove(nodes(), "", fmt.Sprintf("n%d", i+1))
	}
	b.Chance(200, func() {})
	b.Clock.Step(recount)
	bed.Change(b, nodes(), "", "n100", "", func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} })
	b.Settle()
	if got := ttl("n100"); got != "0" {
		t.Errorf("89 nodes: %q", got)
	}
}
