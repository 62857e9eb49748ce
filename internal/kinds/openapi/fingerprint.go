package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/floe-k8s/floe/internal/kinds"
)

// FingerprintOf names a list of kinds by all that the documents say of it: groups, resources, verbs and subresources.
func FingerprintOf(list []*kinds.Kind) string {
	h := sha256.New()
	for _, k := range list {
		fmt.Fprintln(h, k.GVK, k.Resource, k.Namespaced, k.Verbs)
		for _, sub := range k.Subresources {
			fmt.Fprintln(h, sub.Name, sub.GVK, sub.Verbs)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
