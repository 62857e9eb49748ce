package podspec

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateContainers checks containers and init containers; names are unique among all.
func validateContainers(s *corev1.PodSpec, volumes sets.Set[string], at *field.Path) (errs field.ErrorList) {
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), ""))
	}
	names := sets.New[string]()
	each := func(list []corev1.Container, at *field.Path, init bool) {
		for i := range list {
			c, at := &list[i], at.Index(i)
			errs = append(errs, dnsLabel(c.Name, at.Child("name"))...)
			errs = append(errs, validateContainer(c, volumes, s.HostNetwork, at)...)
			if names.Has(c.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
			}
			names.Insert(c.Name)
			if init {
				errs = append(errs, validateInit(c, at)...)
			} else if c.RestartPolicy != nil && *c.RestartPolicy == "" {
				errs = append(errs, field.NotSupported(at.Child("restartPolicy"), *c.RestartPolicy, []string{"Always", "Never", "OnFailure"}))
			}
		}
	}
	each(s.Containers, at.Child("containers"), false)
	each(s.InitContainers, at.Child("initContainers"), true)
	return errs
}

// validateInit refuses what makes no sense before the pod runs. A restartable init container, a sidecar, may have it all.
func validateInit(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return nil
	}
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil},
	} {
		if part.set {
			errs = append(errs, field.Forbidden(at.Child(part.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}

func dnsLabel(value string, at *field.Path) (errs field.ErrorList) {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	for _, msg := range utilvalidation.IsDNS1123Label(value) {
		errs = append(errs, field.Invalid(at, value, msg))
	}
	return errs
}

func validateContainer(c *corev1.Container, volumes sets.Set[string], hostNetwork bool, at *field.Path) (errs field.ErrorList) {
	if c.Image == "" {
		errs = append(errs, field.Required(at.Child("image"), ""))
	}
	errs = append(errs, oneOf(at.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, oneOf(at.Child("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageFallbackToLogsOnError, corev1.TerminationMessageReadFile)...)
	errs = append(errs, validatePorts(c.Ports, hostNetwork, at.Child("ports"))...)
	errs = append(errs, validateEnv(c, at)...)
	errs = append(errs, validateMounts(c.VolumeMounts, volumes, at.Child("volumeMounts"))...)
	errs = append(errs, validateResources(&c.Resources, at.Child("resources"))...)
	errs = append(errs, validateProbe(c.LivenessProbe, at.Child("livenessProbe"), true)...)
	errs = append(errs, validateProbe(c.StartupProbe, at.Child("startupProbe"), true)...)
	errs = append(errs, validateProbe(c.ReadinessProbe, at.Child("readinessProbe"), false)...)
	return errs
}

func validatePorts(ports []corev1.ContainerPort, hostNetwork bool, at *field.Path) (errs field.ErrorList) {
	names := sets.New[string]()
	for i, p := range ports {
		at := at.Index(i)
		if p.Name != "" {
			for _, msg := range utilvalidation.IsValidPortName(p.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), p.Name, msg))
			}
			if names.Has(p.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names.Insert(p.Name)
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, port(p.ContainerPort, at.Child("containerPort"))...)
		}
		if p.HostPort != 0 {
			errs = append(errs, port(p.HostPort, at.Child("hostPort"))...)
		}
		if hostNetwork && p.HostPort != p.ContainerPort {
			errs = append(errs, field.Invalid(at.Child("containerPort"), p.ContainerPort, "must match `hostPort` when `hostNetwork` is true"))
		}
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

func port(n int32, at *field.Path) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsValidPortNum(int(n)) {
		errs = append(errs, field.Invalid(at, n, msg))
	}
	return errs
}

func validateEnv(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	for i, e := range c.Env {
		at := at.Child("env").Index(i)
		if e.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			for _, msg := range utilvalidation.IsRelaxedEnvVarName(e.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), e.Name, msg))
			}
		}
		errs = append(errs, validateEnvSource(e, at.Child("valueFrom"))...)
	}
	for i, e := range c.EnvFrom {
		at := at.Child("envFrom").Index(i)
		if e.ConfigMapRef == nil && e.SecretRef == nil {
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		}
		if e.ConfigMapRef != nil && e.SecretRef != nil {
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

func validateEnvSource(e corev1.EnvVar, at *field.Path) (errs field.ErrorList) {
	from := e.ValueFrom
	if from == nil {
		return nil
	}
	n := 0
	for _, set := range []bool{from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil, from.SecretKeyRef != nil, from.FileKeyRef != nil} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		errs = append(errs, field.Invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case e.Value != "":
		errs = append(errs, field.Invalid(at, "", "may not be specified when `value` is not empty"))
	case n > 1:
		errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
	}
	if r := from.ConfigMapKeyRef; r != nil && r.Key == "" {
		errs = append(errs, field.Required(at.Child("configMapKeyRef", "key"), ""))
	}
	if r := from.SecretKeyRef; r != nil && r.Key == "" {
		errs = append(errs, field.Required(at.Child("secretKeyRef", "key"), ""))
	}
	if r := from.FieldRef; r != nil && r.FieldPath == "" {
		errs = append(errs, field.Required(at.Child("fieldRef", "fieldPath"), ""))
	}
	return errs
}

func validateMounts(mounts []corev1.VolumeMount, volumes sets.Set[string], at *field.Path) (errs field.ErrorList) {
	places := sets.New[string]()
	for i, m := range mounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case !volumes.Has(m.Name):
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		switch {
		case m.MountPath == "":
			errs = append(errs, field.Required(at.Child("mountPath"), ""))
		case places.Has(m.MountPath):
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		places.Insert(m.MountPath)
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, localPath(m.SubPath, at.Child("subPath"))...)
		errs = append(errs, localPath(m.SubPathExpr, at.Child("subPathExpr"))...)
	}
	return errs
}

// localPath refuses what leads out of where it begins.
func localPath(p string, at *field.Path) (errs field.ErrorList) {
	if path.IsAbs(p) {
		errs = append(errs, field.Invalid(at, p, "must be a relative path"))
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." {
			return append(errs, field.Invalid(at, p, "must not contain '..'"))
		}
	}
	return errs
}

func validateResources(r *corev1.ResourceRequirements, at *field.Path) (errs field.ErrorList) {
	check := func(list corev1.ResourceList, at *field.Path) {
		for name, q := range list {
			at := at.Key(string(name))
			errs = append(errs, resourceName(string(name), at)...)
			if q.Sign() < 0 {
				errs = append(errs, field.Invalid(at, q.String(), atLeastZero))
			}
		}
	}
	check(r.Limits, at.Child("limits"))
	check(r.Requests, at.Child("requests"))
	for name, request := range r.Requests {
		limit, ok := r.Limits[name]
		if ok && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(at.Child("requests"), request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, text(limit))))
		}
	}
	return errs
}

