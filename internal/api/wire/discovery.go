package wire

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// everyVerb is what a kind has that names no verbs.
var everyVerb = [...]string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// discovery is what is served, in the three forms that clients ask for: lists of groups, lists of resources, and both together (KEP-3352).
type discovery struct {
	// versions are the groups' versions in their order, kinds what each has, and groups each group's versions.
	versions []schema.GroupVersion
	kinds    map[schema.GroupVersion][]*kinds.Kind
	groups   map[string][]schema.GroupVersion
	// shown and members are versions and groups with those that somebody else answers for, which are in added.
	shown   []schema.GroupVersion
	members map[string][]schema.GroupVersion
	added   map[schema.GroupVersion]apidiscoveryv2.APIVersionDiscovery
	types   func() map[schema.GroupVersionKind]bool // that a body may say it is; made when first asked for
	// core and named are everything below /api and /apis together, made when first asked for.
	core, named func() aggregated
}

// aggregated is what stands below one path, with the tag that it has in every encoding. It is shared.
type aggregated struct {
	list *apidiscoveryv2.APIGroupDiscoveryList
	tag  string
}

func newDiscovery(list []*kinds.Kind) discovery {
	d := discovery{kinds: map[schema.GroupVersion][]*kinds.Kind{}, groups: map[string][]schema.GroupVersion{}}
	for _, k := range list {
		gv := k.GVK.GroupVersion()
		if d.kinds[gv] == nil {
			d.versions = append(d.versions, gv)
			d.groups[gv.Group] = append(d.groups[gv.Group], gv)
		}
		d.kinds[gv] = append(d.kinds[gv], k)
	}
	d.shown, d.members = d.versions, d.groups
	d.types = sync.OnceValue(func() map[schema.GroupVersionKind]bool { return typesOf(list) })
	d.core = sync.OnceValue(func() aggregated { return d.aggregate(true) })
	d.named = sync.OnceValue(func() aggregated { return d.aggregate(false) })
	return d
}

// typesOf are the types of bodies and answers: the kinds, their lists, the bodies of their subresources, and the options of every group.
func typesOf(list []*kinds.Kind) map[schema.GroupVersionKind]bool {
	types := map[schema.GroupVersionKind]bool{{Version: "v1", Kind: "Status"}: true}
	for _, k := range list {
		types[k.GVK] = true
		if k.NewList != nil {
			types[listGVK(k)] = true
		}
		for _, part := range k.Subresources {
			types[part.GVK] = true
		}
		for _, name := range [...]string{"ListOptions", "GetOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "DeleteOptions", "WatchEvent"} {
			types[k.GVK.GroupVersion().WithKind(name)] = true
		}
	}
	return types
}

func mustJSON(v any) ([]byte, string) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs
	}
	sum := sha512.Sum512(data)
	return data, strings.ToUpper(hex.EncodeToString(sum[:]))
}

// knows says whether there is a type.
func (d discovery) knows(gvk schema.GroupVersionKind) bool { return d.types()[gvk] }

// serves says whether a group is served in any version.
func (d discovery) serves(group string) bool { return len(d.groups[group]) > 0 }

// answers says whether a path that has nothing to discover is refused with a Status, as below /api and the groups that are served, or with plain text.
func (d discovery) answers(parts []string) bool {
	return parts[0] == "api" || len(parts) > 1 && parts[0] == "apis" && d.serves(parts[1])
}

// Served are the groups and versions that the server always answers for itself.
func (h *Handler) Served() (out []schema.GroupVersion) {
	for _, k := range h.API.Config.Kinds {
		if gv := k.GVK.GroupVersion(); h.Serves(k.GVR()) && !slices.Contains(out, gv) {
			out = append(out, gv)
		}
	}
	return out
}

// legacy returns the discovery object of a path; nil when there is none.
func (d discovery) legacy(parts []string, host string) runtime.Object {
	switch {
	case len(parts) == 1 && parts[0] == "api":
		return &metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: host}},
		}
	case len(parts) == 2 && parts[0] == "api":
		return d.resources(schema.GroupVersion{Version: parts[1]})
	case len(parts) == 1 && parts[0] == "apis":
		list := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{}}
		for _, gv := range d.shown {
			if gv.Group != "" && d.members[gv.Group][0] == gv {
				list.Groups = append(list.Groups, d.group(gv.Group))
			}
		}
		return list
	case len(parts) == 2 && parts[0] == "apis":
		g := d.group(parts[1])
		if len(g.Versions) == 0 {
			return nil
		}
		g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		return &g
	case len(parts) == 3 && parts[0] == "apis":
		return d.resources(schema.GroupVersion{Group: parts[1], Version: parts[2]})
	}
	return nil
}

