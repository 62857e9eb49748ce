package controllertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// errLost is what a write answers whose outcome is not known.
var errLost = errors.New("connection lost")

// Simulation runs controllers by chance, one step after another on one goroutine, so that a seed repeats a run exactly. Each controller has a view that
// lags, is woken by what changed between two of its views, more often than needed, stops between any two of its writes and begins anew, and
// loses writes, or the answers to them. Within a batch writes come in any order. The laws of engine and client hold: views never go back, and a
// key is not reconciled on a view older than its last write, which a controller that began anew does not know.
type Simulation struct {
	Rand    *rand.Rand
	Catalog engine.Catalog
	Clock   Clock
	Client  func(user string) client.Client
	// Writing, when set, is told of each write before it is done.
	Writing func(controller string, w engine.Write)

	calm  bool // nothing fails any more
	wrote int  // writes so far
	list  []*simulated
}

// Clock is a clock that is stepped.
type Clock interface {
	Now() time.Time
	Step(d time.Duration)
}

// simulated is one controller.
type simulated struct {
	ctl     engine.Controller
	client  client.Client
	view    client.View // nil before it begins
	ready   map[engine.Key]bool
	later   map[engine.Key]time.Time
	written map[engine.Key]uint64
}

// Add adds a controller, which begins with its first step.
func (s *Simulation) Add(ctl engine.Controller) {
	w := &simulated{ctl: ctl, client: s.Client(ctl.User)}
	w.stop()
	s.list = append(s.list, w)
}

func (w *simulated) stop() {
	w.view, w.ready, w.later, w.written = nil, map[engine.Key]bool{}, map[engine.Key]time.Time{}, map[engine.Key]uint64{}
}

// Step lets one controller do one thing.
func (s *Simulation) Step(ctx context.Context) error {
	w := s.list[s.Rand.Intn(len(s.list))]
	switch n := s.Rand.Intn(10); {
	case w.view == nil || n < 3:
		return s.look(ctx, w)
	case n == 3:
		w.stop()
		return nil
	case n == 4:
		s.Clock.Step(time.Duration(s.Rand.Intn(5000)) * time.Millisecond)
		return nil
	}
	return s.work(ctx, w)
}

// Settle lets everything happen that is to happen, without faults, and returns an error when that has no end.
func (s *Simulation) Settle(ctx context.Context) error {
	s.calm = true
	defer func() { s.calm = false }()
	for idle, steps := 0, 0; idle < 30; steps++ { // waits in vain
		if steps > 20000 {
			return fmt.Errorf("the controllers write without end: %d writes", s.wrote)
		}
		before, ready := s.wrote, 0
		for _, w := range s.list {
			if err := s.look(ctx, w); err != nil {
				return err
			}
			ready += len(w.ready)
			if err := s.work(ctx, w); err != nil {
				return err
			}
		}
		switch {
		case s.wrote > before:
			idle = 0
		case ready == 0:
			idle++
			s.Clock.Step(10 * time.Second)
		}
	}
	return nil
}

// look takes a newer view, and the keys that what has changed since the last one wakes.
func (s *Simulation) look(ctx context.Context, w *simulated) error {
	view, err := w.client.View(ctx)
	if err != nil {
		return err
	}
	inputs := slices.Clone(w.ctl.Inputs)
	if w.ctl.Every != nil {
		served, _ := s.Catalog()
		for _, k := range served {
			if k.Keeps() {
				inputs = append(inputs, engine.Input{Resource: k.GVR(), Keys: w.ctl.Every(k)})
			}
		}
	}
	for _, in := range inputs {
		if in.Keys == nil {
			continue
		}
		for _, change := range changes(in.Resource, w.view, view) {
			for _, k := range in.Keys(view, change) {
				w.ready[k] = true
			}
		}
	}
	for k, at := range w.later {
		if !at.After(s.Clock.Now()) || !s.calm && s.Rand.Intn(20) == 0 { // an event that comes again
			w.ready[k] = true
			delete(w.later, k)
		}
	}
	w.view = view
	return nil
}

