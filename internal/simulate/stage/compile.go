package stage

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/itchyny/gojq"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/configfile"
)

// Operators of requirements.
const (
	opIn     = "In"
	opNotIn  = "NotIn"
	opExists = "Exists"
	opAbsent = "DoesNotExist"
)

// Rule is a stage that can be played. It is immutable.
type Rule struct {
	Name string
	Kind string // Node or Pod
	// Again lets the next rule be looked for after this one although nothing has changed.
	Again bool

	selector *Selector // nil: selects nothing
	require  []requirement
	weight   value
	delay    value // in milliseconds
	jitter   value
	timed    bool // there is a jitter
	steps    []step
}

type requirement struct {
	query    *gojq.Code
	operator string
	values   map[string]bool
}

// value is a number, or what an expression finds.
type value struct {
	fixed *int64
	from  *gojq.Code
}

type step struct {
	event      *Event
	message    *template.Template
	finalizers *Finalizers
	remove     bool
	patch      *patch
}

type patch struct {
	kind        types.PatchType
	subresource string
	root        string
	template    *template.Template
}

// Wanted is the type of stages, for those who read files of several types.
func Wanted() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{{Group: Group, Version: Version, Kind: Kind}}
}

// Read makes a rule of one document. path names it in errors, which name line and field too.
func Read(path string, document []byte) (*Rule, error) {
	var s Stage
	var rule *Rule
	err := configfile.Decode(path, document, Wanted(), &s, func(s *Stage) field.ErrorList {
		var errs field.ErrorList
		rule, errs = compile(s)
		return errs
	})
	if err != nil {
		return nil, err
	}
	return rule, nil
}

// compile makes a rule of a stage, and says what is wrong with it.
func compile(s *Stage) (*Rule, field.ErrorList) {
	c := &compiler{rule: &Rule{Name: s.Name, Kind: s.Spec.ResourceRef.Kind, Again: s.Spec.ImmediateNextStage, selector: s.Spec.Selector}}
	at := field.NewPath("spec")
	if s.Name == "" {
		c.bad(field.Required(field.NewPath("metadata", "name"), ""))
	}
	if ref := s.Spec.ResourceRef; ref.APIGroup != "" && ref.APIGroup != "v1" || ref.Kind != "Node" && ref.Kind != "Pod" {
		c.bad(field.Invalid(at.Child("resourceRef"), ref.APIGroup+" "+ref.Kind, "only stages of Nodes and Pods (apiGroup v1) are played"))
	}
	if s.Spec.Selector != nil {
		for i := range s.Spec.Selector.MatchExpressions {
			c.requirement(&s.Spec.Selector.MatchExpressions[i], at.Child("selector", "matchExpressions").Index(i))
		}
	}
	c.rule.weight = c.value(&s.Spec.Weight, s.Spec.WeightFrom, at.Child("weightFrom"))
	if d := s.Spec.Delay; d != nil {
		c.rule.delay = c.value(d.DurationMilliseconds, d.DurationFrom, at.Child("delay", "durationFrom"))
		c.rule.jitter = c.value(d.JitterDurationMilliseconds, d.JitterDurationFrom, at.Child("delay", "jitterDurationFrom"))
		c.rule.timed = d.JitterDurationMilliseconds != nil || d.JitterDurationFrom != nil
	}
	c.next(s.Spec.Next, at.Child("next"))
	for i := range s.Spec.Steps {
		c.step(&s.Spec.Steps[i], at.Child("steps").Index(i))
	}
	if len(c.rule.steps) == 0 && len(c.errs) == 0 {
		c.bad(field.Required(at.Child("next"), "there is nothing that the stage does"))
	}
	return c.rule, c.errs
}

type compiler struct {
	rule *Rule
	errs field.ErrorList
}

func (c *compiler) bad(err *field.Error) { c.errs = append(c.errs, err) }

func (c *compiler) query(text string, at *field.Path) *gojq.Code {
	parsed, err := gojq.Parse(text)
	if err != nil {
		c.bad(field.Invalid(at, text, "is no jq expression: "+err.Error()))
		return nil
	}
	code, err := gojq.Compile(parsed)
	if err != nil {
		c.bad(field.Invalid(at, text, "is no jq expression: "+err.Error()))
	}
	return code
}

const noCEL = "expressions in CEL are not played; say it in jq"

