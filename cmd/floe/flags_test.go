package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/cluster"
)

// flagsOf are the flags of floe server, on a configuration of their own.
func flagsOf() (*pflag.FlagSet, *cluster.Config) {
	cfg, file := cluster.DefaultConfig(), ""
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	serverFlags(flags, &cfg, &file)
	return flags, &cfg
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestEveryFlagOfKubeAPIServer is offered, or stands in upstream.tsv with the reason why it is not.
func TestEveryFlagOfKubeAPIServer(t *testing.T) {
	names := strings.Fields(read(t, "testdata/kube-apiserver.txt"))
	flags, _ := flagsOf()
	listed := map[string]*fixed{}
	for _, f := range upstreamFlags() {
		if listed[f.name] != nil || !slices.Contains(names, f.name) {
			t.Errorf("upstream.tsv: %s stands there twice, or is no flag of kube-apiserver", f.name)
		}
		if states := []string{"later", "fixed", "refused"}; !slices.Contains(states, f.state) || (f.state == "fixed") != (len(f.values) > 0) || f.why == "" {
			t.Errorf("upstream.tsv: %s: state %q, values %v, why %q", f.name, f.state, f.values, f.why)
		}
		listed[f.name] = f
	}
	for _, name := range names {
		if name == "help" || name == "version" { // cobra's
			continue
		}
		flag := flags.Lookup(name)
		offered := flag != nil && !flag.Hidden
		switch f := listed[name]; {
		case offered == (f != nil):
			t.Errorf("--%s: offered %t, in upstream.tsv %t: must be one of both", name, offered, f != nil)
		case f != nil && f.state == "later" && flag != nil:
			t.Errorf("--%s: is there, and in upstream.tsv it comes later", name)
		}
	}
}

// TestFlagsWithoutAChoice: they take what floe does anyhow, and refuse the rest with the reason.
func TestFlagsWithoutAChoice(t *testing.T) {
	for given, want := range map[string]string{
		"--watch-cache":                         "",
		"--watch-cache=true":                    "",
		"--watch-cache=false":                   "must be true: lists and watches are always answered from the table in memory",
		"--emulated-version=kube=1.36":          "",
		"--emulated-version=1.35":               "must be 1.36 or kube=1.36",
		"--storage-media-type=application/json": "must be application/vnd.kubernetes.protobuf",
		"--allow-privileged":                    "",
		"--emulation-forward-compatible":        "must be false",
		"--cert-dir=/x":                         "floe does not have this flag of kube-apiserver: certificates",
		"--kubelet-timeout=5s":                  "unknown flag",
	} {
		flags, _ := flagsOf()
		if err := flags.Parse([]string{given}); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}

// leaves are the values of a configuration by their paths.
func leaves(t *testing.T, cfg *cluster.Config) map[string]string {
	t.Helper()
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	walk(t, data, "", out)
	return out
}

func walk(t *testing.T, data []byte, path string, out map[string]string) {
	t.Helper()
	var part map[string]json.RawMessage
	if json.Unmarshal(data, &part) != nil || path == "api.featureGates" || path == "api.runtimeConfig" || path == "api.allowMetricLabels" {
		out[path] = string(data)
		return
	}
	for name, value := range part {
		walk(t, value, strings.TrimPrefix(path+"."+name, "."), out)
	}
}

// other is a value that no flag of a type has by default.
func other(t *testing.T, f *pflag.Flag) string {
	t.Helper()
	switch f.Value.Type() {
	case "bool":
		return fmt.Sprint(f.Value.String() != "true")
	case "int", "int32", "int64", "int32Slice":
		return "29"
	case "float64", "float32":
		return "0.01"
	case "duration":
		return "29s"
	case "string", "stringSlice", "stringArray":
		return "29"
	case "stringToString":
		return "a,b=29"
	case "NAME=true|false,...":
		return "A=true"
	}
	t.Fatalf("--%s: a flag of type %s", f.Name, f.Value.Type())
	return ""
}

// TestEachFlagIsAField: it changes one field of the file, whose line in the documentation names it.
func TestEachFlagIsAField(t *testing.T) {
	lines := strings.Split(example(t), "\n")
	all, _ := flagsOf()
	all.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "config" {
			return
		}
		flags, cfg := flagsOf()
		before := leaves(t, cfg)
		if err := flags.Set(f.Name, other(t, f)); err != nil {
			t.Errorf("--%s: %v", f.Name, err)
			return
		}
		after := leaves(t, cfg)
		var changed []string
		for path, value := range after {
			if before[path] != value {
				changed = append(changed, path)
			}
		}
		if len(changed) != 1 {
			t.Errorf("--%s: changes the fields %v", f.Name, changed)
			return
		}
		field := changed[0][strings.LastIndex(changed[0], ".")+1:]
		if !slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(strings.TrimSpace(line), field+":") && slices.Contains(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" :;,", r) }), "--"+f.Name)
		}) {
			t.Errorf("--%s: docs/configuration.md does not name it beside %s", f.Name, field)
		}
	})
}

// example is the file in the documentation.
func example(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, "../../docs/configuration.md"), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/configuration.md has no example")
	}
	return text
}

// fields are the paths of a configuration's fields.
func fields(of reflect.Type, path string, out map[string]bool) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		if f.Anonymous { // its fields are the struct's own
			at = path
		}
		switch f.Type {
		case reflect.TypeFor[metav1.Duration](), reflect.TypeFor[resource.Quantity]():
			out[at] = true
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			fields(f.Type, at, out)
			continue
		}
		out[at] = true
	}
}

// TestTheExampleIsTheDefault: the documentation shows every field, with the value that it has when nothing is said.
func TestTheExampleIsTheDefault(t *testing.T) {
	data, err := yaml.YAMLToJSONStrict([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	shown, there := map[string]string{}, map[string]bool{}
	walk(t, data, "", shown)
	fields(reflect.TypeFor[cluster.Config](), "", there)
	if got, want := slices.Sorted(maps.Keys(shown)), slices.Sorted(maps.Keys(there)); !slices.Equal(got, want) {
		t.Errorf("fields shown\n%v\nfields that there are\n%v", got, want)
	}
	cfg := cluster.DefaultConfig()
	if err := yaml.UnmarshalStrict([]byte(example(t)), &cfg); err != nil {
		t.Fatal(err)
	}
	got, want := leaves(t, &cfg), leaves(t, new(cluster.DefaultConfig()))
	for path, value := range got {
		if path != "apiVersion" && path != "kind" && !strings.HasPrefix(path, "store.") && want[path] != value { // those of the store differ with etcd
			t.Errorf("%s: shown as %s, and %s by default", path, value, want[path])
		}
	}
}
