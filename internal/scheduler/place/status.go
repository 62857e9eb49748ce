package place

import (
	"strings"
)

// Code is a rule's answer about a node.
type Code uint8

// The answers. Unresolvable is upstream's UnschedulableAndUnresolvable: taking pods away would not help.
const (
	Success Code = iota
	Unschedulable
	Unresolvable
	Error // of rules from outside: the rule cannot tell, and the pod is not decided until that changes
)

// String is upstream's name.
func (c Code) String() string {
	return [...]string{"Success", "Unschedulable", "UnschedulableAndUnresolvable", "Error"}[c]
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
