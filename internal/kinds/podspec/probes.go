package podspec

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is what is asked of a container while it lives: probes, and hooks at its beginning and end.

// handler is what a probe or a hook does; exactly one part is set.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
	grace *int64 // of the pod, in seconds
}

// validate checks the first part that is set, and forbids the others.
func (h handler) validate(at place) (errs field.ErrorList) {
	found := false
	for _, part := range []struct {
		name  string
		set   bool
		check func(at place) field.ErrorList
	}{
		{"exec", h.exec != nil, func(at place) field.ErrorList {
			if len(h.exec.Command) > 0 {
				return nil
			}
			return field.ErrorList{field.Required(at.in("command").path(), "")}
		}},
		{"httpGet", h.http != nil, func(at place) field.ErrorList { return validateHTTPGet(h.http, at) }},
		{"tcpSocket", h.tcp != nil, func(at place) field.ErrorList { return portOrName(h.tcp.Port, at.in("port")) }},
		{"grpc", h.grpc != nil, func(at place) field.ErrorList {
			return portOrName(intstr.FromInt32(h.grpc.Port), at.in("port"))
		}},
		{"sleep", h.sleep != nil, func(at place) field.ErrorList { return validateSleep(h.sleep, h.grace, at) }},
	} {
		switch {
		case !part.set:
		case found:
			errs = append(errs, field.Forbidden(at.in(part.name).path(), "may not specify more than 1 handler type"))
		default:
			found = true
			errs = append(errs, part.check(at.in(part.name))...)
		}
	}
	if !found {
		errs = append(errs, field.Required(at.path(), "must specify a handler type"))
	}
	return errs
}

func validateHTTPGet(g *corev1.HTTPGetAction, at place) (errs field.ErrorList) {
	if g.Path == "" {
		errs = append(errs, field.Required(at.in("path").path(), ""))
	}
	errs = append(errs, portOrName(g.Port, at.in("port"))...)
	if g.Scheme != corev1.URISchemeHTTP && g.Scheme != corev1.URISchemeHTTPS {
		errs = append(errs, field.NotSupported(at.in("scheme").path(), g.Scheme, []corev1.URIScheme{corev1.URISchemeHTTP, corev1.URISchemeHTTPS}))
	}
	for _, h := range g.HTTPHeaders {
		for _, msg := range utilvalidation.IsHTTPHeaderName(h.Name) {
			errs = append(errs, field.Invalid(at.in("httpHeaders").path(), h.Name, msg))
		}
	}
	return errs
}

func portOrName(p intstr.IntOrString, at place) (errs field.ErrorList) {
	if p.Type == intstr.String {
		for _, msg := range utilvalidation.IsValidPortName(p.StrVal) {
			errs = append(errs, field.Invalid(at.path(), p.StrVal, msg))
		}
		return errs
	}
	return port(p.IntVal, at)
}

func validateSleep(s *corev1.SleepAction, grace *int64, at place) field.ErrorList {
	if grace == nil || s.Seconds >= 0 && s.Seconds <= *grace {
		return nil
	}
	return field.ErrorList{field.Invalid(at.path(), s.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))}
}

func validateLifecycle(l *corev1.Lifecycle, s *subject, at place) (errs field.ErrorList) {
	if l == nil {
		return nil
	}
	for _, hook := range []struct {
		name string
		h    *corev1.LifecycleHandler
	}{{"postStart", l.PostStart}, {"preStop", l.PreStop}} {
		if h := hook.h; h != nil {
			action := handler{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep, grace: s.TerminationGracePeriodSeconds}
			errs = append(errs, action.validate(at.in(hook.name))...)
		}
	}
	return errs
}

// validateProbes checks a container's probes. Readiness may come and go, the others succeed once; a container that is not ready is not stopped.
func validateProbes(c *corev1.Container, at place) (errs field.ErrorList) {
	errs = append(errs, validateProbe(c.LivenessProbe, at.in("livenessProbe"), true)...)
	if p := c.ReadinessProbe; p != nil {
		at := at.in("readinessProbe")
		errs = append(errs, validateProbe(p, at, false)...)
		if n := p.TerminationGracePeriodSeconds; n != nil {
			errs = append(errs, field.Invalid(at.in("terminationGracePeriodSeconds").path(), *n, "must not be set for readinessProbes"))
		}
	}
	return append(errs, validateProbe(c.StartupProbe, at.in("startupProbe"), true)...)
}

func validateProbe(p *corev1.Probe, at place, once bool) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	errs = handler{exec: p.Exec, http: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}.validate(at)
	for _, number := range []struct {
		name string
		n    int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds}, {"timeoutSeconds", p.TimeoutSeconds}, {"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold}, {"failureThreshold", p.FailureThreshold},
	} {
		if number.n < 0 {
			errs = append(errs, field.Invalid(at.in(number.name).path(), number.n, atLeastZero))
		}
	}
	if n := p.TerminationGracePeriodSeconds; n != nil && *n <= 0 {
		errs = append(errs, field.Invalid(at.in("terminationGracePeriodSeconds").path(), *n, "must be greater than 0"))
	}
	if once && p.SuccessThreshold != 1 {
		errs = append(errs, field.Invalid(at.in("successThreshold").path(), p.SuccessThreshold, "must be 1"))
	}
	return errs
}
