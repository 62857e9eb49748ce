package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// adminLabel marks namespaces whose claims may reach devices that are in use.
const adminLabel = "resource.kubernetes.io/admin-access"

// poolsOf are the pools that a claim's devices are of.
func poolsOf(obj kinds.Object) (values []string) {
	a := obj.(*resourcev1.ResourceClaim).Status.Allocation
	if a == nil {
		return nil
	}
	for _, d := range a.Devices.Results {
		if v := kinds.PoolValue(d.Driver, d.Pool); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// ResourceClaim is resource.k8s.io/v1 ResourceClaim: devices that somebody asks for, and those that they were given.
//
//	pending ── status.allocation ──► allocated ── status.reservedFor ──► reserved ── all consumers gone ──► allocated ──► pending, or deleted
func ResourceClaim() *kinds.Kind {
	gvk := resourcev1.SchemeGroupVersion.WithKind("ResourceClaim")
	spec := func(obj kinds.Object) *resourcev1.ResourceClaimSpec { return &obj.(*resourcev1.ResourceClaim).Spec }
	validate := func(obj kinds.Object) field.ErrorList { return validateClaimSpec(spec(obj), field.NewPath("spec")) }
	return &kinds.Kind{
		GVK: gvk, Resource: "resourceclaims", Singular: "resourceclaim", Namespaced: true, ReturnDeleted: true, MetaAgain: kinds.MetaAll,
		New:     func() kinds.Object { return &resourcev1.ResourceClaim{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceClaimList{} },
		Default: func(obj kinds.Object) { defaultClaim(spec(obj)) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.(*resourcev1.ResourceClaim).Status = resourcev1.ResourceClaimStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*resourcev1.ResourceClaim).Status = *old.(*resourcev1.ResourceClaim).Status.DeepCopy()
		},
		ValidateCreate: validate, // what never changes is not looked at again
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return immutable(obj.(*resourcev1.ResourceClaim).Spec, old.(*resourcev1.ResourceClaim).Spec)
		},
		Claim:     forAdmins("ResourceClaim", spec, validate),
		Indexes:   []kinds.Index{{Name: kinds.PoolIndex, Values: poolsOf}},
		Canonical: func(obj kinds.Object) { noRequests(spec(obj)) },
		Columns: []kinds.Column{
			kinds.NameColumn(),
			{Name: "State", Type: "string", Description: "A summary of the current state (allocated, pending, reserved, etc.).", Cell: func(_ kinds.Env, obj kinds.Object) any {
				return state(obj.(*resourcev1.ResourceClaim))
			}},
			kinds.AgeColumn(),
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{{
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: claimStatus, Rights: statusRights,
			Tableless: true,
		}},
	}
}

func immutable[T any](now, was T) field.ErrorList {
	if equality.Semantic.DeepEqual(now, was) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec"), untagged.Value(now), validation.FieldImmutableErrorMsg)}
}

// defaultClaim asks for one device where a request does not say how many.
func defaultClaim(s *resourcev1.ResourceClaimSpec) {
	fill := func(mode *resourcev1.DeviceAllocationMode, count *int64) {
		if *mode == "" {
			*mode = resourcev1.DeviceAllocationModeExactCount
		}
		if *mode == resourcev1.DeviceAllocationModeExactCount && *count == 0 {
			*count = 1
		}
	}
	for i := range s.Devices.Requests {
		r := &s.Devices.Requests[i]
		if r.Exactly != nil {
			fill(&r.Exactly.AllocationMode, &r.Exactly.Count)
		}
		for j := range r.FirstAvailable {
			fill(&r.FirstAvailable[j].AllocationMode, &r.FirstAvailable[j].Count)
		}
	}
}

// noRequests shows an empty list of requests, which is always there, as upstream's storage reads it.
func noRequests(s *resourcev1.ResourceClaimSpec) {
	if len(s.Devices.Requests) == 0 {
		s.Devices.Requests = nil
	}
}

func state(c *resourcev1.ResourceClaim) string {
	var list []string
	if c.DeletionTimestamp != nil {
		list = append(list, "deleted")
	}
	switch {
	case c.Status.Allocation != nil && len(c.Status.ReservedFor) > 0:
		list = append(list, "allocated", "reserved")
	case c.Status.Allocation != nil:
		list = append(list, "allocated")
	case c.DeletionTimestamp == nil:
		list = append(list, "pending")
	}
	return strings.Join(list, ",")
}

// forAdmins refuses, in a namespace that is not marked for it, a new object of the kind that asks for devices that others use; it names with that what check
// finds wrong. It writes nothing.
func forAdmins(kind string, spec func(kinds.Object) *resourcev1.ResourceClaimSpec, check func(kinds.Object) field.ErrorList) func(env kinds.Env, obj, old kinds.Object, see kinds.Reader) ([]kinds.Write, error) {
	return func(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) ([]kinds.Write, error) {
		if obj == nil || old != nil { // it goes, or asks for what it did before
			return nil, nil
		}
		at := asksAsAdmin(spec(obj))
		if at == nil {
			return nil, nil
		}
		bad := unmarked(obj, at, see)
		if bad == nil {
			return nil, nil
		}
		return nil, apierrors.NewInvalid(resourcev1.SchemeGroupVersion.WithKind(kind).GroupKind(), obj.GetName(), append(field.ErrorList{bad}, check(obj)...))
	}
}

// unmarked refuses what stands at at unless obj's namespace is marked for it; nil when it is.
func unmarked(obj kinds.Object, at *field.Path, see kinds.Reader) *field.Error {
	ns, ok := see.Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", obj.GetNamespace()).(*corev1.Namespace)
	switch {
	case !ok:
		return field.InternalError(at, fmt.Errorf("could not retrieve namespace to verify admin access: namespaces %q not found", obj.GetNamespace()))
	case ns.Labels[adminLabel] != "true":
		return field.Forbidden(at, fmt.Sprintf("admin access to devices requires the `%s: true` label on the containing namespace", adminLabel))
	}
	return nil
}

// asksAsAdmin is where a specification asks for such access; nil when it does not. Upstream names the same place in a template.
func asksAsAdmin(s *resourcev1.ResourceClaimSpec) *field.Path {
	for i, r := range s.Devices.Requests {
		if r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess {
			return field.NewPath("spec", "devices", "requests").Index(i).Child("adminAccess")
		}
	}
	return nil
}

// ResourceClaimTemplate is resource.k8s.io/v1 ResourceClaimTemplate: what claims that are made for pods ask for.
func ResourceClaimTemplate() *kinds.Kind {
	spec := func(obj kinds.Object) *resourcev1.ResourceClaimSpec {
		return &obj.(*resourcev1.ResourceClaimTemplate).Spec.Spec
	}
	validate := func(obj kinds.Object) field.ErrorList {
		s, path := &obj.(*resourcev1.ResourceClaimTemplate).Spec, field.NewPath("spec")
		return append(volumespec.TemplateMeta(s.ObjectMeta, path.Child("metadata")), validateClaimSpec(&s.Spec, path.Child("spec"))...)
	}
	return &kinds.Kind{
		GVK: resourcev1.SchemeGroupVersion.WithKind("ResourceClaimTemplate"), Resource: "resourceclaimtemplates", Singular: "resourceclaimtemplate",
		Namespaced: true, ReturnDeleted: true, MetaAgain: kinds.MetaAll,
		New:      func() kinds.Object { return &resourcev1.ResourceClaimTemplate{} },
		NewList:  func() runtime.Object { return &resourcev1.ResourceClaimTemplateList{} },
		Default:  func(obj kinds.Object) { defaultClaim(spec(obj)) },
		Validate: validate,
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return immutable(obj.(*resourcev1.ResourceClaimTemplate).Spec, old.(*resourcev1.ResourceClaimTemplate).Spec)
		},
		Claim:     forAdmins("ResourceClaimTemplate", spec, validate),
		Canonical: func(obj kinds.Object) { noRequests(spec(obj)) },
		Columns:   []kinds.Column{kinds.NameColumn(), kinds.AgeColumn()},
	}
}

// DeviceClass is resource.k8s.io/v1 DeviceClass: a sort of devices, by what is asked of each.
func DeviceClass() *kinds.Kind {
	return &kinds.Kind{
		GVK: resourcev1.SchemeGroupVersion.WithKind("DeviceClass"), Resource: "deviceclasses", Singular: "deviceclass", ReturnDeleted: true, MetaAgain: kinds.MetaAll,
		ValidName: func(name string, prefix bool) []string {
			if prefix {
				return nil // only the whole name is looked at
			}
			return content.IsDNS1123Subdomain(name)
		},
		New:           func() kinds.Object { return &resourcev1.DeviceClass{} },
		NewList:       func() runtime.Object { return &resourcev1.DeviceClassList{} },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			if !equality.Semantic.DeepEqual(obj.(*resourcev1.DeviceClass).Spec, old.(*resourcev1.DeviceClass).Spec) {
				obj.SetGeneration(old.GetGeneration() + 1)
			}
		},
		ValidateCreate: func(obj kinds.Object) field.ErrorList {
			return validateDeviceClass(&obj.(*resourcev1.DeviceClass).Spec, nil, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateDeviceClass(&obj.(*resourcev1.DeviceClass).Spec, &old.(*resourcev1.DeviceClass).Spec, field.NewPath("spec"))
		},
		Columns: []kinds.Column{kinds.NameColumn(), kinds.AgeColumn()},
	}
}

// validateDeviceClass checks a class. What was in was, and is unchanged, is judged by the rules for what is stored; was is nil for a new class.
func validateDeviceClass(s, was *resourcev1.DeviceClassSpec, at *field.Path) field.ErrorList {
	stored := was != nil && equality.Semantic.DeepEqual(s.Selectors, was.Selectors)
	errs := selectors(s.Selectors, stored, at.Child("selectors"))
	stored = was != nil && equality.Semantic.DeepEqual(s.Config, was.Config)
	errs = append(errs, each(s.Config, resourcev1.DeviceConfigMaxSize, at.Child("config"), func(c *resourcev1.DeviceClassConfiguration, at *field.Path) field.ErrorList {
		return validateConfig(c.Opaque, stored, at)
	})...)
	if name := s.ExtendedResourceName; name != nil && !podspec.Extended(corev1.ResourceName(*name)) {
		errs = append(errs, field.Invalid(at.Child("extendedResourceName"), *name, "must be a valid extended resource name"))
	}
	return errs
}
