package podspec

import (
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// place is where a part of a specification stands. It is a value, and its path is made only when there is something to say of the part: nearly every pod
// is right, and the paths of what could have been wrong with it were a third of all objects that making one allocated.
//
// What stands deeper than there are steps makes the path so far.
type place struct {
	up    *field.Path // nil is a path as well, of the whole
	steps [3]step     // below up; those after the last are empty
	under string      // key of a map, which is what the steps lead to; "" for all of it
}

// step leads to a field, to an element of it, or, without a name, to an element of what is before.
type step struct {
	name    string
	element int // counted from one; 0 for all of it
}

// in is the part of p that names lead to.
func (p place) in(names ...string) place {
	for _, name := range names {
		p = p.then(step{name: name})
	}
	return p
}

// nth is element i of p, counted from zero.
func (p place) nth(i int) place {
	if last := p.depth() - 1; last >= 0 && p.steps[last].element == 0 && p.under == "" {
		p.steps[last].element = i + 1
		return p
	}
	return p.then(step{element: i + 1})
}

func (p place) then(s step) place {
	n := p.depth()
	if n == len(p.steps) || p.under != "" {
		p, n = place{up: p.path()}, 0
	}
	p.steps[n] = s
	return p
}

func (p place) depth() int {
	n := 0
	for n < len(p.steps) && p.steps[n] != (step{}) {
		n++
	}
	return n
}

// key is what p, a map, has under k.
func (p place) key(k string) place {
	if k == "" || p.under != "" {
		return place{up: p.path().Key(k)}
	}
	p.under = k
	return p
}

// path is p written out.
func (p place) path() *field.Path {
	at := p.up
	for _, s := range p.steps[:p.depth()] {
		if s.name != "" {
			at = at.Child(s.name)
		}
		if s.element != 0 {
			at = at.Index(s.element - 1)
		}
	}
	if p.under != "" {
		at = at.Key(p.under)
	}
	return at
}

func (p place) String() string { return p.path().String() }

// labelName refuses what is no key of a label.
func labelName(key string, at place) field.ErrorList {
	if len(utilvalidation.IsQualifiedName(key)) == 0 {
		return nil
	}
	return metavalidation.ValidateLabelName(key, at.path())
}
