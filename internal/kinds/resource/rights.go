package resource

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/floe-k8s/floe/internal/kinds"
)

// statusRights says what a user may not change of a claim's status although they may write it: devices that others use are for marked namespaces; an allocation
// and who uses it are for who may bind claims; and what is reported of a device is for who may speak for its driver (KEP-5018, KEP-4817).
func statusRights(env kinds.Env, obj, old kinds.Object, see kinds.Reader) (errs field.ErrorList) {
	c, was := obj.(*resourcev1.ResourceClaim), old.(*resourcev1.ResourceClaim)
	if at := grantedAsAdmin(c.Status.Allocation); at != nil && grantedAsAdmin(was.Status.Allocation) == nil {
		if bad := unmarked(c, at, see); bad != nil {
			errs = append(errs, bad)
		}
	}
	status := field.NewPath("status")
	if !equality.Semantic.DeepEqual(c.Status.Allocation, was.Status.Allocation) || !equality.Semantic.DeepEqual(c.Status.ReservedFor, was.Status.ReservedFor) {
		if err := env.Powers.Refuse(wish(env.Verb, resourcev1.SubresourceBinding, "", "")); err != nil {
			errs = append(errs, field.Forbidden(status.Child("allocation"),
				fmt.Sprintf(`changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="%s" permission: %s`, env.Verb, err)))
		}
	}
	if c.Status.Allocation == nil {
		return errs // what was reported goes with it
	}
	verbs := driverVerbs(env, c)
	for _, driver := range slices.Sorted(maps.Keys(reporters(c, was))) {
		if err := mayReport(env, verbs, c.Namespace, driver); err != nil {
			errs = append(errs, field.Forbidden(status.Child("devices"),
				fmt.Sprintf(`changing status.devices requires resource="resourceclaims/driver", verb="%s" permission: %s`, verbs, err)))
		}
	}
	return errs
}

func grantedAsAdmin(a *resourcev1.AllocationResult) *field.Path {
	if a == nil {
		return nil
	}
	for i, r := range a.Devices.Results {
		if r.AdminAccess != nil && *r.AdminAccess {
			return field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess")
		}
	}
	return nil
}

// reporters are the drivers whose reports differ between two states of a claim.
func reporters(c, was *resourcev1.ResourceClaim) map[string]bool {
	drivers, before := map[string]bool{}, map[device]*resourcev1.AllocatedDeviceStatus{}
	for i := range was.Status.Devices {
		before[reported(&was.Status.Devices[i])] = &was.Status.Devices[i]
	}
	for i := range c.Status.Devices {
		d := &c.Status.Devices[i]
		if b := before[reported(d)]; b == nil || !equality.Semantic.DeepEqual(b, d) {
			drivers[d.Driver] = true
		}
		delete(before, reported(d))
	}
	for gone := range before {
		drivers[gone.Driver] = true
	}
	return drivers
}

// driverVerbs are the verbs of which one must be allowed: a service account on the node that the devices are of needs less than others.
func driverVerbs(env kinds.Env, c *resourcev1.ResourceClaim) []string {
	verbs := []string{resourcev1.VerbPrefixArbitraryNode + env.Verb}
	nodes := env.Extra[serviceaccount.NodeNameKey]
	if _, _, err := serviceaccount.SplitUsername(env.User); err != nil || len(nodes) != 1 || len(utilvalidation.IsDNS1123Subdomain(nodes[0])) > 0 || nodes[0] != allocatedNode(c.Status.Allocation) {
		return verbs
	}
	return append([]string{resourcev1.VerbPrefixAssociatedNode + env.Verb}, verbs...)
}

// allocatedNode is the one node that reaches the devices of an allocation; "" when it does not say just one by name.
func allocatedNode(a *resourcev1.AllocationResult) string {
	if a.NodeSelector == nil || len(a.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	term := a.NodeSelector.NodeSelectorTerms[0]
	if len(term.MatchExpressions) > 0 || len(term.MatchFields) != 1 {
		return ""
	}
	if f := term.MatchFields[0]; f.Key == "metadata.name" && f.Operator == corev1.NodeSelectorOpIn && len(f.Values) == 1 {
		return f.Values[0]
	}
	return ""
}

// wish is to do verb on a subresource of claims.
func wish(verb, subresource, namespace, name string) kinds.Wish {
	return kinds.Wish{Verb: verb, Group: resourcev1.GroupName, Resource: "resourceclaims", Subresource: subresource, Namespace: namespace, Name: name}
}

// mayReport returns the refusal of the first verb when none is allowed.
func mayReport(env kinds.Env, verbs []string, namespace, driver string) (first error) {
	for _, verb := range verbs {
		err := env.Powers.Refuse(wish(verb, resourcev1.SubresourceDriver, namespace, driver))
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
