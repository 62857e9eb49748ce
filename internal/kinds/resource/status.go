package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// What a driver may report of a device at most.
const (
	maxConditions = 8
	maxData       = 10 * 1024 // bytes
	maxInterface  = 256       // bytes
	maxHardware   = 128       // bytes
	maxIPs        = 16
)

// device is a device of a pool, or a share of one. Messages show it with these names.
type device struct{ Driver, Pool, Device, ShareID string }

func deviceOf(driver, pool, name string, share *types.UID) device {
	d := device{Driver: driver, Pool: pool, Device: name}
	if share != nil {
		d.ShareID = string(*share)
	}
	return d
}

func reported(d *resourcev1.AllocatedDeviceStatus) device {
	return deviceOf(d.Driver, d.Pool, d.Device, (*types.UID)(d.ShareID))
}

// allocated are the devices of an allocation; none when it is nil.
func allocated(a *resourcev1.AllocationResult) sets.Set[device] {
	out := sets.New[device]()
	if a != nil {
		for _, r := range a.Devices.Results {
			out.Insert(deviceOf(r.Driver, r.Pool, r.Device, r.ShareID))
		}
	}
	return out
}

// claimStatus takes the status alone. What drivers reported of devices that are given back goes with them.
func claimStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	c, was := obj.(*resourcev1.ResourceClaim), old.(*resourcev1.ResourceClaim)
	c.Spec = *was.Spec.DeepCopy()
	c.Labels, c.Annotations, c.Finalizers, c.OwnerReferences, c.DeletionTimestamp = was.Labels, was.Annotations, was.Finalizers, was.OwnerReferences, was.DeletionTimestamp
	gone := allocated(was.Status.Allocation).Difference(allocated(c.Status.Allocation))
	var kept []resourcev1.AllocatedDeviceStatus
	for i := range c.Status.Devices {
		if !gone.Has(reported(&c.Status.Devices[i])) {
			kept = append(kept, c.Status.Devices[i])
		}
	}
	c.Status.Devices = kept
	return validateStatus(c, was, field.NewPath("status"))
}

