// Package answers holds what kube-scheduler decided in the cases of package cases, as test/peers/upstream/decide reports it.
//
// A family's answers stand in one file, FAMILY.json.zst: JSON documents a line, compressed. The first is a Header, the others are Answers, in the
// order of the cases and of the pods that each asks for.
package answers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Packed is how the names of the files end.
const Packed = ".json.zst"

// Header says what was asked.
type Header struct {
	Version string `json:"version"` // of kube-scheduler
	Sum     string `json:"sum"`     // cases.Sum of the cases that were asked for
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

// Victims are the pods that preemption would evict from a node, as namespace/name, the most important first of those that break a budget, then of
// the others.
type Victims struct {
	Pods       []string `json:"pods"`
	Violations int64    `json:"violations,omitempty"` // of disruption budgets
}

// Answer is what is decided for a pod.
type Answer struct {
	Case     string             `json:"case"`
	Pod      string             `json:"pod"`                // namespace/name
	Gated    *Status            `json:"gated,omitempty"`    // a PreEnqueue plug-in keeps it out of the queue; the rest says what would be without it
	Refused  []Refusal          `json:"refused,omitempty"`  // ordered by the first node
	Feasible []string           `json:"feasible,omitempty"` // nodes, sorted
	Own      bool               `json:"own,omitempty"`      // the pod's nominated node fits, so that no other is looked at
	Scores   map[string][]int64 `json:"scores,omitempty"`   // of each plug-in, weighed, in Feasible's order; only when several fit
	Totals   []int64            `json:"totals,omitempty"`   // their sums
	Message  string             `json:"message,omitempty"`  // of the event and the condition, when nothing fits
	Post     string             `json:"post,omitempty"`     // the end of the message, what preemption and its like say
	Error    string             `json:"error,omitempty"`    // the attempt failed: the condition's reason is SchedulerError
	Best     []string           `json:"best,omitempty"`     // the nodes that preemption may nominate, equally good, sorted
	Victims  map[string]Victims `json:"victims,omitempty"`  // of each node that preemption may nominate, and of those that are not as good
}

// Status is what the answer says of a node that does not fit; ok is false if it says nothing.
func (a *Answer) Status(node string) (status Status, ok bool) {
	for _, r := range a.Refused {
		if slices.Contains(r.Nodes, node) {
			return r.Status, true
		}
	}
	return Status{}, false
}

// Highest are the nodes that have the highest score: any of them is as good a choice.
func (a *Answer) Highest() []string {
	if len(a.Totals) == 0 {
		return a.Feasible
	}
	top := slices.Max(a.Totals)
	var best []string
	for i, n := range a.Feasible {
		if a.Totals[i] == top {
			best = append(best, n)
		}
	}
	return best
}

// File is where the answers of a family stand in a folder.
func File(folder, family string) string { return filepath.Join(folder, family+Packed) }

// Read reads a family's file.
func Read(file string) (Header, []Answer, error) {
	var h Header
	f, err := os.Open(file)
	if err != nil {
		return h, nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return h, nil, fmt.Errorf("%s: %w", file, err)
	}
	defer z.Close()
	dec := json.NewDecoder(z)
	if err := dec.Decode(&h); err != nil {
		return h, nil, fmt.Errorf("%s: header: %w", file, err)
	}
	list, err := Decode[Answer](dec)
	if err != nil {
		return h, nil, fmt.Errorf("%s: %w", file, err)
	}
	return h, list, nil
}

// Decode reads documents of one kind to the end of a stream.
func Decode[T any](dec *json.Decoder) ([]T, error) {
	var list []T
	for {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(list), err)
		}
		list = append(list, v)
	}
}

// Write writes a family's file.
func Write(file string, h Header, list []Answer) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	failed := enc.Encode(h)
	for i := range list {
		failed = errors.Join(failed, enc.Encode(&list[i]))
	}
	return errors.Join(failed, z.Close(), f.Close())
}
