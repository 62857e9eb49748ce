package aggregate

import (
	"strings"
	"testing"
)

func TestModest(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"nothing":          {"", true},
		"as many objects":  {strings.Repeat("{", maxObjects), true},
		"too many objects": {strings.Repeat("{", maxObjects+1), false},
		"as many values":   {strings.Repeat(",", maxValues), true},
		"too many values":  {strings.Repeat(",", maxValues) + "[", false},
		"a long text":      {strings.Repeat("a", maxDiscovery), true},
	} {
		if got := modest([]byte(c.body)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestBound: the documents that come first are kept.
func TestBound(t *testing.T) {
	third := &Described{paths: make([]byte, maxKept/4), Converted: make([]byte, maxKept/4)}
	list := []Version{{Described: third}, {}, {Described: third}, {Described: third}, {Described: &Described{paths: []byte("{}")}}}
	bound(list)
	for i, want := range []bool{true, false, true, false, false} {
		if got := list[i].Described != nil; got != want {
			t.Errorf("document %d is kept: %t, want %t", i, got, want)
		}
	}
}
