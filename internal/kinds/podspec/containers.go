package podspec

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a container's own rules for restarts may be at most.
const (
	maxRules = 20
	maxCodes = 255
	noPolicy = "must specify restartPolicy when restart rules are used"
)

// volumes are a specification's volumes by name.
type volumes map[string]*corev1.VolumeSource

// validateContainers checks containers and init containers; names are unique among all.
func validateContainers(s *subject, at place) (errs field.ErrorList) {
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(at.in("containers").path(), ""))
	}
	names := sets.New[string]()
	for i := range s.Containers {
		c, at := &s.Containers[i], at.in("containers").nth(i)
		errs = append(errs, validateContainer(c, s, at)...)
		errs = append(errs, uniqueName(c.Name, names, at)...)
		errs = append(errs, validateLifecycle(c.Lifecycle, s, at.in("lifecycle"))...)
		errs = append(errs, validateProbes(c, at)...)
		errs = append(errs, validateRestart(c.RestartPolicy, c.RestartPolicyRules, at)...)
	}
	errs = append(errs, hostPorts(s.Containers, at.in("containers"))...)
	for i := range s.InitContainers {
		c, at := &s.InitContainers[i], at.in("initContainers")
		errs = append(errs, validateContainer(c, s, at.nth(i))...)
		errs = append(errs, validateInitRestart(c, at.nth(i))...)
		errs = append(errs, uniqueName(c.Name, names, at.nth(i))...)
		errs = append(errs, hostPorts(s.InitContainers[i:i+1], at)...) // they run one after the other
		errs = append(errs, validateInit(c, s, at.nth(i))...)
	}
	return append(errs, validateEphemeral(s, names, at.in("ephemeralContainers"))...)
}

func uniqueName(name string, names sets.Set[string], at place) field.ErrorList {
	if names.Has(name) {
		return field.ErrorList{field.Duplicate(at.in("name").path(), name)}
	}
	names.Insert(name)
	return nil
}

