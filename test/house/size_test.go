package house

import (
	"go/ast"
	"testing"
)

const (
	maxFileLines      = 600
	maxFunctionLines  = 100
	maxInterfaceCalls = 5
)

// exceptions names what may be larger than the house allows, each with its reason. A line that is not needed fails.
var exceptions = map[string]string{}

func TestSizes(t *testing.T) {
	used := map[string]bool{}
	excused := func(name string) bool {
		_, ok := exceptions[name]
		used[name] = ok
		return ok
	}
	for _, f := range mustSource(t) {
		if f.lines > maxFileLines && !excused(f.path) {
			t.Errorf("%s has %d lines (at most %d): one subject a file", f.path, f.lines, maxFileLines)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := f.fset.Position(n.End()).Line - f.fset.Position(n.Pos()).Line + 1
				if lines > maxFunctionLines && !excused(f.path+" "+n.Name.Name) {
					t.Errorf("%s: %s has %d lines (at most %d): one level a function", f.path, n.Name.Name, lines, maxFunctionLines)
				}
			case *ast.TypeSpec:
				checkInterface(t, f, n, excused)
			}
			return true
		})
	}
	for name, reason := range exceptions {
		if !used[name] {
			t.Errorf("the exception for %q (%s) is not needed: remove it", name, reason)
		}
	}
}

func checkInterface(t *testing.T, f file, spec *ast.TypeSpec, excused func(string) bool) {
	t.Helper()
	iface, ok := spec.Type.(*ast.InterfaceType)
	if !ok || iface.Methods == nil {
		return
	}
	if n := len(iface.Methods.List); n > maxInterfaceCalls && !excused(f.path+" "+spec.Name.Name) {
		t.Errorf("%s: interface %s has %d methods (at most %d): split it by role", f.path, spec.Name.Name, n, maxInterfaceCalls)
	}
}
