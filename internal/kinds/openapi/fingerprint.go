package openapi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/floe-k8s/floe/internal/kinds"
)

// sources are the files, besides the kinds, that the documents are made from. Of the go.mod files only the modules of the API's types count.
var sources = [...]string{"go.mod", "tools/go.mod", "hack/generate", "internal/kinds/openapi/generate/*.go"}

// FingerprintOf names all that the documents are made from: what they say of the kinds, the generator, and the versions of the API's types.
// repository is floe's own root.
func FingerprintOf(list []*kinds.Kind, repository fs.FS) (string, error) {
	h := sha256.New()
	for _, k := range list {
		fmt.Fprintln(h, k.GVK, k.Resource, k.Namespaced, k.Verbs, k.ReturnDeleted)
		for _, sub := range k.Subresources {
			fmt.Fprintln(h, sub.Name, sub.GVK, sub.Verbs, sub.New != nil)
		}
	}
	for _, pattern := range sources {
		names, err := fs.Glob(repository, pattern)
		if err == nil && len(names) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return "", fmt.Errorf("fingerprint of the OpenAPI documents: %s: %w", pattern, err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(repository, name)
			if err != nil {
				return "", fmt.Errorf("fingerprint of the OpenAPI documents: %w", err)
			}
			if strings.HasSuffix(name, "go.mod") {
				data = typeModules(data)
			}
			fmt.Fprintln(h, name, len(data))
			h.Write(data)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// typeModules keeps the lines of a go.mod that name the modules of the API's types.
func typeModules(mod []byte) (out []byte) {
	for lines := bufio.NewScanner(bytes.NewReader(mod)); lines.Scan(); {
		switch f := strings.Fields(lines.Text()); {
		case len(f) < 2:
		case strings.HasPrefix(f[0], "k8s.io/api"), f[0] == "k8s.io/kube-aggregator", f[0] == "k8s.io/kube-openapi":
			out = fmt.Appendln(out, f[0], f[1])
		}
	}
	return out
}