// isSidecar says that an init container runs on beside the others.
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// validateInit refuses what makes no sense before the pod runs. A restartable init container, a sidecar, may have it all.
func validateInit(c *corev1.Container, s *subject, at place) (errs field.ErrorList) {
	if isSidecar(c) {
		return append(validateLifecycle(c.Lifecycle, s, at.in("lifecycle")), validateProbes(c, at)...)
	}
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil},
	} {
		if part.set {
			errs = append(errs, field.Forbidden(at.in(part.name).path(), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	for i, p := range c.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer && !s.leave.restartOnResize {
			errs = append(errs, field.Invalid(at.in("resizePolicy").nth(i).in("restartPolicy").path(), p.RestartPolicy, "must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
	return errs
}

// validateEphemeral checks containers that a person adds to look into a pod: they are no part of its work.
func validateEphemeral(s *subject, names sets.Set[string], at place) (errs field.ErrorList) {
	others := names.Clone()
	for i := range s.EphemeralContainers {
		e, at := &s.EphemeralContainers[i], at.nth(i)
		c := corev1.Container(e.EphemeralContainerCommon)
		errs = append(errs, validateContainer(&c, s, at)...)
		errs = append(errs, trimmedImage(c.Image, at.in("image"))...)
		errs = append(errs, uniqueName(c.Name, names, at)...)
		if target := e.TargetContainerName; target != "" && !others.Has(target) {
			errs = append(errs, field.NotFound(at.in("targetContainerName").path(), target))
		}
		for _, part := range []struct {
			name string
			set  bool
		}{
			{"ports", len(c.Ports) > 0}, {"resources", c.Resources.Limits != nil || c.Resources.Requests != nil || c.Resources.Claims != nil},
			{"resizePolicy", len(c.ResizePolicy) > 0}, {"restartPolicy", c.RestartPolicy != nil}, {"restartPolicyRules", len(c.RestartPolicyRules) > 0},
			{"livenessProbe", c.LivenessProbe != nil}, {"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil}, {"lifecycle", c.Lifecycle != nil},
		} {
			if part.set {
				errs = append(errs, field.Forbidden(at.in(part.name).path(), "cannot be set for an Ephemeral Container"))
			}
		}
		for j, m := range c.VolumeMounts {
			if m.SubPath != "" {
				errs = append(errs, field.Forbidden(at.in("volumeMounts").nth(j).in("subPath").path(), "cannot be set for an Ephemeral Container"))
			}
			if m.SubPathExpr != "" {
				errs = append(errs, field.Forbidden(at.in("volumeMounts").nth(j).in("subPathExpr").path(), "cannot be set for an Ephemeral Container"))
			}
		}
	}
	return errs
}

func dnsLabel(value string, at place) (errs field.ErrorList) {
	if value == "" {
		return field.ErrorList{field.Required(at.path(), "")}
	}
	for _, msg := range utilvalidation.IsDNS1123Label(value) {
		errs = append(errs, field.Invalid(at.path(), value, msg))
	}
	return errs
}

// validateContainer is what all sorts of containers have in common.
func validateContainer(c *corev1.Container, s *subject, at place) field.ErrorList {
	errs := dnsLabel(c.Name, at.in("name"))
	if c.Image == "" {
		errs = append(errs, field.Required(at.in("image").path(), ""))
	}
	errs = append(errs, oneOf(at.in("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, validatePorts(c.Ports, at.in("ports"))...)
	errs = append(errs, validateEnv(c, at)...)
	errs = append(errs, validateMounts(c, s.volumes, at.in("volumeMounts"))...)
	errs = append(errs, validateDevices(c, s.volumes, at.in("volumeDevices"))...)
	errs = append(errs, pullPolicies(c.ImagePullPolicy, at.in("imagePullPolicy"))...)
	errs = append(errs, validateResources(&c.Resources, at.in("resources"), containerResource, s.leave.oddPages)...)
	errs = append(errs, validateClaimNames(c.Resources.Claims, s.claims, at.in("resources", "claims"))...)
	errs = append(errs, validateResize(c.ResizePolicy, s.RestartPolicy, at.in("resizePolicy"))...)
	return append(errs, validateSecurity(c.SecurityContext, !ownUsers(s.PodSpec), at.in("securityContext"))...)
}

func pullPolicies(p corev1.PullPolicy, at place) field.ErrorList {
	return oneOf(at, p, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

// validateInitRestart checks the rules of a container that runs first, which mean nothing without a policy.
func validateInitRestart(c *corev1.Container, at place) field.ErrorList {
	if c.RestartPolicy == nil && len(c.RestartPolicyRules) > 0 {
		return field.ErrorList{field.Required(at.in("restartPolicy").path(), noPolicy)}
	}
	return validateRestart(c.RestartPolicy, c.RestartPolicyRules, at)
}

// validateRestart checks a container's own rules for restarts (KEP-5307).
func validateRestart(p *corev1.ContainerRestartPolicy, rules []corev1.ContainerRestartRule, at place) (errs field.ErrorList) {
	if p == nil && len(rules) > 0 {
		errs = append(errs, field.Required(at.in("restartPolicy").path(), noPolicy))
	}
	errs = append(errs, optional(p, at.in("restartPolicy"), corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	if len(rules) > maxRules {
		errs = append(errs, field.TooMany(at.in("restartPolicyRules").path(), len(rules), maxRules))
	}
	for i, r := range rules {
		at := at.in("restartPolicyRules").nth(i)
		errs = append(errs, optional(&r.Action, at.in("action"), corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)...)
		at = at.in("exitCodes")
		if r.ExitCodes == nil {
			errs = append(errs, field.Required(at.path(), "must be specified"))
			continue
		}
		errs = append(errs, optional(&r.ExitCodes.Operator, at.in("operator"), corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		if n := len(r.ExitCodes.Values); n > maxCodes {
			errs = append(errs, field.TooMany(at.in("values").path(), n, maxCodes))
		}
	}
	return errs
}

func validatePorts(ports []corev1.ContainerPort, at place) (errs field.ErrorList) {
	names := sets.New[string]()
	for i, p := range ports {
		at := at.nth(i)
		if p.Name != "" {
			bad := named(p.Name, at.in("name"), utilvalidation.IsValidPortName)
			errs = append(errs, bad...)
			if len(bad) == 0 {
				errs = append(errs, uniqueName(p.Name, names, at)...)
			}
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.in("containerPort").path(), ""))
		} else {
			errs = append(errs, port(p.ContainerPort, at.in("containerPort"))...)
		}
		if p.HostPort != 0 {
			errs = append(errs, port(p.HostPort, at.in("hostPort"))...)
		}
		errs = append(errs, oneOf(at.in("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

func port(n int32, at place) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsValidPortNum(int(n)) {
		errs = append(errs, field.Invalid(at.path(), n, msg))
	}
	return errs
}

// hostPorts: a port of the node is taken once by containers that run together.
func hostPorts(list []corev1.Container, at place) (errs field.ErrorList) {
	taken := sets.New[string]()
	for i := range list {
		for j, p := range list[i].Ports {
			if p.HostPort == 0 {
				continue
			}
			place := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			if taken.Has(place) {
				errs = append(errs, field.Duplicate(at.nth(i).in("ports").nth(j).in("hostPort").path(), place))
			}
			taken.Insert(place)
		}
	}
	return errs
}

// trimmed is the rule for images of pods; templates of old may have spaces around them.
func trimmedImage(image string, at place) field.ErrorList {
	if strings.TrimSpace(image) == image {
		return nil
	}
	return field.ErrorList{field.Invalid(at.path(), image, "must not have leading or trailing whitespace")}
}
