// Package cases makes small random clusters and pods to be scheduled on them, to ask two schedulers for the same decisions.
//
// A Case is a cluster as its API serves it: nodes, placed pods, pending pods, and whatever the rules of a family look at, defaulted as an API server
// stores them; perhaps a KubeSchedulerConfiguration; and the pods that are to be decided, each for itself on the case as it is. A family has one
// group of rules in mind and uses all their fields, in values from small sets, so that they meet. Rules that a family does not have in mind are kept
// quiet, so that a difference is found where it belongs; the families named mixture put all together.
//
// Laws: a family and a number make the same case on every machine, at every time; nothing here reads a clock, and no map is ranged over. A change of
// what is made asks for new answers: `make compare` records them in test/peers/recorded/scheduling, together with Sum, and a test holds Sum against
// them.
//
// What is in a Case may be shared between its objects and must not be changed.
package cases

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
)

// Case is a cluster and the pods to be decided.
type Case struct {
	Name          string                                  `json:"name"`                    // the family and the number
	Configuration *schedulerv1.KubeSchedulerConfiguration `json:"configuration,omitempty"` // nil: the defaults
	Objects       []runtime.Object                        `json:"objects"`                 // with kind and apiVersion; nodes by name first
	Ask           []string                                `json:"ask"`                     // namespace/name of pending pods
}

// Family is a group of rules to be tried.
type Family struct {
	Name   string
	traits []trait
}

// clusters is how many cases a family has.
const clusters = 100

// Count is how many cases the family has.
func (f Family) Count() int { return clusters }

// Case makes the family's case of a number from 0 to Count()-1.
func (f Family) Case(n int) (Case, error) {
	name := fmt.Sprintf("%s-%d", f.Name, n)
	seed := sha256.Sum256([]byte(name))
	w := &world{r: rand.New(rand.NewChaCha8(seed)), number: n}
	w.build(f.traits)
	c := Case{Name: name, Configuration: w.configuration}
	for _, n := range w.nodes {
		c.Objects = append(c.Objects, n)
	}
	c.Objects = append(c.Objects, w.objects...)
	for _, p := range w.pods {
		c.Objects = append(c.Objects, p)
	}
	for _, p := range w.asked {
		c.Objects = append(c.Objects, p)
		c.Ask = append(c.Ask, p.Namespace+"/"+p.Name)
	}
	for _, o := range c.Objects {
		gvks, _, err := scheme.Scheme.ObjectKinds(o)
		if err != nil {
			return Case{}, fmt.Errorf("case %s: %w", name, err)
		}
		o.GetObjectKind().SetGroupVersionKind(gvks[0])
	}
	return c, nil
}

// Sum is a checksum over cases, in their order. The zero value is ready for use.
type Sum struct{ of [sha256.Size]byte }

// Add adds a case.
func (s *Sum) Add(c Case) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("case %s: %w", c.Name, err)
	}
	s.of = sha256.Sum256(append(s.of[:], data...))
	return nil
}

// String is the checksum in hexadecimal digits.
func (s *Sum) String() string { return hex.EncodeToString(s.of[:]) }

// Families are all families, the simple ones first.
func Families() []Family {
	everything := []trait{resources, images, taints, nodeAffinity, ports, spread, softSpread, podAffinity, preferredAffinity, services}
	volumes := []trait{boundVolumes, unboundVolumes, volumeLimits, inlineVolumes}
	held := slices.Concat(everything, volumes, []trait{devices})
	return []Family{
		{"resources", []trait{resources}},
		{"strategies", []trait{resources, strategies}},
		{"resized", []trait{resources, resized}},
		{"taints", []trait{taints}},
		{"nodeaffinity", []trait{nodeAffinity}},
		{"addedaffinity", []trait{nodeAffinity, addedAffinity}},
		{"features", []trait{declaredFeatures}},
		{"ports", []trait{ports}},
		{"images", []trait{images}},
		{"spread", []trait{spread}},
		{"softspread", []trait{softSpread}},
		{"spreads", []trait{spread, softSpread, taints}},
		{"defaultspread", []trait{services}},
		{"defaultconstraints", []trait{services, defaultConstraints}},
		{"podaffinity", []trait{podAffinity}},
		{"preferredaffinity", []trait{preferredAffinity}},
		{"affinityweight", []trait{podAffinity, preferredAffinity, affinityWeight}},
		{"boundvolumes", []trait{boundVolumes}},
		{"unboundvolumes", []trait{unboundVolumes}},
		{"volumelimits", []trait{volumeLimits}},
		{"volumerestrictions", []trait{inlineVolumes}},
		{"volumes", []trait{blend(2, volumes)}},
		{"devices", []trait{devices}},
		{"allocateddevices", []trait{devices, allocatedDevices}},
		{"extendeddevices", []trait{extendedDevices}},
		{"preemption", []trait{crowd}},
		{"preemptionbudgets", []trait{crowd, budgets}},
		{"preemptionrules", []trait{crowd, blend(1, []trait{taints, ports, spread, podAffinity, resources, boundVolumes})}},
		{"nominated", []trait{nominated}},
		{"nominatedcrowd", []trait{crowd, nominated}},
		{"gates", []trait{gates}},
		{"weights", []trait{weights, blend(3, everything)}},
		{"mixture", []trait{blend(3, everything)}},
		{"mixturevolumes", []trait{blend(3, held)}},
		{"mixturecrowd", []trait{crowd, budgets, blend(2, held), nominated}},
	}
}

// trait is a group of rules that a family tries. Each part may be nil.
type trait struct {
	before func(*world)               // before the nodes are made
	node   func(*world, *corev1.Node) // for each node
	pod    func(*world, *corev1.Pod)  // for each pod before it is placed or asked for
	asked  func(*world, *corev1.Pod)  // for each pod that is asked for, last
	after  func(*world)               // when all pods that are placed are
}

// blend makes clusters for several groups of rules, and pods that use a few of them each: those that used all would fit nowhere.
func blend(few int, traits []trait) trait {
	return trait{
		before: func(w *world) {
			for _, t := range traits {
				call(t.before, w)
			}
		},
		node: func(w *world, n *corev1.Node) {
			for _, t := range traits {
				call2(t.node, w, n)
			}
		},
		pod: func(w *world, p *corev1.Pod) {
			for _, t := range some(w, few, traits) {
				call2(t.pod, w, p)
			}
		},
		asked: func(w *world, p *corev1.Pod) {
			for _, t := range some(w, few, traits) {
				call2(t.asked, w, p)
			}
		},
		after: func(w *world) {
			for _, t := range traits {
				call(t.after, w)
			}
		},
	}
}