func text(q resource.Quantity) string { return q.String() }

func resourceName(name string, at *field.Path) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsQualifiedName(name) {
		errs = append(errs, field.Invalid(at, name, msg))
	}
	if len(errs) > 0 || strings.Contains(name, "/") {
		return errs
	}
	switch n := corev1.ResourceName(name); {
	case n == corev1.ResourceCPU, n == corev1.ResourceMemory, n == corev1.ResourceEphemeralStorage, strings.HasPrefix(name, corev1.ResourceHugePagesPrefix):
		return nil
	}
	return field.ErrorList{field.Invalid(at, name, "must be a standard resource type or fully qualified"), field.Invalid(at, name, "must be a standard resource for containers")}
}

func validateProbe(p *corev1.Probe, at *field.Path, once bool) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	n := 0
	for _, set := range []bool{p.Exec != nil, p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		errs = append(errs, field.Required(at, "must specify a handler type"))
	case n > 1:
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 handler type"))
	}
	for _, number := range []struct {
		name string
		n    int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds}, {"timeoutSeconds", p.TimeoutSeconds}, {"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold}, {"failureThreshold", p.FailureThreshold},
	} {
		if number.n < 0 {
			errs = append(errs, field.Invalid(at.Child(number.name), number.n, atLeastZero))
		}
	}
	if once && p.SuccessThreshold != 1 {
		errs = append(errs, field.Invalid(at.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	return errs
}