func validateStatus(c, was *resourcev1.ResourceClaim, at *field.Path) field.ErrorList {
	s, before, names := &c.Status, &was.Status, requestsOf(&c.Spec.Devices)
	users := at.Child("reservedFor")
	errs := unique(s.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, users, func(r *resourcev1.ResourceClaimConsumerReference) types.UID { return r.UID },
		func(r *resourcev1.ResourceClaimConsumerReference, at *field.Path) field.ErrorList {
			return volumespec.Need(at, "resource", r.Resource, "name", r.Name, "uid", string(r.UID))
		})
	mine := allocated(s.Allocation)
	errs = append(errs, unique(s.Devices, -1, at.Child("devices"), reported, func(d *resourcev1.AllocatedDeviceStatus, at *field.Path) field.ErrorList {
		return validateReport(d, mine, at)
	})...)
	if len(s.ReservedFor) > 0 && s.Allocation == nil {
		errs = append(errs, field.Forbidden(users, "may not be specified when `allocated` is not set"))
	} else if c.DeletionTimestamp != nil && len(sets.New(s.ReservedFor...).Difference(sets.New(before.ReservedFor...))) > 0 {
		errs = append(errs, field.Forbidden(users, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
	}
	allocation := at.Child("allocation")
	switch {
	case s.Allocation == nil:
		return errs
	case before.Allocation == nil:
		return append(errs, validateAllocation(s.Allocation, names, allocation)...)
	case !equality.Semantic.DeepEqual(s.Allocation, before.Allocation):
		return append(errs, field.Invalid(allocation, untagged.Value(s.Allocation), validation.FieldImmutableErrorMsg))
	}
	return errs
}

func validateAllocation(a *resourcev1.AllocationResult, names requests, at *field.Path) field.ErrorList {
	devices := at.Child("devices")
	errs := each(a.Devices.Results, resourcev1.AllocationResultsMaxSize, devices.Child("results"), func(r *resourcev1.DeviceRequestAllocationResult, at *field.Path) field.ErrorList {
		errs := names.ref(&r.Request, at.Child("request"))
		errs = append(errs, volumespec.DriverName(r.Driver, at.Child("driver"))...)
		errs = append(errs, poolName(r.Pool, at.Child("pool"))...)
		errs = append(errs, label(r.Device, at.Child("device"))...)
		errs = append(errs, validateBinding(r.BindingConditions, r.BindingFailureConditions, at)...)
		if r.ShareID != nil {
			errs = append(errs, shareID(string(*r.ShareID), at.Child("shareID"))...)
		}
		return errs
	})
	// As many as a class and a claim may have together.
	errs = append(errs, each(a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, devices.Child("config"), func(c *resourcev1.DeviceAllocationConfiguration, at *field.Path) (errs field.ErrorList) {
		switch source := at.Child("source"); c.Source {
		case resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass:
		case "":
			errs = append(errs, field.Required(source, ""))
		default:
			errs = append(errs, field.NotSupported(source, c.Source, []resourcev1.AllocationConfigSource{resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass}))
		}
		errs = append(errs, names.refs(c.Requests, at.Child("requests"))...)
		return append(errs, validateConfig(c.Opaque, false, at)...)
	})...)
	if a.NodeSelector != nil {
		errs = append(errs, podspec.NodeSelector(a.NodeSelector, false, at.Child("nodeSelector"))...)
	}
	return errs
}

// validateBinding checks the conditions that a device must report before a pod is bound: some that say it is ready, and some that say it never will be.
func validateBinding(ready, failed []string, at *field.Path) field.ErrorList {
	good, bad := at.Child("bindingConditions"), at.Child("bindingFailureConditions")
	name := func(s *string, at *field.Path) field.ErrorList { return metavalidation.ValidateLabelName(*s, at) }
	errs := each(ready, resourcev1.BindingConditionsMaxSize, good, name)
	errs = append(errs, each(failed, resourcev1.BindingFailureConditionsMaxSize, bad, name)...)
	seen := sets.New[string]()
	for i, c := range ready {
		if seen.Has(c) {
			errs = append(errs, field.Duplicate(good.Index(i), c))
		}
		seen.Insert(c)
	}
	twice := sets.New[string]()
	for i, c := range failed {
		if twice.Has(c) {
			errs = append(errs, field.Duplicate(bad.Index(i), c))
		}
		twice.Insert(c)
		if seen.Has(c) {
			errs = append(errs, field.Invalid(bad.Index(i), c, "bindingFailureConditions must not overlap with bindingConditions"))
		}
	}
	if len(ready) == 0 && len(failed) > 0 {
		errs = append(errs, field.Invalid(good, ready, "bindingConditions are required to use bindingFailureConditions"))
	}
	if len(failed) == 0 && len(ready) > 0 {
		errs = append(errs, field.Invalid(bad, failed, "bindingFailureConditions are required to use bindingConditions"))
	}
	return errs
}

// validateReport checks what a driver says of a device, which must be one of the claim's.
func validateReport(d *resourcev1.AllocatedDeviceStatus, mine sets.Set[device], at *field.Path) field.ErrorList {
	errs := volumespec.DriverName(d.Driver, at.Child("driver"))
	errs = append(errs, poolName(d.Pool, at.Child("pool"))...)
	errs = append(errs, label(d.Device, at.Child("device"))...)
	if d.ShareID != nil {
		errs = append(errs, shareID(*d.ShareID, at.Child("shareID"))...)
	}
	if id := reported(d); !mine.Has(id) {
		errs = append(errs, field.Invalid(at, id, "must be an allocated device in the claim"))
	}
	if n := len(d.Conditions); n > maxConditions {
		errs = append(errs, field.TooMany(at.Child("conditions"), n, maxConditions))
	}
	errs = append(errs, metavalidation.ValidateConditions(d.Conditions, at.Child("conditions"))...)
	if d.Data != nil && len(d.Data.Raw) > 0 {
		errs = append(errs, jsonObject(*d.Data, maxData, false, at.Child("data"))...)
	}
	n, at := d.NetworkData, at.Child("networkData")
	if n == nil {
		return errs
	}
	if len(n.InterfaceName) > maxInterface {
		errs = append(errs, field.TooLong(at.Child("interfaceName"), "", maxInterface))
	}
	if len(n.HardwareAddress) > maxHardware {
		errs = append(errs, field.TooLong(at.Child("hardwareAddress"), "", maxHardware))
	}
	return append(errs, unique(n.IPs, maxIPs, at.Child("ips"), itself, func(ip *string, at *field.Path) field.ErrorList {
		return utilvalidation.IsValidInterfaceAddress(at, *ip)
	})...)
}
