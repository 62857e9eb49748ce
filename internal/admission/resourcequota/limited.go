package resourcequota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds/quota"
)

// Limited is consumption that needs a quota which covers it, as upstream's configuration of the plug-in says.
type Limited struct {
	Group, Resource string
	Contains        []string // parts of the names of what is used: "requests.cpu", ".storageclass.storage.k8s.io/"
	Scopes          []corev1.ScopedResourceSelectorRequirement
}

// uncovered refuses what is limited by default and no quota covers: covered are the names, and scopes the scopes, of quotas of the namespace.
func (w *write) uncovered(limited []Limited, group schema.GroupResource, covered []corev1.ResourceName, scopes []corev1.ScopedResourceSelectorRequirement) error {
	var bare []corev1.ResourceName
	var open []corev1.ScopedResourceSelectorRequirement
	for _, l := range limited {
		for _, s := range l.Scopes {
			if w.meter.InScope(s, w.obj) && !slices.ContainsFunc(scopes, func(has corev1.ScopedResourceSelectorRequirement) bool { return has.ScopeName == s.ScopeName }) {
				open = append(open, s)
			}
		}
		if group != (schema.GroupResource{Group: l.Group, Resource: l.Resource}) {
			continue
		}
		for _, name := range quota.Names(w.used) {
			q := w.used[name]
			if q.Sign() > 0 && slices.ContainsFunc(l.Contains, func(part string) bool { return strings.Contains(string(name), part) }) && !slices.Contains(covered, name) {
				bare = append(bare, name)
			}
		}
	}
	if len(bare) > 0 {
		return w.Forbidf("insufficient quota to consume: %s", join(bare))
	}
	if len(open) > 0 {
		return fmt.Errorf("insufficient quota to match these scopes: %v", open)
	}
	return nil
}
