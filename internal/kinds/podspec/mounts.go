package podspec

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is where a container finds its volumes: mounted, or as devices. Some paths are the list's where one would expect the mount's: upstream's are.

func validateMounts(c *corev1.Container, v volumes, at place) (errs field.ErrorList) {
	places := sets.New[string]()
	for i := range c.VolumeMounts {
		m, list, at := &c.VolumeMounts[i], at, at.nth(i)
		if m.Name == "" {
			errs = append(errs, field.Required(at.in("name").path(), ""))
		}
		if v[m.Name] == nil {
			errs = append(errs, field.NotFound(at.in("name").path(), m.Name))
		}
		if m.MountPath == "" {
			errs = append(errs, field.Required(at.in("mountPath").path(), ""))
		}
		if places.Has(m.MountPath) {
			errs = append(errs, field.Invalid(at.in("mountPath").path(), m.MountPath, "must be unique"))
		}
		places.Insert(m.MountPath)
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.Name == m.Name }) {
			errs = append(errs, field.Invalid(at.in("name").path(), m.Name, "must not already exist in volumeDevices"))
		}
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.DevicePath == m.MountPath }) {
			errs = append(errs, field.Invalid(at.in("mountPath").path(), m.MountPath, "must not already exist as a path in volumeDevices"))
		}
		errs = append(errs, localPath(m.SubPath, list.in("subPath"))...)
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Invalid(at.in("subPathExpr").path(), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, localPath(m.SubPathExpr, list.in("subPathExpr"))...)
		errs = append(errs, validatePropagation(m, c, list)...)
	}
	return errs
}

// validatePropagation: only a privileged container hands its own mounts out.
func validatePropagation(m *corev1.VolumeMount, c *corev1.Container, list place) (errs field.ErrorList) {
	if p := m.MountPropagation; p != nil {
		at := list.in("mountPropagation")
		errs = append(errs, optional(p, at, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)...)
		privileged := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
		if *p == corev1.MountPropagationBidirectional && !privileged {
			errs = append(errs, field.Forbidden(at.path(), "Bidirectional mount propagation is available only to privileged containers"))
		}
	}
	r, at := m.RecursiveReadOnly, list.in("recursiveReadOnly")
	if r == nil || *r == corev1.RecursiveReadOnlyDisabled {
		return errs
	}
	if bad := optional(r, at, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible); len(bad) > 0 {
		return append(errs, bad...)
	}
	if !m.ReadOnly {
		errs = append(errs, field.Forbidden(at.path(), "may only be specified when readOnly is true"))
	}
	if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
		errs = append(errs, field.Forbidden(at.path(), "may only be specified when mountPropagation is None or not specified"))
	}
	return errs
}

func validateDevices(c *corev1.Container, v volumes, at place) (errs field.ErrorList) {
	names, places := sets.New[string](), sets.New[string]()
	for i, d := range c.VolumeDevices {
		name, place := at.nth(i).in("name"), at.nth(i).in("devicePath")
		if d.Name == "" {
			errs = append(errs, field.Required(name.path(), ""))
		}
		if names.Has(d.Name) {
			errs = append(errs, field.Invalid(name.path(), d.Name, "must be unique"))
		}
		switch source := v[d.Name]; {
		case source == nil:
			errs = append(errs, field.NotFound(name.path(), d.Name))
		case source.PersistentVolumeClaim == nil && source.Ephemeral == nil:
			errs = append(errs, field.Invalid(name.path(), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		}
		if d.DevicePath == "" {
			errs = append(errs, field.Required(place.path(), ""))
		}
		if places.Has(d.DevicePath) {
			errs = append(errs, field.Invalid(place.path(), d.DevicePath, "must be unique"))
		}
		if len(noBacksteps(d.DevicePath, place)) > 0 {
			errs = append(errs, field.Invalid(place.path(), d.DevicePath, "can not contain backsteps ('..')"))
		} else {
			places.Insert(d.DevicePath)
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == d.Name }) {
			errs = append(errs, field.Invalid(name.path(), d.Name, "must not already exist in volumeMounts"))
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == d.DevicePath }) {
			errs = append(errs, field.Invalid(place.path(), d.DevicePath, "must not already exist as a path in volumeMounts"))
		}
		if d.Name != "" {
			names.Insert(d.Name)
		}
	}
	return errs
}

// noBacksteps refuses what leads up.
func noBacksteps(p string, at place) field.ErrorList {
	if slices.Contains(strings.Split(p, "/"), "..") {
		return field.ErrorList{field.Invalid(at.path(), p, "must not contain '..'")}
	}
	return nil
}

// localPath refuses what leads out of where it begins.
func localPath(p string, at place) (errs field.ErrorList) {
	if path.IsAbs(p) {
		errs = append(errs, field.Invalid(at.path(), p, "must be a relative path"))
	}
	return append(errs, noBacksteps(p, at)...)
}

// ownPath refuses, besides, names that a volume keeps for itself.
func ownPath(p string, at place) field.ErrorList {
	errs := localPath(p, at)
	if strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") {
		errs = append(errs, field.Invalid(at.path(), p, "must not start with '..'"))
	}
	return errs
}