func (c *compiler) requirement(r *Requirement, at *field.Path) {
	if r.CEL != nil {
		c.bad(field.Forbidden(at.Child("cel"), noCEL))
		return
	}
	compare := r.Comparison
	if r.JQ != nil {
		compare, at = *r.JQ, at.Child("jq")
	}
	out := requirement{query: c.query(compare.Key, at.Child("key")), operator: compare.Operator, values: map[string]bool{}}
	for _, v := range compare.Values {
		out.values[v] = true
	}
	switch compare.Operator {
	case opIn, opNotIn:
		if len(compare.Values) == 0 {
			c.bad(field.Required(at.Child("values"), "In and NotIn need values"))
		}
	case opExists, opAbsent:
		if len(compare.Values) > 0 {
			c.bad(field.Forbidden(at.Child("values"), "Exists and DoesNotExist have none"))
		}
	default:
		c.bad(field.NotSupported(at.Child("operator"), compare.Operator, []string{opIn, opNotIn, opExists, opAbsent}))
	}
	c.rule.require = append(c.rule.require, out)
}

func (c *compiler) value(fixed *int64, from *Source, at *field.Path) value {
	v := value{fixed: fixed}
	switch {
	case from == nil:
	case from.CEL != nil:
		c.bad(field.Forbidden(at.Child("cel"), noCEL))
	case from.JQ != nil:
		v.from = c.query(from.JQ.Expression, at.Child("jq", "expression"))
	default:
		v.from = c.query(from.ExpressionFrom, at.Child("expressionFrom"))
	}
	if fixed != nil && *fixed < 0 {
		c.bad(field.Invalid(at, *fixed, "must not be negative"))
	}
	return v
}

// next is the older form of steps.
func (c *compiler) next(n *Next, at *field.Path) {
	if n == nil {
		return
	}
	if n.Event != nil || n.Finalizers != nil || n.Delete {
		c.step(&Step{Event: n.Event, Finalizers: n.Finalizers, Delete: n.Delete}, at)
	}
	if n.StatusPatchAs != nil {
		c.bad(field.Forbidden(at.Child("statusPatchAs"), "nobody else's name is taken"))
	}
	if n.Delete {
		return
	}
	if n.StatusTemplate != "" {
		sub := "status"
		if n.StatusSubresource != nil {
			sub = *n.StatusSubresource
		}
		c.patch(&Patch{Subresource: sub, Root: "status", Template: n.StatusTemplate}, at, at.Child("statusTemplate"))
	}
	for i := range n.Patches {
		at := at.Child("patches").Index(i)
		c.patch(&n.Patches[i], at, at.Child("template"))
	}
}

func (c *compiler) step(s *Step, at *field.Path) {
	out := step{event: s.Event, finalizers: s.Finalizers, remove: s.Delete}
	if s.Event != nil {
		if s.Event.Type != "Normal" && s.Event.Type != "Warning" {
			c.bad(field.NotSupported(at.Child("event", "type"), s.Event.Type, []string{"Normal", "Warning"}))
		}
		out.message = c.template(s.Event.Message, at.Child("event", "message"))
	}
	if s.Event != nil || s.Finalizers != nil || s.Delete {
		c.rule.steps = append(c.rule.steps, out)
	}
	if s.Patch != nil {
		c.patch(s.Patch, at.Child("patch"), at.Child("patch", "template"))
	}
}

func (c *compiler) patch(p *Patch, at, text *field.Path) {
	kinds := map[string]types.PatchType{"": types.StrategicMergePatchType, "strategic": types.StrategicMergePatchType, "merge": types.MergePatchType, "json": types.JSONPatchType}
	kind, ok := kinds[p.Type]
	if !ok {
		c.bad(field.NotSupported(at.Child("type"), p.Type, []string{"json", "merge", "strategic"}))
	}
	if p.Impersonation != nil {
		c.bad(field.Forbidden(at.Child("impersonation"), "nobody else's name is taken"))
	}
	if p.Subresource != "" && p.Subresource != "status" {
		c.bad(field.NotSupported(at.Child("subresource"), p.Subresource, []string{"", "status"}))
	}
	c.rule.steps = append(c.rule.steps, step{patch: &patch{kind: kind, subresource: p.Subresource, root: p.Root, template: c.template(p.Template, text)}})
}

func (c *compiler) template(text string, at *field.Path) *template.Template {
	t, err := template.New(c.rule.Name).Funcs(functions(Host{})).Parse(strings.TrimSpace(text))
	if err != nil {
		c.bad(field.Invalid(at, short(text), err.Error()))
	}
	return t
}

// short is what an error shows of a template.
func short(text string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(text), "\n")
	if more && rest != "" {
		line += " ..."
	}
	return line
}

// milliseconds are a duration.
func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// String is the rule's name, for logs.
func (r *Rule) String() string { return fmt.Sprintf("stage %s", r.Name) }
