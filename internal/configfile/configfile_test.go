package configfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type thing struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Rules      []struct {
		Name  string `json:"name"`
		Count int    `json:"count"`
	} `json:"rules"`
}

// TestErrorsNameLineAndField.
func TestErrorsNameLineAndField(t *testing.T) {
	const head = "apiVersion: x.io/v1\nkind: Thing\n"
	wanted := []schema.GroupVersionKind{{Group: "x.io", Version: "v1", Kind: "Thing"}}
	validate := func(v *thing) (errs field.ErrorList) {
		for i, r := range v.Rules {
			if r.Name == "" {
				errs = append(errs, field.Required(field.NewPath("rules").Index(i).Child("name"), "give one"))
			}
		}
		return errs
	}
	for _, c := range []struct{ what, text, want string }{
		{"good", head + "rules:\n- name: a\n", ""},
		{"JSON", `{"apiVersion":"x.io/v1","kind":"Thing","rules":[{"name":"a"}]}`, ""},
		{"unknown field", head + "rules:\n- name: a\n- name: b\n  nmae: c\n", `FILE:6: unknown field "rules[1].nmae"`},
		{"case of a field", head + "Rules: []\n", `FILE:3: unknown field "Rules"`},
		{"twice", head + "rules: []\nrules: []\n", `line 4: key "rules" already set`},
		{"other type", head + "rules:\n- name: a\n- count: many\n", "FILE:5: json: cannot unmarshal string"},
		{"not valid", head + "rules:\n- name: a\n- count: 2\n", "FILE:5: rules[1].name: Required value: give one"},
		{"other version", "apiVersion: x.io/v2\nkind: Thing\n", `FILE:1: apiVersion "x.io/v2", kind "Thing": must be x.io/v1 Thing`},
		{"no YAML", head + "rules: [\n", "FILE: yaml: line"},
		{"two documents", head + "---\n" + head, "FILE: more than one document"},
		{"empty", "", "FILE: EOF"},
		{"a list", "- a\n", "FILE:1: json: cannot unmarshal array"},
		{"too large", head + "# " + strings.Repeat("x", maxSize), "FILE: larger than 1048576 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var into thing
		err := Read(path, wanted, &into, validate)
		want := strings.ReplaceAll(c.want, "FILE", path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", c.what, err, want)
		}
	}
	if err := Read(filepath.Join(t.TempDir(), "none"), wanted, new(thing), validate); !os.IsNotExist(err) {
		t.Errorf("absent file: %v", err)
	}
}

// TestDocuments: errors name the lines of the file, in whichever document they are.
func TestDocuments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	text := "# first\n---\napiVersion: x.io/v1\nkind: Thing\n---\n\n# nothing\n---\napiVersion: x.io/v1\nkind: Thing\nrules:\n- nmae: a\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	docs, err := Documents(path)
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents, %v; want 2", len(docs), err)
	}
	wanted := []schema.GroupVersionKind{{Group: "x.io", Version: "v1", Kind: "Thing"}}
	for i, want := range []string{"", ":12: unknown field"} {
		var v thing
		err := Decode(path, docs[i], wanted, &v, func(*thing) field.ErrorList { return nil })
		if got := TypeOf(docs[i]); got != wanted[0] {
			t.Errorf("document %d is of %v", i, got)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("document %d: %v, want %q", i, err, want)
		}
	}
}
