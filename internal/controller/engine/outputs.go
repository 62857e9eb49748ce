package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/internal/client"
)

// everything stands for every resource, in outputs.
const everything = "*"

// Every is the resource of an Output that says something of all resources, whatever is served.
func Every() client.Resource {
	return client.Resource{Group: everything, Version: everything, Resource: everything}
}

// Output names fields of a resource that one controller alone writes: paths such as "status" or "spec.replicas", which stand for all
// below them too. Brackets choose among the elements of a list or map: "metadata.finalizers[orphan,foregroundDeletion]". Without
// fields the controller creates and deletes objects only.
type Output struct {
	Resource client.Resource
	Fields   []string
}

// field is a path and, when chosen is not nil, the elements that are meant of what stands there.
type field struct {
	path   []string
	chosen []string
}

func parseField(text string) field {
	path, rest, some := strings.Cut(text, "[")
	f := field{path: strings.Split(path, ".")}
	if some {
		f.chosen = strings.Split(strings.TrimSuffix(rest, "]"), ",")
	}
	return f
}

// overlaps says whether one place belongs to both.
func (f field) overlaps(o field) bool {
	short := min(len(f.path), len(o.path))
	if !slices.Equal(f.path[:short], o.path[:short]) {
		return false
	}
	if len(f.path) != len(o.path) || f.chosen == nil || o.chosen == nil {
		return true
	}
	return slices.ContainsFunc(f.chosen, func(e string) bool { return slices.Contains(o.chosen, e) })
}

// claim is a field of a resource and who owns it.
type claim struct {
	resource, text, owner string
	field
}

func (c claim) overlaps(o claim) bool {
	same := c.resource == o.resource || c.resource == resourceName(Every()) || o.resource == resourceName(Every())
	return same && c.field.overlaps(o.field)
}

// claims are the fields of c's outputs, none of which is among those that are taken.
func (e *Engine) claims(c Controller) ([]claim, error) {
	var all []claim
	for _, out := range c.Outputs {
		for _, text := range out.Fields {
			mine := claim{resourceName(out.Resource), text, c.Name, parseField(text)}
			for _, taken := range e.taken {
				if mine.overlaps(taken) {
					return nil, fmt.Errorf("register controller %s: %s %s is written by %s (%s %s): %w", c.Name, mine.resource, text,
						taken.owner, taken.resource, taken.text, ErrOutputTaken)
				}
			}
			all = append(all, mine)
		}
	}
	return all, nil
}

// Graph prints who reads and who writes what, one line each, sorted: the controller, what it does, the resource, and of those that it
// writes the fields. "reads" wakes it; "looks at" does not.
func (e *Engine) Graph() string {
	var lines []string
	for _, c := range e.list {
		for _, in := range c.Inputs {
			verb := "reads"
			if in.Keys == nil {
				verb = "looks at"
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", c.Name, verb, resourceName(in.Resource)))
		}
		if c.Every != nil {
			lines = append(lines, fmt.Sprintf("%s reads %s", c.Name, resourceName(Every())))
		}
		for _, out := range c.Outputs {
			line := fmt.Sprintf("%s writes %s %s", c.Name, resourceName(out.Resource), strings.Join(out.Fields, ","))
			lines = append(lines, strings.TrimSuffix(line, " "))
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

// writes says whether c declares that it writes res.
func (c Controller) writes(res client.Resource) bool {
	return slices.ContainsFunc(c.Outputs, func(o Output) bool { return o.Resource == res || o.Resource == Every() })
}

// reads says whether c declares that it reads res. What it writes it may look at.
func (c Controller) reads(res client.Resource) bool {
	return c.Every != nil || c.writes(res) || slices.ContainsFunc(c.Inputs, func(in Input) bool { return in.Resource == res })
}

func resourceName(r client.Resource) string {
	if r == Every() {
		return everything
	}
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}
