package podspec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is what a container is told of its surroundings: its environment, and the fields of its pod.

func validateEnv(c *corev1.Container, at place) (errs field.ErrorList) {
	for i, e := range c.Env {
		at := at.in("env").nth(i)
		if e.Name == "" {
			errs = append(errs, field.Required(at.in("name").path(), ""))
		}
		errs = append(errs, named(e.Name, at.in("name"), utilvalidation.IsRelaxedEnvVarName)...)
		errs = append(errs, validateEnvSource(&e, at.in("valueFrom"))...)
	}
	for i, e := range c.EnvFrom {
		list := at.in("envFrom") // upstream says of the list what is wrong with one source
		at := list.nth(i)
		errs = append(errs, named(e.Prefix, at.in("prefix"), utilvalidation.IsRelaxedEnvVarName)...)
		if r := e.ConfigMapRef; r != nil {
			errs = append(errs, requiredName(r.Name, at.in("configMapRef", "name"))...)
		}
		if r := e.SecretRef; r != nil {
			errs = append(errs, requiredName(r.Name, at.in("secretRef", "name"))...)
		}
		switch {
		case e.ConfigMapRef == nil && e.SecretRef == nil:
			errs = append(errs, field.Invalid(list.path(), "", "must specify one of: `configMapRef` or `secretRef`"))
		case e.ConfigMapRef != nil && e.SecretRef != nil:
			errs = append(errs, field.Invalid(list.path(), "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

func requiredName(name string, at place) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at.path(), "")}
	}
	return named(name, at, subdomain)
}

func validateEnvSource(e *corev1.EnvVar, at place) (errs field.ErrorList) {
	from, n := e.ValueFrom, 0
	if from == nil {
		return nil
	}
	count := func(more field.ErrorList) {
		n++
		errs = append(errs, more...)
	}
	if r := from.FieldRef; r != nil {
		count(validateFieldRef(r, envFields(), at.in("fieldRef")))
	}
	if r := from.ResourceFieldRef; r != nil {
		count(validateResourceRef(r, at.in("resourceFieldRef"), false))
	}
	if r := from.ConfigMapKeyRef; r != nil {
		count(validateKeyRef(r.Name, r.Key, at.in("configMapKeyRef")))
	}
	if r := from.SecretKeyRef; r != nil {
		count(validateKeyRef(r.Name, r.Key, at.in("secretKeyRef")))
	}
	if r := from.FileKeyRef; r != nil {
		count(validateFileRef(r, at.in("fileKeyRef")))
	}
	switch {
	case n == 0:
		errs = append(errs, field.Invalid(at.path(), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case e.Value != "":
		errs = append(errs, field.Invalid(at.path(), "", "may not be specified when `value` is not empty"))
	case n > 1:
		errs = append(errs, field.Invalid(at.path(), "", "may not have more than one field specified at a time"))
	}
	return errs
}

func validateKeyRef(name, key string, at place) (errs field.ErrorList) {
	for _, msg := range subdomain(name) {
		errs = append(errs, field.Invalid(at.in("name").path(), name, msg))
	}
	if key == "" {
		return append(errs, field.Required(at.in("key").path(), ""))
	}
	return append(errs, named(key, at.in("key"), utilvalidation.IsConfigMapKey)...)
}

func validateFileRef(r *corev1.FileKeySelector, at place) (errs field.ErrorList) {
	if r.Key == "" {
		errs = append(errs, field.Required(at.in("key").path(), ""))
	}
	errs = append(errs, named(r.Key, at.in("key"), utilvalidation.IsRelaxedEnvVarName)...)
	errs = append(errs, dnsLabel(r.VolumeName, at.in("volumeName"))...)
	if r.Path == "" {
		return append(errs, field.Required(at.in("path").path(), ""))
	}
	return append(errs, noBacksteps(r.Path, at.in("path"))...)
}

// envFields and volumeFields are the fields of a pod that it can be told, in alphabetical order. Labels and annotations are told one by one in the
// environment, all together in files.
func envFields() []string {
	return []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
}

func volumeFields() []string {
	return []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
}

// subscripted is a path that names one entry of a map: metadata.labels['app'].
var subscripted = regexp.MustCompile(`^(.*)\['(.*)'\]$`)

func validateFieldRef(r *corev1.ObjectFieldSelector, allowed []string, at place) (errs field.ErrorList) {
	switch {
	case r.APIVersion == "":
		return field.ErrorList{field.Required(at.in("apiVersion").path(), "")}
	case r.FieldPath == "":
		return field.ErrorList{field.Required(at.in("fieldPath").path(), "")}
	}
	name, err := podField(r)
	if err != nil {
		return field.ErrorList{field.Invalid(at.in("fieldPath").path(), r.FieldPath, fmt.Sprintf("error converting fieldPath: %v", err))}
	}
	if parts := subscripted.FindStringSubmatch(name); parts != nil {
		key := parts[2]
		if parts[1] == "metadata.annotations" {
			key = strings.ToLower(key)
		}
		for _, msg := range utilvalidation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(at.path(), key, msg))
		}
		return errs
	}
	if !slices.Contains(allowed, name) {
		return field.ErrorList{field.NotSupported(at.in("fieldPath").path(), name, allowed)}
	}
	return nil
}

// podField is the field that a path means; spec.host is how it was once called.
func podField(r *corev1.ObjectFieldSelector) (string, error) {
	if r.APIVersion != "v1" {
		return "", fmt.Errorf("unsupported pod version: %s", r.APIVersion)
	}
	if parts := subscripted.FindStringSubmatch(r.FieldPath); parts != nil {
		if parts[1] != "metadata.annotations" && parts[1] != "metadata.labels" {
			return "", fmt.Errorf("field label does not support subscript: %s", r.FieldPath)
		}
		return r.FieldPath, nil
	}
	switch name := r.FieldPath; {
	case name == "spec.host":
		return "spec.nodeName", nil
	case slices.Contains(envFields(), name), slices.Contains(volumeFields(), name), name == "spec.restartPolicy", name == "spec.schedulerName", name == "status.phase":
		return name, nil
	default:
		return "", errors.New("field label not supported: " + name)
	}
}

// validateResourceRef checks the name of one of a container's resources; a file in a volume must say whose.
func validateResourceRef(r *corev1.ResourceFieldSelector, at place, volume bool) (errs field.ErrorList) {
	known := []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"}
	pages := strings.HasPrefix(r.Resource, "limits.hugepages-") || strings.HasPrefix(r.Resource, "requests.hugepages-")
	switch {
	case volume && r.ContainerName == "":
		errs = append(errs, field.Required(at.in("containerName").path(), ""))
	case r.Resource == "":
		errs = append(errs, field.Required(at.in("resource").path(), ""))
	case !slices.Contains(known, r.Resource) && !pages:
		errs = append(errs, field.NotSupported(at.in("resource").path(), r.Resource, known))
	}
	return append(errs, validateDivisor(r, at.in("divisor"))...)
}

func validateDivisor(r *corev1.ResourceFieldSelector, at place) field.ErrorList {
	if r.Divisor.IsZero() {
		return nil
	}
	_, name, _ := strings.Cut(r.Resource, ".")
	sizes := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	what := ""
	switch {
	case name == "cpu":
		if slices.Contains([]string{"1m", "1"}, r.Divisor.String()) {
			return nil
		}
		return field.ErrorList{field.Invalid(at.path(), r.Resource, "only divisor's values 1m and 1 are supported with the cpu resource")}
	case name == "memory":
		what = "memory"
	case name == "ephemeral-storage":
		what = "local ephemeral storage"
	case strings.HasPrefix(name, "hugepages-"):
		what = "hugepages"
	}
	if what == "" || slices.Contains(sizes, r.Divisor.String()) {
		return nil
	}
	return field.ErrorList{field.Invalid(at.path(), r.Resource, fmt.Sprintf("only divisor's values %s are supported with the %s resource", strings.Join(sizes, ", "), what))}
}

// validateFileVolumes: variables come from files in volumes that the pod's own containers fill (KEP-3721).
func validateFileVolumes(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	containers(s, at, func(c *corev1.Container, at place) {
		for i, e := range c.Env {
			if e.ValueFrom == nil || e.ValueFrom.FileKeyRef == nil {
				continue
			}
			name, at := e.ValueFrom.FileKeyRef.VolumeName, at.in("env").nth(i).in("valueFrom", "fileKeyRef", "volumeName")
			var found *corev1.Volume
			for j := range s.Volumes {
				if s.Volumes[j].Name == name {
					found = &s.Volumes[j]
				}
			}
			if found == nil {
				errs = append(errs, field.NotFound(at.path(), name))
			} else if found.EmptyDir == nil {
				errs = append(errs, field.Invalid(at.path(), name, "referenced volume must be of type emptyDir"))
			}
		}
	})
	return errs
}
