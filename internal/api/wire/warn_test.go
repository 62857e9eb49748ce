package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWarnings sends fields that there are not: the warnings are each said once, and shortened when they are too many.
func TestWarnings(t *testing.T) {
	s := serve(t)
	warned := func(fields ...string) []string {
		resp := s.send(t, "POST "+configMaps+"?dryRun=All\nContent-Type: application/json\n\n{\"metadata\":{\"name\":\"x\"},"+strings.Join(fields, ",")+"}")
		resp.Body.Close()
		return resp.Header.Values("Warning")
	}
	if got, want := warned(`"a\"b":1`, `"c":1`, `"c":2`), []string{`299 - "unknown field \"a\\\"b\""`, `299 - "unknown field \"c\""`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	long := func(n int) (fields []string) {
		for i := range n {
			fields = append(fields, fmt.Sprintf(`"%s%d":1`, strings.Repeat("x", 500), i))
		}
		return fields
	}
	if got := warned(long(7)...); len(got) != 7 || len(got[0]) < 500 {
		t.Errorf("%d warnings: %.100q", len(got), got)
	}
	if got := warned(long(100)...); len(got) != 16 || len(got[0]) > 300 {
		t.Errorf("%d warnings: %.100q", len(got), got)
	}
}
