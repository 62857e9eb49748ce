package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/test/peers/scheduling/answers"
)

// decision is what floe decides: an answer, and what upstream leaves to chance.
type decision struct {
	answers.Answer          // Victims are those of the node that is nominated, Best is that node
	chosen         string   // the node, if one fits
	score          int64    // of the node that is chosen, if several fit
	preempts       bool     // preemption has been asked: Post, Best and Victims say what it came to
	errors         []string // that nodes give; which of them upstream meets first is chance
}

// difference is a decision that is not upstream's.
type difference struct {
	want  *answers.Answer
	lines []string // what differs, its sort before a colon
}

func (d difference) pod() string { return d.want.Case + " " + d.want.Pod }

func (d difference) String() string { return d.pod() + "\n  " + strings.Join(d.lines, "\n  ") }

// differ says what differs, in the order in which a scheduler comes to it. A gated pod is not looked at further: upstream never tries it.
func differ(want *answers.Answer, got *decision) []string {
	var lines []string
	add := func(sort string, want, got any) {
		if fmt.Sprint(want) != fmt.Sprint(got) {
			lines = append(lines, fmt.Sprintf("%s: upstream %v, floe %v", sort, want, got))
		}
	}
	add("gated", status(want.Gated), status(got.Gated))
	if want.Gated != nil || len(lines) > 0 {
		return lines
	}
	if slices.Contains(got.errors, want.Error) {
		return lines
	}
	if add("error", want.Error, got.Error); want.Error != "" || len(lines) > 0 {
		return lines
	}
	add("nodes that fit", want.Feasible, got.Feasible)
	refusals := len(lines)
	for _, node := range refusedNodes(want, got) {
		w, _ := want.Status(node)
		g, _ := got.Status(node)
		if add("refusal of "+node, status(&w), status(&g)); len(lines) > refusals+2 {
			break
		}
	}
	if len(lines) > 0 {
		return lines
	}
	if len(want.Feasible) > 0 {
		return append(lines, scores(want, got)...)
	}
	add("message", strings.TrimSuffix(want.Message, " "+want.Post), strings.TrimSuffix(got.Message, " "+got.Post))
	if got.preempts {
		add("end of the message", want.Post, got.Post)
	}
	return append(lines, evictions(want, got)...)
}

func status(s *answers.Status) string {
	if s == nil || s.Code == "" {
		return "-"
	}
	return fmt.Sprintf("%s %s %q", s.Code, s.Plugin, slices.Sorted(slices.Values(s.Reasons)))
}

func refusedNodes(want *answers.Answer, got *decision) []string {
	if want.Own {
		return nil
	}
	all := map[string]bool{}
	for _, list := range [][]answers.Refusal{want.Refused, got.Refused} {
		for _, r := range list {
			for _, n := range r.Nodes {
				all[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// scores compares the choice with the best ones, and the scores of all nodes that fit where floe tells them.
func scores(want *answers.Answer, got *decision) (lines []string) {
	best := want.Highest()
	if !slices.Contains(best, got.chosen) {
		lines = append(lines, fmt.Sprintf("choice: upstream one of %v, floe %s", best, got.chosen))
	}
	if len(want.Totals) == 0 {
		return lines
	}
	if top := slices.Max(want.Totals); top != got.score {
		lines = append(lines, fmt.Sprintf("highest score: upstream %d of %v, floe %d of %s", top, best, got.score, got.chosen))
	}
	for _, plugin := range slices.Sorted(maps.Keys(want.Scores)) {
		w, g := want.Scores[plugin], got.Scores[plugin]
		if !slices.Equal(w, g) && (g != nil || slices.Max(w) > 0) { // a plug-in that gives nothing may be left out
			lines = append(lines, fmt.Sprintf("scores of %s: upstream %v, floe %v, of %v", plugin, w, g, want.Feasible))
		}
	}
	return lines
}

// evictions compares what preemption comes to.
func evictions(want *answers.Answer, got *decision) (lines []string) {
	node := ""
	if len(got.Best) > 0 {
		node = got.Best[0]
	}
	if (node == "") != (len(want.Best) == 0) || node != "" && !slices.Contains(want.Best, node) {
		return []string{fmt.Sprintf("nominated: upstream one of %v, floe %q; victims: upstream %v, floe %v", want.Best, node, want.Victims, got.Victims)}
	}
	w, g := slices.Sorted(slices.Values(want.Victims[node].Pods)), slices.Sorted(slices.Values(got.Victims[node].Pods))
	if !slices.Equal(w, g) {
		lines = append(lines, fmt.Sprintf("victims on %s: upstream %v, floe %v", node, w, g))
	}
	return lines
}
