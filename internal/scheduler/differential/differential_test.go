package differential

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/floe-k8s/floe/test/peers/scheduling/answers"
	"github.com/floe-k8s/floe/test/peers/scheduling/cases"
)

const recorded = "../../../test/peers/recorded/scheduling"

var findings = flag.String("findings", "", "write what differs to this file, a paragraph for each difference")

// TestDecisions asks floe for what kube-scheduler was asked for.
func TestDecisions(t *testing.T) {
	var report report
	var same, total atomic.Int64
	t.Run("families", func(t *testing.T) {
		for _, f := range cases.Families() {
			t.Run(f.Name, func(t *testing.T) {
				t.Parallel()
				found, n := family(t, f)
				total.Add(int64(n))
				same.Add(int64(n - len(found)))
				report.add(f.Name, found)
				judge(t, f.Name, found, n)
			})
		}
	})
	t.Logf("%d of %d decisions are upstream's", same.Load(), total.Load())
	if *findings != "" {
		if err := os.WriteFile(*findings, []byte(report.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLists holds the lists of what differs to their laws.
func TestLists(t *testing.T) {
	names := map[string]bool{}
	for _, f := range cases.Families() {
		names[f.Name] = true
	}
	for name := range pending {
		if !names[name] {
			t.Errorf("%s is pending, and there is no such family", name)
		}
	}
	if len(exceptions) > 5 {
		t.Errorf("%d exceptions; five are allowed", len(exceptions))
	}
	for _, e := range exceptions {
		if name := e.pod[:strings.LastIndex(e.pod, "-")]; e.reason == "" || pending[name] != "" {
			t.Errorf("exception %s: no reason, or its family %s is pending", e.pod, name)
		}
	}
	files, err := filepath.Glob(answers.File(recorded, "*"))
	if err != nil || len(files) != len(names) {
		t.Errorf("%d families are recorded, there are %d (%v): make compare", len(files), len(names), err)
	}
}

// judge fails the test for differences that are neither pending nor excepted, and for entries of the lists that are no longer needed.
func judge(t *testing.T, name string, found []difference, n int) {
	t.Helper()
	t.Logf("%d of %d decisions are upstream's", n-len(found), n)
	if reason := pending[name]; reason != "" {
		if len(found) == 0 {
			t.Errorf("all decisions are upstream's: take the family off the pending ones (%s)", reason)
		}
		return
	}
	for _, e := range exceptions {
		if !strings.HasPrefix(e.pod, name+"-") {
			continue
		}
		i := slices.IndexFunc(found, func(d difference) bool { return d.pod() == e.pod })
		if i < 0 {
			t.Errorf("%s: the decision is upstream's: take it off the exceptions", e.pod)
			continue
		}
		found = slices.Delete(found, i, i+1)
	}
	for _, d := range found[:min(len(found), 3)] {
		t.Errorf("%s", d)
	}
	if len(found) > 3 {
		t.Errorf("and %d more; -findings FILE writes them", len(found)-3)
	}
}

// stale says what to do when the cases are not those that were recorded.
const stale = "the cases are not those that kube-scheduler was asked for; `make compare` records its answers to these"

// family compares all decisions of a family, and says how many there are.
func family(t *testing.T, f cases.Family) (found []difference, n int) {
	t.Helper()
	header, list, err := answers.Read(answers.File(recorded, f.Name))
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	var sum cases.Sum
	for i := range f.Count() {
		c, err := f.Case(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := sum.Add(c); err != nil {
			t.Fatal(err)
		}
		d, err := floe(c)
		if err != nil && !errors.Is(err, errMissing) {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for _, pod := range c.Ask {
			want := &list[next]
			next++
			if want.Case != c.Name || want.Pod != pod {
				t.Fatalf("the answer is for %s of %s, not for %s of %s: %s", want.Pod, want.Case, pod, c.Name, stale)
			}
			got := decision{Answer: answers.Answer{Error: fmt.Sprint(err)}}
			if err == nil {
				got = d.decide(pod)
			}
			if lines := differ(want, &got); len(lines) > 0 {
				found = append(found, difference{want: want, lines: lines})
			}
		}
	}
	if sum.String() != header.Sum || next != len(list) {
		t.Fatal(stale)
	}
	return found, next
}

// report collects findings of families that run at once.
type report struct {
	mu    sync.Mutex
	texts map[string]string
}

func (r *report) add(family string, found []difference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.texts == nil {
		r.texts = map[string]string{}
	}
	sorts := map[string]int{}
	var b strings.Builder
	for _, d := range found {
		sort, _, _ := strings.Cut(d.lines[0], ":")
		if sorts[sort]++; sorts[sort] <= 4 {
			fmt.Fprintf(&b, "%s\n\n", d)
		}
	}
	r.texts[family] = fmt.Sprintf("# %s: %d differences %v\n\n%s", family, len(found), sorts, b.String())
}

func (r *report) String() string {
	var b strings.Builder
	for _, f := range cases.Families() {
		b.WriteString(r.texts[f.Name])
	}
	return b.String()
}