// changes are what a stream of res would show between two views, the first of which may be nil.
func changes(res client.Resource, from, to client.View) []client.Change {
	old := map[string]kinds.Object{}
	if from != nil {
		for obj := range from.List(res, "") {
			old[keyOf(obj)] = obj
		}
	}
	var all []client.Change
	for obj := range to.List(res, "") {
		was := old[keyOf(obj)]
		delete(old, keyOf(obj))
		if was == nil || was.GetResourceVersion() != obj.GetResourceVersion() {
			all = append(all, client.Change{Old: was, New: obj, Revision: to.Revision()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		all = append(all, client.Change{Old: old[name], Revision: to.Revision()})
	}
	return all
}

// work reconciles one of the keys that are ready.
func (s *Simulation) work(ctx context.Context, w *simulated) error {
	if len(w.ready) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(w.ready), func(a, b engine.Key) int {
		return cmp.Or(cmp.Compare(a.Resource.String(), b.Resource.String()), cmp.Compare(a.String(), b.String()), cmp.Compare(a.UID, b.UID))
	})
	key := keys[s.Rand.Intn(len(keys))]
	if w.written[key] > w.view.Revision() {
		return nil
	}
	delete(w.ready, key)
	plan, err := w.ctl.Reconcile(w.view, key, s.Clock.Now())
	if err != nil {
		return fmt.Errorf("%s %s: %w", w.ctl.Name, key, err)
	}
	stopped, err := s.carryOut(ctx, w, key, plan.Writes)
	if stopped {
		w.stop()
		return nil
	}
	if err != nil && plan.OnFailure != nil {
		if stopped, _ = s.carryOut(ctx, w, key, plan.OnFailure(err)); stopped {
			w.stop()
			return nil
		}
	}
	switch {
	case err != nil || plan.Failed != nil:
		w.later[key] = s.Clock.Now()
	case plan.After > 0:
		w.later[key] = s.Clock.Now().Add(plan.After)
	}
	return nil
}

// carryOut does writes, or says that the controller stopped before it had done all.
func (s *Simulation) carryOut(ctx context.Context, w *simulated, key engine.Key, writes []engine.Write) (stopped bool, err error) {
	batch := 0
	for _, write := range s.shuffled(writes) {
		if err != nil && (write.Batch == 0 || write.Batch != batch) {
			return false, err
		}
		batch = write.Batch
		fate := s.Rand.Intn(30)
		if s.calm {
			fate = -1
		}
		switch fate {
		case 0:
			return true, nil
		case 1:
			err = errors.Join(err, &engine.WriteError{Resource: write.Resource, Err: errLost})
			continue
		}
		if s.Writing != nil {
			s.Writing(w.ctl.Name, write)
		}
		s.wrote++
		_, rev, werr := write.Do(ctx, w.client)
		w.written[key] = max(w.written[key], rev)
		if fate == 2 {
			werr = errLost
		}
		if werr != nil {
			err = errors.Join(err, &engine.WriteError{Resource: write.Resource, Err: werr})
		}
	}
	return false, err
}

// shuffled are writes in an order in which the engine may do them: those of one batch in any.
func (s *Simulation) shuffled(writes []engine.Write) []engine.Write {
	all := slices.Clone(writes)
	for start := 0; start < len(all); {
		end := start + 1
		for end < len(all) && all[start].Batch > 0 && all[end].Batch == all[start].Batch {
			end++
		}
		s.Rand.Shuffle(end-start, func(i, j int) { all[start+i], all[start+j] = all[start+j], all[start+i] })
		start = end
	}
	return all
}

// Free takes every finalizer but the collector's from what is being deleted, as who set it would in the end.
func Free(ctx context.Context, c client.Client, res client.Resource) error {
	view, err := c.View(ctx)
	if err != nil {
		return err
	}
	for obj := range view.List(res, "") {
		own := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool {
			return f != metav1.FinalizerDeleteDependents && f != metav1.FinalizerOrphanDependents
		})
		if obj.GetDeletionTimestamp() == nil || len(own) == len(obj.GetFinalizers()) {
			continue
		}
		next := clone(obj)
		next.SetFinalizers(own)
		if _, err := c.Update(ctx, res, next, ""); err != nil {
			return fmt.Errorf("free %s %s: %w", res.Resource, keyOf(obj), err)
		}
	}
	return nil
}
