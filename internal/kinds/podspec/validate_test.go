package podspec_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func of[T any](v T) *T { return &v }

// spec is a good specification with its defaults, after a change.
func spec(change func(*corev1.PodSpec)) *corev1.PodSpec {
	s := &corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	change(s)
	podspec.Default(s)
	return s
}

func amount(name corev1.ResourceName, text string) corev1.ResourceList {
	return corev1.ResourceList{name: resource.MustParse(text)}
}

// refusals are what upstream's server says of a change, word for word.
type refusals map[string]func(*corev1.PodSpec)

func (r refusals) hold(t *testing.T) {
	t.Helper()
	for want, change := range r {
		if got := texts(podspec.ValidatePod(&corev1.Pod{Spec: *spec(change)}, nil)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func first(change func(*corev1.Container)) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) { change(&s.Containers[0]) }
}

func TestSecurity(t *testing.T) {
	refusals{
		"": func(*corev1.PodSpec) {},
		"spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive": func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{RunAsUser: of(int64(-1))}
		},
		"spec.containers[0].securityContext.runAsGroup: Invalid value: -2: must be between 0 and 2147483647, inclusive": first(func(c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{RunAsGroup: of(int64(-2))}
		}),
		"spec.securityContext.sysctls[0].name: Invalid value: \"net.a\": may not be specified when 'hostNetwork' is true": func(s *corev1.PodSpec) {
			s.HostNetwork, s.SecurityContext = true, &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.a"}}}
		},
		"spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost": func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost}}
		},
		"spec.containers[0].securityContext: Invalid value: {\"Capabilities\":null,\"Privileged\":true,\"SELinuxOptions\":null,\"WindowsOptions\":null,\"RunAsUser\":null," +
			"\"RunAsGroup\":null,\"RunAsNonRoot\":null,\"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":false,\"ProcMount\":null,\"SeccompProfile\":null," +
			"\"AppArmorProfile\":null}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true": first(func(c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{Privileged: of(true), AllowPrivilegeEscalation: of(false)}
		}),
	}.hold(t)
}

func TestPlacement(t *testing.T) {
	refusals{
		"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty," +
			"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must be non-empty," +
			"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must consist of alphanumeric characters, " +
			"'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
			"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')": func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{}}}}
		},
		"spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{z, DoNotSchedule}\"": func(s *corev1.PodSpec) {
			one := corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: "z", WhenUnsatisfiable: corev1.DoNotSchedule}
			s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{one, one}
		},
		"spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set": func(s *corev1.PodSpec) {
			s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "z", WhenUnsatisfiable: corev1.DoNotSchedule, MatchLabelKeys: []string{"a"}}}
		},
	}.hold(t)
}

func TestNamesAndPorts(t *testing.T) {
	refusals{
		"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None": func(s *corev1.PodSpec) { s.DNSPolicy = corev1.DNSNone },
		"spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true":   func(s *corev1.PodSpec) { s.HostNetwork, s.HostnameOverride = true, of("a") },
		"spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\"": first(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 1, HostPort: 80}, {ContainerPort: 2, HostPort: 80}}
		}),
		"spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true": func(s *corev1.PodSpec) {
			s.HostNetwork, s.Containers[0].Ports = true, []corev1.ContainerPort{{ContainerPort: 80, HostPort: 81}}
		},
	}.hold(t)
}

func TestEnvironment(t *testing.T) {
	refusals{
		"spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.age\": error converting fieldPath: field label not supported: metadata.age": first(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.age"}}}}
		}),
		"spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource": first(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu", Divisor: resource.MustParse("2")}}}}
		}),
		"spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`": first(func(c *corev1.Container) { c.EnvFrom = []corev1.EnvFromSource{{}} }),
	}.hold(t)
}

func TestProbesAndHooks(t *testing.T) {
	refusals{
		"spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive": first(func(c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{}}}
		}),
		"spec.containers[0].readinessProbe.grpc: Forbidden: may not specify more than 1 handler type": first(func(c *corev1.Container) {
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(1)}, GRPC: &corev1.GRPCAction{Port: 1}}}
		}),
		"spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)": first(func(c *corev1.Container) {
			c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 31}}}
		}),
	}.hold(t)
}

func TestVolumes(t *testing.T) {
	refusals{
		"spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'": func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/a/../b"}}}}
		},
		"spec.volumes[0].downwarAPI: Forbidden: may not specify more than 1 volume type": func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: "s"}, DownwardAPI: &corev1.DownwardAPIVolumeSource{},
			}}}
		},
		"spec.volumes[0].projected: Invalid value: \"b\": conflicting duplicate paths": func(s *corev1.PodSpec) {
			items := []corev1.KeyToPath{{Key: "k", Path: "p"}}
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "a"}, Items: items}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "b"}, Items: items}},
			}}}}}
		},
	}.hold(t)
}

func TestResources(t *testing.T) {
	refusals{
		"spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2": func(s *corev1.PodSpec) {
			s.Resources = &corev1.ResourceRequirements{Requests: amount(corev1.ResourceCPU, "1")}
			s.Containers[0].Resources.Requests = amount(corev1.ResourceCPU, "2")
		},
		"spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources": first(func(c *corev1.Container) {
			c.Resources.Requests = amount("example.com/gpu", "1")
		}),
		"spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi," +
			"spec.containers[0].resources: Forbidden: HugePages require cpu or memory": first(func(c *corev1.Container) { c.Resources.Limits = amount("hugepages-2Mi", "3Mi") }),
	}.hold(t)
}

func TestEphemeralContainers(t *testing.T) {
	refusals{
		"spec.ephemeralContainers[0].targetContainerName: Not found: \"x\",spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container": func(s *corev1.PodSpec) {
			e := corev1.EphemeralContainer{TargetContainerName: "x"}
			e.Name, e.Image, e.Ports = "e", "i", []corev1.ContainerPort{{ContainerPort: 1}}
			s.EphemeralContainers = []corev1.EphemeralContainer{e}
		},
	}.hold(t)
}

func texts(errs field.ErrorList) string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return strings.Join(out, ",")
}

// TestTemplatesMayHaveLess: what only a pod must have is not asked of a template.
func TestTemplatesMayHaveLess(t *testing.T) {
	s := spec(func(s *corev1.PodSpec) {
		s.Containers[0].Image = " i "
		s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}}}}
	})
	if got := texts(podspec.ValidateTemplate(&corev1.PodTemplateSpec{Spec: *s}, nil, field.NewPath(""))); got != "" {
		t.Error(got)
	}
	want := `spec.volumes[0].image.reference: Required value,spec.containers[0].image: Invalid value: " i ": must not have leading or trailing whitespace`
	if got := texts(podspec.ValidatePod(&corev1.Pod{Spec: *s}, nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestQOSOfAWholePod(t *testing.T) {
	both := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	for want, r := range map[corev1.PodQOSClass]corev1.ResourceRequirements{
		corev1.PodQOSGuaranteed: {Limits: both, Requests: both}, corev1.PodQOSBurstable: {Requests: both}, corev1.PodQOSBestEffort: {},
	} {
		s := spec(func(s *corev1.PodSpec) {
			s.Resources, s.Containers[0].Resources.Requests = &r, amount(corev1.ResourceCPU, "1m") // the containers do not count then
		})
		if got := podspec.QOSClass(s); got != want {
			t.Errorf("%v is %s, want %s", r, got, want)
		}
	}
}
