package history

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestDifference(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"nothing", `{"a":1}`, `{"a":1}`, ""},
		{"value", `{"spec":{"replicas":1}}`, `{"spec":{"replicas":2}}`, "~ spec.replicas: 1 → 2"},
		{"added and removed", `{"a":1,"b":{"c":"x"}}`, `{"b":{"c":"x","d":[1]},"e":null}`, "- a: 1|+ b.d: [1]|+ e: null"},
		{"another type", `{"a":{"b":1}}`, `{"a":[1]}`, `~ a: {"b":1} → [1]`},
		{"by name", `{"c":[{"name":"x","image":"1"},{"name":"y"}]}`, `{"c":[{"name":"z"},{"name":"x","image":"2"}]}`,
			`~ c[x].image: "1" → "2"|- c[y]: {"name":"y"}|+ c[z]: {"name":"z"}`},
		{"by type", `{"c":[{"type":"Ready","status":"False"}]}`, `{"c":[{"type":"Ready","status":"True"}]}`, `~ c[Ready].status: "False" → "True"`},
		{"by place", `{"args":["a","b"]}`, `{"args":["a","c","d"]}`, `~ args[1]: "b" → "c"|+ args[2]: "d"`},
		{"twice the same name", `{"c":[{"name":"x"},{"name":"x"}]}`, `{"c":[{"name":"x"}]}`, `- c[1]: {"name":"x"}`},
		{"label", `{"metadata":{"labels":{}}}`, `{"metadata":{"labels":{"app.kubernetes.io/name":"web"}}}`, `+ metadata.labels["app.kubernetes.io/name"]: "web"`},
		{"unsaid", `{"metadata":{"resourceVersion":"1"}}`, `{"metadata":{"resourceVersion":"2","managedFields":[]}}`, ""},
		{"from nothing", ``, `{"a":1}`, `~ : null → {"a":1}`},
	} {
		got, err := Difference([]byte(c.from), []byte(c.to))
		if err != nil || strings.Join(got, "|") != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := Difference([]byte("{"), nil); err == nil {
		t.Error("half an object was compared")
	}
}

func TestWrite(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	var out bytes.Buffer
	err := Write(&out, []Version{
		{Revision: 9, Previous: 8, Deleted: true, Actor: "ann", Time: at},
		{Revision: 8, Previous: 7, Object: []byte(`{"a":2}`), Actor: "bob", Cause: "rollout", Time: at},
		{Revision: 5, Previous: 4, Object: []byte(`{"a":1}`)},
		{Revision: 4, Object: []byte(`{"a":1}`), Actor: "ann", Time: at},
	})
	const want = `revision 4  2026-01-02 03:04:05.006 UTC  ann
    created
revision 5  at an unknown time  unknown
    no field changed
revision 8  2026-01-02 03:04:05.006 UTC  bob  because of rollout
    versions up to 7 are not kept; since revision 5:
    ~ a: 1 → 2
revision 9  2026-01-02 03:04:05.006 UTC  ann
    deleted
`
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
}

func FuzzDifference(f *testing.F) {
	f.Add(`{"a":[{"name":"x"}]}`, `{"a":[1]}`)
	f.Fuzz(func(t *testing.T, from, to string) {
		lines, err := Difference([]byte(from), []byte(to))
		if err == nil && from == to && len(lines) > 0 {
			t.Errorf("%s differs from itself: %q", from, lines)
		}
	})
}
