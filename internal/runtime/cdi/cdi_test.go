package cdi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const head = "cdiVersion: 0.6.0\nkind: vendor.com/gpu\n"

// write makes directories with files, given as DIR/NAME, and returns them in the order of their names.
func write(t *testing.T, files map[string]string) []string {
	t.Helper()
	root, dirs := t.TempDir(), map[string]bool{}
	for name, content := range files {
		path := filepath.Join(root, name)
		dirs[filepath.Dir(path)] = true
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for dir := range dirs {
		all = append(all, dir)
	}
	slices.Sort(all)
	return all
}

func describe(name, env string) string {
	return "- name: " + name + "\n  containerEdits:\n    env: [" + env + "]\n"
}

func TestResolve(t *testing.T) {
	dirs := write(t, map[string]string{
		"1/a.yaml":   head + "containerEdits:\n  env: [ALL=1]\ndevices:\n" + describe("one", "ONE=1") + describe("two", "TWO=1"),
		"1/b.json":   `{"cdiVersion":"0.5.0","kind":"v/c","devices":[{"name":"d","containerEdits":{"env":["SHORT=1"]}}]}`,
		"1/same.yml": "not read",
		"2/a.yaml":   head + "devices:\n" + describe("two", "TWO=2"),
		"2/b.yaml":   "cdiVersion: 0.6.0\nkind: vendor.com/twice\ndevices:\n" + describe("x", "X=1"),
		"2/c.yaml":   "cdiVersion: 0.6.0\nkind: vendor.com/twice\ndevices:\n" + describe("x", "X=2"),
		"2/d.yaml":   "kind: [",
	})
	r, err := Load(append(dirs, filepath.Join(t.TempDir(), "none")))
	for _, want := range []string{`conflicting device "vendor.com/twice=x"`, "d.yaml"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("what Load tells, %v, lacks %q", err, want)
		}
	}
	for names, want := range map[string]string{
		"vendor.com/gpu=one":                    "ALL=1 ONE=1",
		"vendor.com/gpu=two":                    "TWO=2", // the later directory's
		"vendor.com/gpu=two vendor.com/gpu=one": "TWO=2 ALL=1 ONE=1",
		"v/c=d":                                 "SHORT=1",
		"vendor.com/twice=x":                    "unresolvable CDI devices vendor.com/twice=x",
		"vendor.com/gpu=three vendor.com/gpu=one other.com/x=y": "unresolvable CDI devices vendor.com/gpu=three, other.com/x=y",
	} {
		edits, err := r.Resolve(strings.Fields(names))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(edits.Env, " ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", names, got, want)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for content, want := range map[string]string{
		"":                       "no Spec data",
		head + "devices: []\n":   "invalid spec, no devices",
		head + "what: is this\n": "failed to unmarshal CDI Spec",
		"cdiVersion: 9.0.0\nkind: vendor.com/gpu\ndevices:\n" + describe("x", "X=1"):                       `invalid version "9.0.0"`,
		"cdiVersion: 0.6.0\nkind: gpu\ndevices:\n" + describe("x", "X=1"):                                  "invalid vendor",
		"cdiVersion: 0.6.0\nkind: 1/gpu\ndevices:\n" + describe("x", "X=1"):                                "should start with letter",
		"cdiVersion: 0.4.0\nkind: vendor.com/gpu\nannotations: {a: b}\ndevices:\n" + describe("x", "X=1"):  "the spec version must be at least v0.6.0",
		head + "devices:\n" + describe("x", "X=1") + describe("x", "X=2"):                                  `multiple device "x"`,
		head + "devices:\n" + describe("x", "X"):                                                           `invalid environment variable "X"`,
		head + "devices:\n- name: x\n  containerEdits: {}\n":                                               "empty device edits",
		head + "devices:\n- name: x\n  containerEdits:\n    deviceNodes: [{path: /dev/x, type: q}]\n":      `device "/dev/x": invalid type "q"`,
		head + "devices:\n- name: x\n  containerEdits:\n    deviceNodes: [{path: ''}]\n":                   "invalid (empty) device path",
		head + "devices:\n- name: x\n  containerEdits:\n    deviceNodes: [null]\n":                         "null in the list",
		head + "devices:\n- name: x\n  containerEdits:\n    mounts: [{hostPath: /x, containerPath: ''}]\n": "empty container path",
		head + "devices:\n- name: x\n  containerEdits:\n    hooks: [{hookName: never, path: /x}]\n":        `invalid hook name "never"`,
		head + "devices:\n- name: x\n  containerEdits:\n    hooks: [{hookName: poststop, path: ''}]\n":     `invalid hook "poststop" with empty path`,
		strings.Repeat("# a comment\n", maxFile/12+1):                                                      "more than 4194304 bytes",
	} {
		_, err := Load(write(t, map[string]string{"1/a.yaml": content}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: got %v, want %q", content, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		asked       []string
		annotations map[string]string
		want        string
	}{
		{nil, map[string]string{"other": "x"}, ""},
		{[]string{"v.com/c=b", "v.com/c=b"}, map[string]string{"cdi.k8s.io/z": "v.com/c=z", "cdi.k8s.io/a": "v.com/c=a,v.com/c=b"}, "v.com/c=b v.com/c=a v.com/c=z"},
		{nil, map[string]string{"cdi.k8s.io/a": "v/c=d"}, "v/c=d"},
		{nil, map[string]string{"cdi.k8s.io/a": "nonsense"}, `failed to parse CDI device annotations: invalid CDI device name "nonsense"`},
		{nil, map[string]string{"cdi.k8s.io/a": "v.com/_=d"}, `failed to parse CDI device annotations: invalid CDI device name "v.com/_=d"`},
	} {
		names, err := Names(c.asked, c.annotations)
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v, %v: got %q, want %q", c.asked, c.annotations, got, c.want)
		}
	}
}
