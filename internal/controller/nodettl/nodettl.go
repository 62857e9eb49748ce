// Package nodettl tells kubelets how long they may keep what they have read of secrets and config maps: longer in larger clusters.
//
// # Vocabulary and laws
//
// The annotation node.alpha.kubernetes.io/ttl of a node is a number of seconds. It follows from the number of nodes by steps that overlap: a cluster goes to a higher one when it
// is larger than its own allows, and back when it is smaller. A node is told when it is new and when something of it changes, as upstream does it. One node
// costs O(1); all are counted when the count of changes says that a step is left, and once in ten minutes, since nodes may go unseen. Lock: controller.mu is a leaf.
package nodettl

import (
	"math"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// step is what belongs to clusters of min to max nodes.
type step struct{ min, max, seconds int }

func steps() []step {
	return []step{{0, 100, 0}, {90, 500, 15}, {450, 1000, 30}, {900, 2000, 60}, {1800, math.MaxInt, 300}}
}

// New returns the controller, which remembers how many nodes there are: it is run once.
func New() engine.Controller {
	c := &controller{known: map[string]bool{}}
	return engine.Controller{
		Name: "ttl", Component: "ttl-controller", User: "system:serviceaccount:kube-system:ttl-controller",
		Inputs: []engine.Input{{Resource: nodes(), Keys: func(_ client.View, change client.Change) []engine.Key {
			return []engine.Key{{Resource: nodes(), Name: change.Newest().GetName()}}
		}}},
		Outputs: []engine.Output{{Resource: nodes(), Fields: []string{"metadata.annotations[" + corev1.ObjectTTLAnnotationKey + "]"}}},
		Workers: 5, Queue: "ttlcontroller", Reconcile: c.reconcile,
	}
}

type controller struct {
	mu    sync.Mutex // guards all below
	known map[string]bool
	at    int       // which step
	exact time.Time // when all were counted last
}

// recount is how long the count of changes is trusted.
const recount = 10 * time.Minute

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	n, ok := view.Get(nodes(), "", key.Name).(*corev1.Node)
	want := strconv.Itoa(c.count(view, key.Name, ok, now))
	if !ok {
		return engine.Plan{}, nil
	}
	if has, err := strconv.Atoi(n.Annotations[corev1.ObjectTTLAnnotationKey]); err == nil && strconv.Itoa(has) == want {
		return engine.Plan{}, nil
	}
	fields := map[string]any{"metadata": map[string]any{"annotations": map[string]string{corev1.ObjectTTLAnnotationKey: want}}}
	return engine.Plan{Writes: []engine.Write{engine.NewPatch(nodes(), n, fields)}}, nil
}

// count takes in that a node is there or not, and returns the seconds that belong to as many nodes as there are now.
func (c *controller) count(view client.View, name string, there bool, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there {
		c.known[name] = true
	} else {
		delete(c.known, name)
	}
	if next(c.at, len(c.known)) != c.at || now.Sub(c.exact) >= recount {
		c.exact = now
		clear(c.known)
		for obj := range view.List(nodes(), "") {
			c.known[obj.GetName()] = true
		}
		c.at = next(c.at, len(c.known))
	}
	return steps()[c.at].seconds
}

// next is the step of a cluster of so many nodes that was at a step.
func next(at, count int) int {
	for list := steps(); ; {
		switch {
		case count > list[at].max:
			at++
		case count < list[at].min:
			at--
		default:
			return at
		}
	}
}
