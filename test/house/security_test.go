package house

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	// namedTest matches a test as docs/security.md names it: a package's folder and a function.
	namedTest = regexp.MustCompile("`([a-z][a-z0-9_/-]*) ((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`")
	// threat matches the beginning of a line that describes one.
	threat = regexp.MustCompile(`^\| T\d+ \|`)
	// anyTest matches a test's name however it is written.
	anyTest = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*`)
)

// TestThreatsNameTestsThatExist keeps the threat model true: each threat names a test, and each test that it names is in the package that it names.
func TestThreatsNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range mustSource(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				there[f.dir+" "+fn.Name.Name] = true
			}
		}
	}
	threats := 0
	for n, line := range strings.Split(string(text), "\n") {
		found := namedTest.FindAllStringSubmatch(line, -1)
		for _, m := range found {
			if !there[m[1]+" "+m[2]] {
				t.Errorf("docs/security.md:%d: there is no %s in %s", n+1, m[2], m[1])
			}
		}
		if all := anyTest.FindAllString(line, -1); len(all) != len(found) {
			t.Errorf("docs/security.md:%d: of the tests %q only %d are named as `PACKAGE TEST`", n+1, all, len(found))
		}
		if threat.MatchString(line) {
			if threats++; len(found) == 0 {
				t.Errorf("docs/security.md:%d: a threat without a test belongs below \"Not yet covered\"", n+1)
			}
		}
	}
	if threats < 40 {
		t.Errorf("docs/security.md lists %d threats; its tables are gone", threats)
	}
}
