package tokenfile

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text, token string
		want              *auth.User
		wantErr           string
	}{
		{"plain", "t,jane,1\n", "t", &auth.User{Name: "jane", UID: "1"}, ""},
		{"groups", `t,jane,1,"a,b"`, "t", &auth.User{Name: "jane", UID: "1", Groups: []string{"a", "b"}}, ""},
		{"further fields count for nothing", "t,jane,1,a,b", "t", &auth.User{Name: "jane", UID: "1", Groups: []string{"a"}}, ""},
		{"another token", "t,jane,1", "u", nil, ""},
		{"no token is no token", ",jane,1", "", nil, ""},
		{"twice", "t,jane,1\nt,joe,2\n", "t", &auth.User{Name: "joe", UID: "2"}, ""},
		{"empty", "", "t", nil, ""},
		{"too few", "a,b,c\nt,jane\n", "t", nil, "token file 'F' must have at least 3 columns (token, user name, user uid), found 2"},
		{"a quote is open", "a,b,c\n\"t,jane,1\n", "t", nil, `token file 'F': parse error on line 2, column 11: extraneous or missing " in quoted-field`},
		{"a quote inside", "t,ja\"ne,1\n", "t", nil, `bare " in non-quoted-field`},
	} {
		tokens, err := read(strings.NewReader(c.text), "F", observe.Discard())
		if c.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		id, ok, err := tokens.Check(t.Context(), c.token, nil)
		if err != nil || ok != (c.want != nil) || ok && !reflect.DeepEqual(&id.User, c.want) {
			t.Errorf("%s: got %v, %v, %v; want %v", c.name, id.User, ok, err, c.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), observe.Discard()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// FuzzRead: whatever stands in the file, nothing panics, and no token is the empty one.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"t,jane,1\n", `t,jane,1,"a,b"`, ",,\n", "\"", "a,b,c\r\n,\x00,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := read(strings.NewReader(text), "F", observe.Discard())
		if err != nil {
			return
		}
		if _, ok, _ := tokens.Check(t.Context(), "", nil); ok {
			t.Errorf("%q: the empty token is good", text)
		}
	})
}
