package house

import (
	"strconv"
	"strings"
	"testing"
)

// arrow says what a folder (and all below it) may import of floe. A longer folder comes before a shorter one.
type arrow struct {
	from string
	may  []string
}

// arrows is the architecture's import graph (docs/architecture.md). "invariants", "observe" and "configfile" are open to all.
var arrows = []arrow{
	{"internal/invariants", nil},
	{"internal/observe", nil},
	{"internal/configfile", nil},
	{"internal/kinds", []string{"internal/kinds"}},
	{"internal/store", []string{"internal/store"}},
	{"internal/pki", []string{"internal/pki"}},
	{"internal/auth", []string{"internal/auth", "internal/kinds"}},
	{"internal/client/inprocess", []string{"internal/client", "internal/api", "internal/auth", "internal/kinds", "internal/store"}},
	{"internal/client/remote", []string{"internal/client", "internal/api", "internal/kinds", "internal/store"}},
	{"internal/client", []string{"internal/client", "internal/kinds"}},
	{"internal/admission", []string{"internal/admission", "internal/api/jsonpatch", "internal/auth", "internal/kinds"}},
	{"internal/api", []string{"internal/api", "internal/admission", "internal/auth", "internal/kinds", "internal/store"}},
	{"internal/controller/controllertest/bed", []string{"internal"}},                                                         // for tests alone
	{"internal/controller/apiservice", []string{"internal/controller", "internal/client", "internal/kinds", "internal/pki"}}, // reads authorities, a leaf
	{"internal/controller", []string{"internal/controller", "internal/client", "internal/kinds"}},
	{"internal/scheduler", []string{"internal/scheduler", "internal/client", "internal/kinds"}},
	{"internal/node", []string{"internal/node", "internal/client", "internal/kinds"}},
	{"internal/simulate", []string{"internal/simulate", "internal/client", "internal/kinds"}},
	{"internal/network", []string{"internal/network", "internal/client", "internal/kinds", "internal/runtime"}},
	{"internal/runtime/shim", []string{"internal/runtime"}},
	{"internal/runtime", []string{"internal/runtime"}},
	{"internal/bench", []string{"internal/bench"}},
	{"internal/carry", []string{"internal/carry"}},
	{"internal/cluster", []string{"internal", "pkg"}},
	{"cmd/floe-shim", []string{"internal/runtime"}},
	{"cmd/floe-tool", nil},
	{"cmd/floe-kubectl", nil},
	{"cmd/floe-bench", []string{"internal/bench"}},
	{"cmd/floe", []string{"internal"}},
	{"pkg/floetest", []string{"internal"}},
	{"test", []string{"internal", "pkg", "test"}},
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func allowed(from, to string) (ok, known bool) {
	for _, a := range arrows {
		if !within(from, a.from) {
			continue
		}
		for _, may := range append(a.may, "internal/invariants", "internal/observe", "internal/configfile") {
			if within(to, may) {
				return true, true
			}
		}
		return false, true
	}
	return false, false
}

func TestImportsRunOneWay(t *testing.T) {
	for _, f := range mustSource(t) {
		if f.test && !within(f.dir, "internal/kinds") {
			continue // a test may reach for neighbours; kinds stay pure even there
		}
		for _, imp := range f.ast.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, f, path)
		}
	}
}

func checkImport(t *testing.T, f file, path string) {
	t.Helper()
	if reason, bad := refusedImport(f, path); bad {
		t.Errorf("%s imports %s: %s", f.path, path, reason)
	}
	to, ours := strings.CutPrefix(path, module)
	if !ours {
		return
	}
	switch ok, known := allowed(f.dir, to); {
	case !known:
		t.Errorf("%s: the folder has no line in the list of import arrows (test/house/imports_test.go)", f.path)
	case !ok:
		t.Errorf("%s imports %s: against the arrows of docs/architecture.md", f.path, to)
	}
}

// refusedImport says why a foreign package may not be imported, following the design's "never in the product".
func refusedImport(f file, path string) (reason string, bad bool) {
	switch {
	case within(path, "k8s.io/kubernetes"):
		return "upstream's server code is written anew here, never linked", true
	case within(path, "k8s.io/apiserver/pkg/server"), within(path, "k8s.io/apiserver/pkg/endpoints"),
		within(path, "k8s.io/apiserver/pkg/registry"), within(path, "k8s.io/apiserver/pkg/storage"):
		return "serving and storing are what floe exists for", true
	case path == "math/rand" || path == "math/rand/v2":
		return "", false // the calls are checked, the types are welcome
	case within(path, "github.com/opencontainers/runc") && !within(f.dir, "cmd/floe-shim"):
		return "libcontainer lives in floe-shim alone, the only program with cgo", true
	}
	return "", false
}
