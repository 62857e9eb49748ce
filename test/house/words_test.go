package house

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

func TestEveryPackageTellsItsStory(t *testing.T) {
	told, seen := map[string]bool{}, map[string]bool{}
	for _, f := range mustSource(t) {
		if f.test {
			continue
		}
		seen[f.dir] = true
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) >= 80 {
			told[f.dir] = true
		}
	}
	for dir := range seen {
		if !told[dir] {
			t.Errorf("%s has no package comment of at least a sentence or two: what is it for, and what does it leave to others?", dir)
		}
	}
}

// emptyNames say nothing about what a package gives.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "shared", "lib"}

func TestPackagesAreNamedForWhatTheyGive(t *testing.T) {
	for _, f := range mustSource(t) {
		for _, name := range emptyNames {
			if path.Base(f.dir) == name {
				t.Errorf("%s: a package is not called %q", f.dir, name)
			}
		}
	}
}

// clockCalls read or wait on the machine's clock, or draw from the process's random source.
var clockCalls = map[string][]string{
	"time": {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"},
	"rand": {"Int", "IntN", "Intn", "Int63", "Int63n", "Float64", "Perm", "Shuffle", "Uint32", "Uint64", "N"},
}

// clockAllowed are the places that may: programs, the set-up of logs, and input and output deadlines, by name.
var clockAllowed = map[string]string{
	"cmd/":             "programs stand at the edge",
	"internal/observe": "log lines carry the machine's time",
	"test/e2e":         "real machines run on real time",
}

func TestTimeAndChanceAreGiven(t *testing.T) {
	for _, f := range mustSource(t) {
		if f.test || excusedFromClock(f.path) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && setsDeadline(call) {
				return false // a deadline of input or output is on the kernel's clock
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil {
				return true
			}
			for _, name := range clockCalls[pkg.Name] {
				if sel.Sel.Name == name && importsPackage(f, pkg.Name) {
					t.Errorf("%s: %s.%s: take a clock or a seeded source instead", f.fset.Position(n.Pos()), pkg.Name, name)
				}
			}
			return true
		})
	}
}

func setsDeadline(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && strings.HasPrefix(sel.Sel.Name, "Set") && strings.HasSuffix(sel.Sel.Name, "Deadline")
}

func excusedFromClock(p string) bool {
	for prefix := range clockAllowed {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

// importsPackage says whether name is time or math/rand in this file, not crypto/rand or a variable.
func importsPackage(f file, name string) bool {
	for _, imp := range f.ast.Imports {
		switch strings.Trim(imp.Path.Value, `"`) {
		case "time":
			if name == "time" {
				return true
			}
		case "math/rand", "math/rand/v2":
			if name == "rand" && imp.Name == nil {
				return true
			}
		}
	}
	return false
}

func TestTestsNeitherSkipNorSleep(t *testing.T) {
	for _, f := range mustSource(t) {
		if !f.test || strings.HasPrefix(f.path, "test/house/") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow":
				t.Errorf("%s: a test that skips proves nothing: fail loudly when something is missing", f.fset.Position(n.Pos()))
			case "Sleep":
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && !strings.Contains(fileText(f), "testing/synctest") {
					t.Errorf("%s: tests wait for what they want, not for the clock (inside synctest a sleep is virtual)", f.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

func fileText(f file) string {
	var b strings.Builder
	for _, imp := range f.ast.Imports {
		b.WriteString(imp.Path.Value)
	}
	return b.String()
}
