package podspec_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func one(c corev1.Container, change func(*corev1.PodSpec)) *corev1.PodSpec {
	s := &corev1.PodSpec{Containers: []corev1.Container{c}}
	if change != nil {
		change(s)
	}
	podspec.Default(s)
	return s
}

// TestTemplatesKeepWhatOnlyPodsAreGiven: upstream gives these three to pods and not to templates, so that a workload reads back as it was written.
func TestTemplatesKeepWhatOnlyPodsAreGiven(t *testing.T) {
	limits := corev1.ResourceList{"cpu": resource.MustParse("1")}
	make := func() *corev1.PodSpec {
		return one(corev1.Container{Ports: []corev1.ContainerPort{{ContainerPort: 80}}, Resources: corev1.ResourceRequirements{Limits: limits}},
			func(s *corev1.PodSpec) { s.HostNetwork = true })
	}
	s := make()
	c := &s.Containers[0]
	if s.EnableServiceLinks != nil || c.Resources.Requests != nil || c.Ports[0].HostPort != 0 {
		t.Errorf("a template was given service links %v, requests %v, host port %d", s.EnableServiceLinks, c.Resources.Requests, c.Ports[0].HostPort)
	}
	podspec.DefaultPod(s)
	cpu := c.Resources.Requests[corev1.ResourceCPU]
	if s.EnableServiceLinks == nil || !*s.EnableServiceLinks || cpu.String() != "1" || c.Ports[0].HostPort != 80 {
		t.Errorf("a pod was given service links %v, cpu %v, host port %d", s.EnableServiceLinks, cpu.String(), c.Ports[0].HostPort)
	}
}

func TestSpreadConstraintsStayAsGiven(t *testing.T) {
	s := one(corev1.Container{}, func(s *corev1.PodSpec) { s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{}} })
	if c := s.TopologySpreadConstraints[0]; c.NodeAffinityPolicy != nil || c.NodeTaintsPolicy != nil {
		t.Errorf("got %v and %v, want neither: the scheduler reads nil as its default", c.NodeAffinityPolicy, c.NodeTaintsPolicy)
	}
}

func TestQuantitiesAreRoundedUpToThousandths(t *testing.T) {
	s := one(corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100u")}}}, nil)
	if cpu := s.Containers[0].Resources.Requests["cpu"]; cpu.String() != "1m" {
		t.Errorf("got %s, want 1m", cpu.String())
	}
}

func TestVolumeDefaults(t *testing.T) {
	s := one(corev1.Container{}, func(s *corev1.PodSpec) {
		for _, v := range []corev1.VolumeSource{
			{ISCSI: &corev1.ISCSIVolumeSource{}}, {RBD: &corev1.RBDVolumeSource{}}, {AzureDisk: &corev1.AzureDiskVolumeSource{}},
			{ScaleIO: &corev1.ScaleIOVolumeSource{}}, {Image: &corev1.ImageVolumeSource{Reference: "a/b"}},
		} {
			s.Volumes = append(s.Volumes, corev1.Volume{VolumeSource: v})
		}
	})
	azure := s.Volumes[2].AzureDisk
	if azure.CachingMode == nil || azure.FSType == nil || azure.ReadOnly == nil || azure.Kind == nil {
		t.Fatalf("azureDisk: %+v", azure)
	}
	for _, c := range []struct{ what, got, want string }{
		{"iscsi interface", s.Volumes[0].ISCSI.ISCSIInterface, "default"},
		{"rbd pool", s.Volumes[1].RBD.RBDPool, "rbd"},
		{"rbd user", s.Volumes[1].RBD.RadosUser, "admin"},
		{"rbd keyring", s.Volumes[1].RBD.Keyring, "/etc/ceph/keyring"},
		{"azure caching", string(*azure.CachingMode), "ReadWrite"},
		{"azure file system", *azure.FSType, "ext4"},
		{"azure kind", string(*azure.Kind), "Shared"},
		{"scaleIO mode", s.Volumes[3].ScaleIO.StorageMode, "ThinProvisioned"},
		{"scaleIO file system", s.Volumes[3].ScaleIO.FSType, "xfs"},
		{"image pull policy", string(s.Volumes[4].Image.PullPolicy), "Always"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestEphemeralContainersAndFileKeys(t *testing.T) {
	s := one(corev1.Container{Env: []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{}}}}}, func(s *corev1.PodSpec) {
		s.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "i:1"}}}
	})
	if e := s.EphemeralContainers[0]; e.ImagePullPolicy != corev1.PullIfNotPresent || e.TerminationMessagePath == "" || e.TerminationMessagePolicy == "" {
		t.Errorf("ephemeral container: %+v", e)
	}
	if o := s.Containers[0].Env[0].ValueFrom.FileKeyRef.Optional; o == nil || *o {
		t.Errorf("fileKeyRef.optional: got %v, want false", o)
	}
}
