package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Normalize completes an image name as users expect: nginx is docker.io/library/nginx:latest.
func Normalize(ref string) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", ref, err)
	}
	return canonical(r.Name()), nil
}

// repository is the name without tag or digest.
func repository(full string) (string, error) {
	r, err := name.ParseReference(full)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", full, err)
	}
	return canonical(r.Context().Name()), nil
}

// canonical names Docker's registry as everybody does; the library names the host behind it.
func canonical(full string) string {
	if rest, ok := strings.CutPrefix(full, "index.docker.io/"); ok {
		return "docker.io/" + rest
	}
	return full
}
