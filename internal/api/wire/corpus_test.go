package wire_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/floe-k8s/floe/internal/api/custom/customtest"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

// corpusLists has a file for each kind, which lists the requests of its corpus that floe does not answer as upstream does: the request's name, and the class of
// what differs. A list may only shrink, as differencesFile may. With -corpus all are written anew, and what differs goes to the folder that it names, a file for
// each request.
const corpusLists = "testdata/corpus"

var corpus = flag.String("corpus", "", "write the lists of the corpus' differences anew, and each with both answers to this folder")

// TestCorpus sends the corpus of each kind that floe serves, and of each family of requests, to a fresh floe, and compares whole answers.
func TestCorpus(t *testing.T) {
	files := map[string]string{}
	found, err := filepath.Glob("../../../test/peers/recorded/corpus/*" + transcript.Packed)
	if err != nil || len(found) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range found {
		files[strings.TrimSuffix(filepath.Base(file), transcript.Packed)] = file
	}
	for _, k := range all.Kinds() {
		name := strings.TrimSuffix(k.Resource+"."+k.GVK.Version+"."+k.GVK.Group, ".")
		if files[name] == "" {
			t.Errorf("%s: nothing is recorded", name) // hack/compare records it
		}
	}
	var same, total atomic.Int64
	t.Run("kinds", func(t *testing.T) {
		for name, file := range files {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				n, differ := compare(t, name, file)
				total.Add(int64(n))
				same.Add(int64(n - differ))
			})
		}
	})
	t.Logf("%d of %d answers are upstream's", same.Load(), total.Load())
}

// compare sends the corpus of a kind, and returns how many requests it has and how many of the answers differ.
func compare(t *testing.T, name, file string) (total, differ int) {
	blocks, err := transcript.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(corpusLists, name+".txt")
	known, comments := listed(t, list)
	p := newPeer(t)
	customtest.Keep(t, p.Cluster, unresolved)
	var lines []string
	asked := ""
	for i, b := range blocks {
		asked += b.Input
		got := p.answer(t, exchange.Parse(b.Input))
		got, b.Answer = steady(got, asked), steady(b.Answer, asked)
		if got == b.Answer || b.Answer == transcript.BrokenOff {
			continue
		}
		line := strings.TrimPrefix(strings.TrimSpace(b.Lead), "# ") + ": " + class(b.Answer, got)
		lines = append(lines, line)
		switch {
		case *corpus != "":
			keepDifference(t, filepath.Join(*corpus, name, fmt.Sprintf("%04d.txt", i+1)), line, b, got)
		case !known[line]:
			t.Errorf("%s\n%s(-upstream +floe)\n%s", line, b.Input, changed(b.Answer, got))
		}
		delete(known, line)
	}
	t.Logf("%d of %d answers are upstream's", len(blocks)-len(lines), len(blocks))
	if *corpus != "" {
		err := os.WriteFile(list, []byte(comments+strings.Join(append(lines, ""), "\n")), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return len(blocks), len(lines)
	}
	for _, line := range slices.Sorted(maps.Keys(known)) {
		t.Errorf("%s: the answer is upstream's now, or differs in another way: take it off %s", line, list)
	}
	return len(blocks), len(lines)
}

// listed is a list of differences, and the comments before it; no file is as good as an empty one.
func listed(t *testing.T, file string) (list map[string]bool, comments string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	list = map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			comments += line
			continue
		}
		list[strings.TrimSpace(line)] = true
	}
	return list, comments
}

// class is what of an answer differs first: its status, its media type, a warning, the message of a Status, or else the body.
func class(want, got string) string {
	status := func(s string) (code, media string) {
		line, _, _ := strings.Cut(s, "\n")
		code, media, _ = strings.Cut(line, " ")
		return code, media
	}
	wantCode, wantMedia := status(want)
	gotCode, gotMedia := status(got)
	switch {
	case wantCode != gotCode:
		return "status " + wantCode + " not " + gotCode
	case wantMedia != gotMedia:
		return "media type"
	case with(want, "warning: ") != with(got, "warning: "):
		return "warning"
	case strings.Contains(want, "\nkind: Status\n") && with(want, "message: ") != with(got, "message: "):
		return "message"
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	slices.Sort(a)
	slices.Sort(b)
	if slices.Equal(a, b) {
		return "order"
	}
	return "body"
}

// with are the lines of an answer that begin with a word.
func with(answer, word string) string {
	var out []string
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(strings.TrimSpace(line), word) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// keepDifference writes what a reader needs who mends it: the request, what differs, and both answers.
func keepDifference(t *testing.T, file, line string, b transcript.Block, got string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	text := line + "\n\n" + b.Input + "\n==== difference (-upstream +floe)\n" + changed(b.Answer, got) + "\n==== upstream\n" + b.Answer + "\n==== floe\n" + got
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// changed are the lines that one of two texts lacks, in order, with the longest common part left out.
func changed(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("-" + a[i] + "\n")
			i++
		default:
			out.WriteString("+" + b[j] + "\n")
			j++
		}
	}
	return out.String()
}
