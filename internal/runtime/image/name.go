package image

import (
	"fmt"

	"github.com/distribution/reference"
)

// Normalize completes an image name as Docker does: nginx is docker.io/library/nginx:latest. Of a name with tag and digest the digest stays.
func Normalize(ref string) (string, error) {
	named, err := parseName(ref)
	if err != nil {
		return "", err
	}
	return named.String(), nil
}

func parseName(ref string) (reference.Named, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", ref, err)
	}
	return named, nil
}

// repository is the name without tag or digest.
func repository(full string) (string, error) {
	named, err := parseName(full)
	if err != nil {
		return "", err
	}
	return named.Name(), nil
}