func (d discovery) group(name string) metav1.APIGroup {
	g := metav1.APIGroup{Name: name}
	for _, gv := range d.members[name] {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version})
	}
	if len(g.Versions) > 0 {
		g.PreferredVersion = g.Versions[0]
	}
	return g
}

func (d discovery) resources(gv schema.GroupVersion) runtime.Object {
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	if gv.Group == "" {
		list.APIVersion = ""
	}
	for _, k := range d.kinds[gv] {
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.Resource, SingularName: k.Singular, Namespaced: k.Namespaced, Kind: k.GVK.Kind, Verbs: verbsOf(k),
			ShortNames: k.ShortNames, Categories: k.Categories, StorageVersionHash: storageHash(k),
		})
		for _, sub := range k.Subresources {
			r := metav1.APIResource{Name: k.Resource + "/" + sub.Name, Namespaced: k.Namespaced, Kind: sub.GVK.Kind, Verbs: sub.Verbs}
			if sub.GVK.GroupVersion() != gv {
				r.Group, r.Version = sub.GVK.Group, sub.GVK.Version
			}
			list.APIResources = append(list.APIResources, r)
		}
	}
	if len(list.APIResources) == 0 {
		return nil
	}
	slices.SortStableFunc(list.APIResources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func verbsOf(k *kinds.Kind) []string {
	if k.Verbs != nil {
		return k.Verbs
	}
	return everyVerb[:]
}

// storageHash is upstream's short name for the version that objects are stored in; "" for kinds that are not stored.
func storageHash(k *kinds.Kind) string {
	if !slices.Contains(verbsOf(k), "watch") {
		return ""
	}
	k = k.Stored()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s", k.GVK.Group, cmp.Or(k.StoredIn, k.GVK.Version), k.GVK.Kind))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

// aggregate makes everything that is served below /api (core) or /apis.
func (d discovery) aggregate(core bool) aggregated {
	list := &apidiscoveryv2.APIGroupDiscoveryList{Items: []apidiscoveryv2.APIGroupDiscovery{}}
	for _, gv := range d.shown {
		if (gv.Group == "") != core || d.members[gv.Group][0] != gv {
			continue
		}
		group := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: gv.Group}}
		for _, gv := range d.members[gv.Group] {
			group.Versions = append(group.Versions, d.version(gv))
		}
		list.Items = append(list.Items, group)
	}
	_, tag := mustJSON(list) // upstream's tags know nothing of the list's own type
	list.TypeMeta = metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2"}
	return aggregated{list, tag}
}

func (d discovery) version(gv schema.GroupVersion) apidiscoveryv2.APIVersionDiscovery {
	if v, ok := d.added[gv]; ok {
		return v
	}
	v := apidiscoveryv2.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
	for _, k := range d.kinds[gv] {
		r := apidiscoveryv2.APIResourceDiscovery{
			Resource: k.Resource, ResponseKind: responseKind(k.GVK, gv), Scope: apidiscoveryv2.ScopeCluster, SingularResource: k.Singular,
			Verbs: verbsOf(k), ShortNames: k.ShortNames, Categories: k.Categories,
		}
		if k.Namespaced {
			r.Scope = apidiscoveryv2.ScopeNamespace
		}
		for _, sub := range k.Subresources {
			r.Subresources = append(r.Subresources, apidiscoveryv2.APISubresourceDiscovery{
				Subresource: sub.Name, ResponseKind: responseKind(sub.GVK, gv), Verbs: sub.Verbs,
			})
		}
		v.Resources = append(v.Resources, r)
	}
	return v
}

// responseKind names a kind; group and version are empty where they are those of the list it stands in.
func responseKind(gvk schema.GroupVersionKind, in schema.GroupVersion) *metav1.GroupVersionKind {
	if gvk.GroupVersion() == in {
		return &metav1.GroupVersionKind{Kind: gvk.Kind}
	}
	return &metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
}
