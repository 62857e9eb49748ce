package stage

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The type of stages.
const (
	Group      = "kwok.x-k8s.io"
	Version    = "v1alpha1"
	Kind       = "Stage"
	Plural     = "stages"
	APIVersion = Group + "/" + Version
)

// Stage is what becomes of the objects that it selects.
type Stage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              Spec            `json:"spec"`
	Status            json.RawMessage `json:"status,omitempty"` // of kwok's, not read
}

// Spec says what happens to what, and when. Next is the older form of Steps.
type Spec struct {
	ResourceRef        Resource  `json:"resourceRef"`
	Selector           *Selector `json:"selector,omitempty"` // nil: nothing
	Weight             int64     `json:"weight,omitempty"`
	WeightFrom         *Source   `json:"weightFrom,omitempty"`
	Delay              *Delay    `json:"delay,omitempty"`
	Next               *Next     `json:"next,omitempty"`
	Steps              []Step    `json:"steps,omitempty"`
	ImmediateNextStage bool      `json:"immediateNextStage,omitempty"`
}

// Resource names a kind.
type Resource struct {
	APIGroup string `json:"apiGroup,omitempty"`
	Kind     string `json:"kind"`
}

// Selector selects what has all that it names.
type Selector struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchAnnotations map[string]string `json:"matchAnnotations,omitempty"`
	MatchExpressions []Requirement     `json:"matchExpressions,omitempty"`
}

// Requirement is of what a jq expression finds in an object.
type Requirement struct {
	Comparison `json:",inline"`
	JQ         *Comparison     `json:"jq,omitempty"`
	CEL        json.RawMessage `json:"cel,omitempty"`
}

// Comparison holds what Key finds against Values.
type Comparison struct {
	Key      string   `json:"key,omitempty"`
	Operator string   `json:"operator,omitempty"`
	Values   []string `json:"values,omitempty"`
}

// Source is an expression whose value counts.
type Source struct {
	ExpressionFrom string          `json:"expressionFrom,omitempty"`
	JQ             *Expression     `json:"jq,omitempty"`
	CEL            json.RawMessage `json:"cel,omitempty"`
}

// Expression is one in jq.
type Expression struct {
	Expression string `json:"expression"`
}

// Delay is how long a stage waits.
type Delay struct {
	DurationMilliseconds       *int64  `json:"durationMilliseconds,omitempty"`
	DurationFrom               *Source `json:"durationFrom,omitempty"`
	JitterDurationMilliseconds *int64  `json:"jitterDurationMilliseconds,omitempty"`
	JitterDurationFrom         *Source `json:"jitterDurationFrom,omitempty"`
}

// Next is what a stage does: first the event, then finalizers, then the deletion, or else the patches.
type Next struct {
	Event             *Event          `json:"event,omitempty"`
	Finalizers        *Finalizers     `json:"finalizers,omitempty"`
	Delete            bool            `json:"delete,omitempty"`
	Patches           []Patch         `json:"patches,omitempty"`
	StatusTemplate    string          `json:"statusTemplate,omitempty"`
	StatusSubresource *string         `json:"statusSubresource,omitempty"`
	StatusPatchAs     json.RawMessage `json:"statusPatchAs,omitempty"`
}

// Step is one thing that a stage does.
type Step struct {
	Event      *Event      `json:"event,omitempty"`
	Finalizers *Finalizers `json:"finalizers,omitempty"`
	Delete     bool        `json:"delete,omitempty"`
	Patch      *Patch      `json:"patch,omitempty"`
}

// Event is told of the object. Message is a template.
type Event struct {
	Type    string `json:"type,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Finalizers are changed: emptied, or some removed and some added.
type Finalizers struct {
	Add    []Finalizer `json:"add,omitempty"`
	Remove []Finalizer `json:"remove,omitempty"`
	Empty  bool        `json:"empty,omitempty"`
}

// Finalizer is one.
type Finalizer struct {
	Value string `json:"value,omitempty"`
}

// Patch is a template of a patch. Root is the field that it is of; "": the object.
type Patch struct {
	Subresource   string          `json:"subresource,omitempty"`
	Root          string          `json:"root,omitempty"`
	Template      string          `json:"template,omitempty"`
	Type          string          `json:"type,omitempty"` // json, merge or strategic; "": strategic
	Impersonation json.RawMessage `json:"impersonation,omitempty"`
}
