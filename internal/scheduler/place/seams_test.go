package place

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestTrials thinks pods away and asks, on random worlds; the model asks where they are not.
func TestTrials(t *testing.T) {
	p, mended := policy(t), 0
	for seed := range int64(histories) {
		h := &history{Rand: rand.New(rand.NewSource(seed)), m: newModel(), t: NewTable()}
		for range 80 {
			h.step()
			o := h.pod()
			if len(h.m.nodes) == 0 {
				continue
			}
			if plan, err := h.t.Decide(o, p, h.Rand, nil); err != nil {
				t.Fatal(err)
			} else if plan.Node != "" {
				h.put(o, plan.Node)
				continue
			}
			mended += h.tryOn(t, fmt.Sprint("seed ", seed), o, p)
		}
	}
	if mended < histories {
		t.Errorf("%d pods would do where others go: the trials test too little", mended)
	}
}

func (h *history) tryOn(t *testing.T, what string, o *corev1.Pod, p *Policy) (mended int) {
	t.Helper()
	trial, failure, err := h.t.Try(o, p)
	if err != nil || trial == nil {
		t.Fatalf("%s: %v, %v", what, failure, err)
	}
	for node := range trial.Candidates {
		var victims []types.UID
		for v := range h.t.PodsOn(node) {
			if h.chance(60) && !v.Terminating { // upstream takes a terminating pod from a count that it is not in
				victims = append(victims, v.UID)
			}
		}
		q := h.m.ask(o, p)
		gone := func(v *corev1.Pod) bool { return slices.Contains(victims, v.UID) }
		q.world[node] = slices.DeleteFunc(slices.Clone(q.world[node]), gone)
		want := q.filter(node)
		if w, ok := q.with(node); ok {
			if s := w.filter(node); s != nil {
				want = s
			}
		}
		trial.On(node)
		for v := range h.t.PodsOn(node) {
			trial.Without(v.UID)
		}
		for v := range h.t.PodsOn(node) {
			if !slices.Contains(victims, v.UID) {
				trial.With(v.UID)
			}
		}
		if d := cmp.Diff(want, trial.Status()); d != "" {
			t.Fatalf("%s: pod %s on %s without %v (-want +got):\n%s", what, o.Name, node, victims, d)
		}
		if want == nil {
			mended++
		}
	}
	return mended
}

// volumes is a rule from outside: pods with a volume go where it is, and it can be said to be full.
type volumes struct {
	at    map[string][]string // by volume: nodes; those missing are anywhere
	full  map[string]bool     // by node
	asked int
}

func (v *volumes) Name() string { return "Volumes" }

func (v *volumes) Prepare(pod *corev1.Pod) (Prepared, error) {
	name := pod.Annotations["volume"]
	switch name {
	case "":
		return Prepared{}, nil
	case "broken":
		return Prepared{}, errors.New("broken volume")
	case "busy":
		return Prepared{Key: name, Refuse: refuse(Unschedulable, "", "volume is busy")}, nil
	case "lost":
		return Prepared{Refuse: refuse(Unresolvable, "", "volume is lost")}, nil
	}
	return Prepared{Key: name, Nodes: v.at[name], Provides: []corev1.ResourceName{"example.com/bay"},
		Filter: func(s Site) *Status {
			v.asked++
			users := 0
			for p := range s.Pods {
				users += len(p.Labels["uses"])
			}
			if v.full[s.Node.Name] || users > 0 {
				return refuse(Unschedulable, "", "node is full of volumes")
			}
			return nil
		},
		Score: func(s Site) int64 { return int64(s.Node.Name[0] - 'a') },
	}, nil
}

func TestRule(t *testing.T) {
	v := &volumes{at: map[string][]string{"near": {"a", "b"}, "nowhere": {}}, full: map[string]bool{}}
	p := policy(t, func(p *Profile) {
		p.Rules = []Rule{v}
		p.Filters, p.Scores = slices.Insert(p.Filters, 6, "Volumes"), append(p.Scores, Weighted{"Volumes", 50})
	})
	table, rng := NewTable(), rand.New(rand.NewSource(1))
	for _, name := range []string{"a", "b", "c"} {
		table.SetNode(node(name))
	}
	with := func(volume string) *corev1.Pod {
		return pod("p", 1, asks("example.com/bay", 1), func(p *corev1.Pod) { p.Annotations = map[string]string{"volume": volume} })
	}
	decide := func(volume, want string) {
		t.Helper()
		plan, err := table.Decide(with(volume), p, rng, nil)
		got := plan.Node
		if err != nil {
			got = err.Error()
		} else if plan.Failure != nil {
			got = plan.Failure.Message("") + fmt.Sprint(plan.Failure.Plugins)
		}
		if got != want {
			t.Errorf("volume %q: got %q, want %q", volume, got, want)
		}
	}
	decide("far", "c")
	decide("far", "c")
	if v.asked != 3 {
		t.Errorf("asked %d times about 3 nodes", v.asked)
	}
	decide("near", "b")
	decide("broken", `running PreFilter plugin "Volumes": broken volume`)
	decide("lost", "0/3 nodes are available: volume is lost.[Volumes]")
	decide("nowhere", "0/3 nodes are available: node(s) didn't satisfy plugin Volumes.[Volumes]")
	v.full["c"] = true
	table.Touch("c")
	decide("far", "b")
	table.SetPod(pod("x", 1, func(p *corev1.Pod) { p.Labels["uses"] = "1" }), "b")
	decide("far", "a")
	v.full["a"] = true
	table.TouchAll()
	decide("far", "0/3 nodes are available: 3 node is full of volumes.[Volumes]")
	trial, _, err := table.Try(with("far"), p)
	if err != nil {
		t.Fatal(err)
	}
	if nodes := maps.Collect(trial.Candidates); len(nodes) != 3 || nodes["b"].Plugin != "Volumes" {
		t.Errorf("candidates %v", nodes)
	}
	if trial, f, err := table.Try(with("busy"), p); err != nil || trial == nil || len(maps.Collect(trial.Candidates)) != 3 {
		t.Errorf("a busy volume: %v, %v", f, err)
	}
	if trial, f, err := table.Try(with("lost"), p); err != nil || trial != nil || f.Mendable != 0 {
		t.Errorf("a lost volume: %v, %v", f, err)
	}
	trial.On("b")
	trial.Without("x")
	table.Nominate(pod("y", 1, func(p *corev1.Pod) { p.Labels["uses"] = "1" }), "b")
	if s := trial.Status(); s.Message() != "node is full of volumes" {
		t.Errorf("beside a nominated pod that uses a volume: %v", s)
	}
	table.Nominate(pod("y", 1), "")
	if s := trial.Status(); s != nil {
		t.Errorf("without the pod that uses a volume: %v", s)
	}
}

