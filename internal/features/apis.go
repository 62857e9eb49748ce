package features

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// others are the API versions that upstream has and does not serve by default. floe serves none of them so far.
var others = [...]string{
	"admissionregistration.k8s.io/v1alpha1", "admissionregistration.k8s.io/v1beta1", "authentication.k8s.io/v1alpha1", "authentication.k8s.io/v1beta1",
	"certificates.k8s.io/v1alpha1", "certificates.k8s.io/v1beta1", "coordination.k8s.io/v1alpha2", "coordination.k8s.io/v1beta1",
	"flowcontrol.apiserver.k8s.io/v1beta1", "flowcontrol.apiserver.k8s.io/v1beta2", "flowcontrol.apiserver.k8s.io/v1beta3", "internal.apiserver.k8s.io/v1alpha1",
	"networking.k8s.io/v1beta1", "resource.k8s.io/v1alpha3", "resource.k8s.io/v1beta1", "resource.k8s.io/v1beta2", "scheduling.k8s.io/v1alpha2",
	"storage.k8s.io/v1alpha1", "storage.k8s.io/v1beta1", "storagemigration.k8s.io/v1beta1",
}

// stages are the keys that stand for many versions, in the order in which they apply.
var stages = [...]struct {
	key     string
	version *regexp.Regexp
}{
	{"api/all", regexp.MustCompile("")}, {"api/ga", regexp.MustCompile(`^v\d+$`)},
	{"api/beta", regexp.MustCompile(`^v\d+beta\d+$`)}, {"api/alpha", regexp.MustCompile(`^v\d+alpha\d+$`)},
}

// APIs says which API versions and resources are served. The zero value serves all that floe has.
type APIs struct {
	versions  map[schema.GroupVersion]bool
	resources map[schema.GroupVersionResource]bool
}

// ParseAPIs reads what --runtime-config was given, held against the versions that floe has: a list of "group/version=true", "group/version/resource=true", or
// api/all, api/ga, api/beta and api/alpha. The core group's name is empty: "/v1". It reports every key that is not known, or that floe does not have.
func ParseAPIs(list []string, have []schema.GroupVersion) (APIs, error) {
	given := map[string]string{}
	for _, entry := range list {
		key, value, _ := strings.Cut(entry, "=")
		given[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if given["api/all"] == "false" && len(given) == 1 {
		return APIs{}, errors.New("invalid runtime-config with only api/all=false")
	}
	p := apiParser{APIs{map[schema.GroupVersion]bool{}, map[schema.GroupVersionResource]bool{}}, have}
	var errs []error
	for _, stage := range stages {
		if value, ok := given[stage.key]; ok {
			errs = append(errs, p.stage(stage.key, value, stage.version))
			delete(given, stage.key)
		}
	}
	keys := slices.Sorted(maps.Keys(given))
	slices.SortStableFunc(keys, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") }) // versions first: resources win
	for _, key := range keys {
		errs = append(errs, p.one(key, given[key]))
	}
	return p.APIs, errors.Join(errs...)
}

type apiParser struct {
	APIs
	have []schema.GroupVersion
}

func (p *apiParser) stage(key, value string, version *regexp.Regexp) error {
	if value != "true" && value != "false" {
		return fmt.Errorf("invalid value %v=%v", key, value)
	}
	var missing []string
	for _, other := range others {
		if gv, err := schema.ParseGroupVersion(other); value == "true" && err == nil && version.MatchString(gv.Version) {
			missing = append(missing, other)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("runtime-config %s=true: floe does not have these yet: %s", key, strings.Join(missing, ", "))
	}
	for _, gv := range p.have {
		if version.MatchString(gv.Version) {
			p.versions[gv] = value == "true"
		}
	}
	return nil
}

func (p *apiParser) one(key, value string) error {
	parts := strings.Split(key, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return fmt.Errorf("runtime-config invalid key %s", key)
	}
	on := true
	if value != "" {
		var err error
		if on, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("invalid value of %s: %s, err: %w", key, value, err)
		}
	}
	gv := schema.GroupVersion{Group: parts[0], Version: parts[1]}
	ours := slices.Contains(p.have, gv)
	switch {
	case !ours && slices.Contains(others[:], gv.String()) && !on:
		return nil // as it is
	case !ours && slices.Contains(others[:], gv.String()):
		return fmt.Errorf("runtime-config %s: floe does not have %s yet", key, gv)
	case !ours && p.knowsGroup(gv.Group):
		return fmt.Errorf("group version %s that has not been registered", gv)
	case !ours:
		return fmt.Errorf("unknown api groups %s", gv)
	case len(parts) == 2:
		p.versions[gv] = on
		return nil
	case strings.ToLower(parts[2]) != parts[2]:
		return fmt.Errorf("invalid key %v: group/version/resource and resource is always lowercase plural, not %q", key, parts[2])
	}
	p.resources[gv.WithResource(parts[2])] = on
	return nil
}

func (p *apiParser) knowsGroup(group string) bool {
	return slices.ContainsFunc(p.have, func(gv schema.GroupVersion) bool { return gv.Group == group }) ||
		slices.ContainsFunc(others[:], func(other string) bool { return strings.HasPrefix(other, group+"/") })
}

// Serves says whether a resource is served.
func (a APIs) Serves(res schema.GroupVersionResource) bool {
	if on, ok := a.resources[res]; ok {
		return on
	}
	on, ok := a.versions[res.GroupVersion()]
	return !ok || on
}
