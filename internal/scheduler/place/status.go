package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Code is a rule's answer about a node.
type Code uint8

// The answers. Unresolvable is upstream's UnschedulableAndUnresolvable: taking pods away would not help.
const (
	Success Code = iota
	Unschedulable
	Unresolvable
)

// String is upstream's name.
func (c Code) String() string {
	return [...]string{"Success", "Unschedulable", "UnschedulableAndUnresolvable"}[c]
}

// Status is why a node will not do. Nil is success. Statuses are shared: do not change one.
type Status struct {
	Code    Code
	Plugin  string
	Reasons []string // word for word upstream's; several for NodeResourcesFit only
}

func refuse(code Code, plugin string, reasons ...string) *Status {
	return &Status{Code: code, Plugin: plugin, Reasons: reasons}
}

// Failed says whether s is a refusal.
func (s *Status) Failed() bool { return s != nil && s.Code != Success }

// Message is the reasons as upstream joins them; "" for success.
func (s *Status) Message() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.Reasons, ", ")
}

// The reasons, upstream's.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeName      = "node(s) didn't match the requested node name"
	reasonTaint         = "node(s) had untolerated taint(s)"
	reasonEnforced      = "node(s) didn't match scheduler-enforced node affinity"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
	reasonConflict      = "pod affinity terms conflict"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonPods          = "Too many pods"
	reasonSpread        = "node(s) didn't match pod topology spread constraints"
	reasonSpreadLabel   = reasonSpread + " (missing required label)"
	reasonPodAffinity   = "node(s) didn't match pod affinity rules"
	reasonPodAnti       = "node(s) didn't match pod anti-affinity rules"
	reasonExistingAnti  = "node(s) didn't satisfy existing pods anti-affinity rules"
	reasonFeatures      = "node(s) didn't match Pod's required features"
	messageNoNodes      = "no nodes available to schedule pods"
)

// Reason is how many nodes gave it.
type Reason struct {
	Nodes int
	Text  string
}

// Failure is why no node will do.
type Failure struct {
	Nodes     int      // all that the table knows; 0: there is none
	PreFilter string   // why no node was asked at all; "" when they were
	Reasons   []Reason // in the order of the message; empty with PreFilter
	Plugins   []string // that refused, sorted: what has to change before the pod is worth another try
	// Mendable is how many nodes refused in a way that taking pods away may mend; with 0 preemption need not be tried.
	Mendable int
}

// Message is upstream's, of events and conditions. post is what preemption and its like say of it ("" for nothing):
// it follows after a space, as upstream's PostFilter message does.
func (f *Failure) Message(post string) string {
	if f.Nodes == 0 {
		return messageNoNodes
	}
	msg := fmt.Sprintf("0/%d nodes are available:", f.Nodes)
	if f.PreFilter != "" {
		msg += " " + f.PreFilter + "."
	} else if len(f.Reasons) > 0 {
		var parts []string
		for _, r := range f.Reasons {
			parts = append(parts, fmt.Sprintf("%d %s", r.Nodes, r.Text))
		}
		msg += " " + strings.Join(parts, ", ") + "."
	}
	if post != "" {
		msg += " " + post
	}
	return msg
}

// failure gathers statuses into a Failure.
type failure struct {
	reasons map[string]int
	plugins map[string]bool
	mend    int
}

func (f *failure) add(s *Status, nodes int) {
	if f.reasons == nil {
		f.reasons, f.plugins = map[string]int{}, map[string]bool{}
	}
	for _, r := range s.Reasons {
		f.reasons[r] += nodes
	}
	if s.Plugin != "" {
		f.plugins[s.Plugin] = true
	}
	if s.Code == Unschedulable {
		f.mend += nodes
	}
}

// done sorts reasons as upstream does: by the text of number and reason together.
func (f *failure) done(nodes int) *Failure {
	out := &Failure{Nodes: nodes, Plugins: slices.Sorted(maps.Keys(f.plugins)), Mendable: f.mend}
	for text, n := range f.reasons {
		out.Reasons = append(out.Reasons, Reason{Nodes: n, Text: text})
	}
	slices.SortFunc(out.Reasons, func(a, b Reason) int {
		return cmp.Compare(fmt.Sprint(a.Nodes, " ", a.Text), fmt.Sprint(b.Nodes, " ", b.Text))
	})
	return out
}
