package admission

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
)

// Recall is what a plug-in, whose configurations change objects one after the other, remembers of a wish between its rounds: those that want so are asked once
// more when somebody after them has changed the object.
//
//	round 0   all are asked; who wants so is invoked ── a later change ──► due
//	round 1   who is due is asked
type Recall struct {
	output  runtime.Object  // the object when the last round ended
	invoked map[string]bool // by the keys of the plug-in's configurations
	due     map[string]bool
	asked   bool // somebody was, in this round
}

// Recall begins a round of a plug-in and returns what it remembers of the wish.
func (a *Attributes) Recall(plugin string) *Recall {
	r := a.memories[plugin]
	if r == nil {
		r = &Recall{invoked: map[string]bool{}, due: map[string]bool{}}
		if a.memories == nil {
			a.memories = map[string]*Recall{}
		}
		a.memories[plugin] = r
	}
	if a.round > 0 && len(r.invoked) > 0 && !apiequality.Semantic.DeepEqual(r.output, a.Object) {
		r.require() // other plug-ins have changed it
	}
	r.asked = false
	return r
}

// require makes all that was invoked due.
func (r *Recall) require() {
	for key := range r.invoked {
		r.due[key] = true
	}
	clear(r.invoked)
}

// Skip says that key is not asked in this round.
func (r *Recall) Skip(a *Attributes, key string) bool { return a.round > 0 && !r.due[key] }

// Asked notes that key was asked, whether it has changed the object, and whether it wants to be asked again when somebody after it does. After a change every
// plug-in is asked once more.
func (r *Recall) Asked(a *Attributes, key string, changed, again bool) {
	r.asked = true
	if changed {
		r.require()
		a.again = true
	}
	if again {
		r.invoked[key] = true
	}
}

// Again makes all that was invoked due once more when the round has asked somebody, whether that has changed anything or not: upstream's mutating policies are
// asked again after their own changes, and its webhooks are not.
func (r *Recall) Again(a *Attributes) {
	if r.asked {
		r.require()
		a.again = true
	}
}

// End ends the round.
func (r *Recall) End(a *Attributes) {
	if len(r.invoked) > 0 && a.Object != nil {
		r.output = a.Object.DeepCopyObject()
	}
}