func TestExtend(t *testing.T) {
	table, p, rng := NewTable(), policy(t), rand.New(rand.NewSource(1))
	for _, name := range []string{"a", "b", "c", "full"} {
		table.SetNode(node(name))
	}
	table.SetPod(pod("x", 4000), "full")
	refused := refuse(Unschedulable, "", "extender says no")
	for _, c := range []struct {
		name, want string
		x          Extension
		err        error
	}{
		{"keeps", "b", Extension{Refused: map[string]*Status{"a": refused}, Scores: map[string]int64{"b": 1000}}, nil},
		{"refuses all", "0/4 nodes are available: 1 Insufficient cpu, 3 extender says no. [Extender NodeResourcesFit]",
			Extension{Refused: map[string]*Status{"a": refused, "b": refused, "c": refused}}, nil},
		{"fails", "unreachable", Extension{}, errors.New("unreachable")},
	} {
		plan, err := table.Decide(pod("p", 100), p, rng, func(nodes []string) (Extension, error) {
			if got := strings.Join(nodes, " "); got != "a b c" {
				t.Errorf("%s: asked about %s", c.name, got)
			}
			return c.x, c.err
		})
		got := plan.Node
		if err != nil {
			got = err.Error()
		} else if plan.Failure != nil {
			got = fmt.Sprint(plan.Failure.Message(""), " ", plan.Failure.Plugins)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNominations: a nominated pod holds its place against pods of no higher priority, until it is placed or gone.
func TestNominations(t *testing.T) {
	table, p, rng := NewTable(), policy(t), rand.New(rand.NewSource(1))
	table.SetNode(node("a"))
	chosen := pod("chosen", 3000)
	decide := func(want string, priority int32) {
		t.Helper()
		o := pod("p", 2000, func(p *corev1.Pod) { p.Spec.Priority = &priority })
		if plan, err := table.Decide(o, p, rng, nil); err != nil || plan.Node != want {
			t.Errorf("priority %d: on %q (%v), want %q", priority, plan.Node, err, want)
		}
	}
	table.Nominate(chosen, "a")
	decide("", 0)
	decide("a", 1)
	if plan, err := table.Decide(chosen, p, rng, nil); err != nil || plan.Node != "a" {
		t.Errorf("the nominated pod itself: %+v, %v", plan, err)
	}
	table.Nominate(chosen, "elsewhere")
	decide("a", 0)
	table.Nominate(chosen, "a")
	table.SetPod(chosen, "elsewhere")
	decide("a", 0)
}

// TestAllocations holds what a decision may allocate.
func TestAllocations(t *testing.T) {
	table, p, rng, next := cluster(100), policy(t), rand.New(rand.NewSource(1)), perfPod()
	o := next(0)
	n := testing.AllocsPerRun(100, func() {
		if plan, err := table.Decide(o, p, rng, nil); err != nil || plan.Node == "" {
			t.Fatal(plan, err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations a decision", n)
	}
}

// TestForgetting: what goes is forgotten, and rows are used again.
func TestForgetting(t *testing.T) {
	table, p, rng := NewTable(), policy(t), rand.New(rand.NewSource(1))
	h := &history{Rand: rng, m: newModel(), t: table}
	for range 3 {
		for i := range 20 {
			table.SetNode(h.node(fmt.Sprint("n", i)))
		}
		var on []types.UID
		for range 60 {
			o := h.pod()
			if _, err := table.Decide(o, p, rng, nil); err != nil {
				t.Fatal(err)
			}
			table.SetPod(o, fmt.Sprint("n", h.Intn(25)))
			on = append(on, o.UID)
		}
		for i := range 20 {
			table.RemoveNode(fmt.Sprint("n", i))
		}
		for _, uid := range on {
			if !table.RemovePod(uid) {
				t.Fatalf("pod %s was not there", uid)
			}
		}
	}
	if table.faded > fadedMost || table.faded != len(table.carried) {
		t.Errorf("%d of %d terms have faded", table.faded, len(table.carried))
	}
	table.forget()
	for _, c := range table.classes {
		table.dropClass(c)
	}
	if s := table.Stats(); s.Nodes+s.Pods+s.Shapes+s.Terms+s.Topologies+s.Classes+len(table.tallies)+len(table.byName)+len(table.images.byName) != 0 {
		t.Errorf("left behind: %+v, %d tallies", s, len(table.tallies))
	}
	if len(table.nodes) > 25 {
		t.Errorf("%d rows for 25 nodes at most", len(table.nodes))
	}
}
