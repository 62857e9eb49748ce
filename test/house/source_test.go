package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/floe-k8s/floe/"

// file is one parsed Go file of the repository, generated files and other modules excepted.
type file struct {
	path  string // slash-separated, from the repository's root
	dir   string
	test  bool
	lines int
	ast   *ast.File
	fset  *token.FileSet
}

var source = sync.OnceValues(readSource)

// roots are the folders that the main module's source stands in.
var roots = []string{"cmd", "internal", "pkg", "test/alone", "test/e2e", "test/house", "test/peers/answers", "test/peers/corpus", "test/peers/exchange", "test/peers/logbench",
	"test/peers/publish", "test/peers/published", "test/peers/scheduling", "test/peers/sender", "test/peers/table", "test/peers/transcribe", "test/peers/transcript"}

func readSource() ([]file, error) {
	var files []file
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_gen.go") {
				return ignoreAbsent(err)
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel("../..", path)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			files = append(files, file{
				path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go"),
				lines: fset.File(parsed.FileStart).LineCount(), ast: parsed, fset: fset,
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// ignoreAbsent lets a root that does not exist yet pass.
func ignoreAbsent(err error) error {
	if err == nil || strings.Contains(err.Error(), "no such file") {
		return nil
	}
	return err
}

func mustSource(t *testing.T) []file {
	t.Helper()
	files, err := source()
	if err != nil {
		t.Fatalf("reading the source: %v", err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files: the test looks in the wrong place", len(files))
	}
	return files
}
