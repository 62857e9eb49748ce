package main

import "encoding/json"

// Case is a cluster as its API serves it, and the pods that are to be decided.
type Case struct {
	Name          string            `json:"name"`
	Configuration json.RawMessage   `json:"configuration,omitempty"` // a KubeSchedulerConfiguration, or nothing for the defaults
	Objects       []json.RawMessage `json:"objects"`
	Ask           []string          `json:"ask"` // namespace/name of pods
}

// Status is what a plug-in says of a pod or of some nodes.
type Status struct {
	Code    string   `json:"code"`
	Plugin  string   `json:"plugin,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
}

// Refusal is a status that several nodes have.
type Refusal struct {
	Status
	Nodes []string `json:"nodes"` // sorted
}

// Victims are the pods that preemption would evict from a node, the order is upstream's.
type Victims struct {
	Pods       []string `json:"pods"`
	Violations int64    `json:"violations,omitempty"` // of disruption budgets
}

// Answer is what is decided for a pod.
type Answer struct {
	Case     string             `json:"case"`
	Pod      string             `json:"pod"`
	Gated    *Status            `json:"gated,omitempty"`    // a PreEnqueue plug-in keeps it out of the queue; the rest says what would be without it
	Refused  []Refusal          `json:"refused,omitempty"`  // ordered by the first node
	Feasible []string           `json:"feasible,omitempty"` // sorted
	Own      bool               `json:"own,omitempty"`      // the pod's nominated node fits, so that no other is looked at
	Scores   map[string][]int64 `json:"scores,omitempty"`   // of each plug-in, weighed, in Feasible's order; only when several fit
	Totals   []int64            `json:"totals,omitempty"`
	Message  string             `json:"message,omitempty"` // of the event and the condition, when nothing fits
	Post     string             `json:"post,omitempty"`    // the end of the message, what preemption and its like say
	Error    string             `json:"error,omitempty"`   // the attempt failed: reason SchedulerError
	Best     []string           `json:"best,omitempty"`    // the nodes that preemption may nominate, equally good, sorted
	Victims  map[string]Victims `json:"victims,omitempty"` // of all candidates
}
