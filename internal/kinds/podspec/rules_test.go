package podspec_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func volume(v corev1.VolumeSource) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: v}} }
}

func TestDisks(t *testing.T) {
	refusals{
		"spec.volumes[0].persistentDisk.pdName: Required value": volume(corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}}),
		"spec.volumes[0].awsElasticBlockStore.partition: Invalid value: 300: must be between 1 and 255, inclusive": volume(corev1.VolumeSource{
			AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "a", Partition: 300},
		}),
		"spec.volumes[0].csi.driver: Required value": volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}}),
		"spec.volumes[0].iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa": volume(corev1.VolumeSource{
			ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "p", IQN: "x"},
		}),
		"spec.volumes[0].scaleIO.gateway: Required value,spec.volumes[0].scaleIO.system: Required value,spec.volumes[0].scaleIO.volumeName: Required value": volume(
			corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{}}),
		"spec.volumes[0].cephfs.monitors: Required value":    volume(corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{}}),
		"spec.volumes[0].gitRepo.repository: Required value": volume(corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}}),
		"spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set," +
			"spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required," +
			"spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value": volume(corev1.VolumeSource{
			Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: "x"}}},
		}),
		"spec.volumes[0].cephFS: Forbidden: may not specify more than 1 volume type": volume(corev1.VolumeSource{
			CephFS: &corev1.CephFSVolumeSource{}, PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "a"},
		}),
		"spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set": volume(corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "t"}}}},
		}),
	}.hold(t)
}

func TestClaimedDevices(t *testing.T) {
	refusals{
		"spec.resourceClaims[0]: Invalid value: {\"Name\":\"a\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`": func(s *corev1.PodSpec) {
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "a"}}
		},
		"spec.resourceClaims[1].name: Duplicate value: \"a\"": func(s *corev1.PodSpec) {
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "a", ResourceClaimName: of("x")}, {Name: "a", ResourceClaimName: of("y")}}
		},
		"spec.containers[0].resources.claims[0]: Not found: \"b\": must be one of the names in pod.spec.resourceClaims: a": func(s *corev1.PodSpec) {
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "a", ResourceClaimName: of("x")}}
			s.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "b"}}
		},
		"spec.containers[0].resources.claims[1]: Duplicate value: \"a\"": func(s *corev1.PodSpec) {
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "a", ResourceClaimName: of("x")}}
			s.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "a", Request: "r"}, {Name: "a"}}
		},
	}.hold(t)
}

func TestSystems(t *testing.T) {
	user := func(name string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: &name}}
		}
	}
	refusals{
		"spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod": func(s *corev1.PodSpec) {
			user("a")(s)
			s.OS = &corev1.PodOS{Name: corev1.Linux}
		},
		"spec.hostPID: Forbidden: cannot be set for a windows pod,spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod," +
			"spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod": func(s *corev1.PodSpec) {
			s.OS, s.HostPID, s.SecurityContext = &corev1.PodOS{Name: corev1.Windows}, true, &corev1.PodSecurityContext{FSGroup: of(int64(1))}
			s.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: of(true)}
		},
		`spec.securityContext.windowsOptions.runAsUserName: Invalid value: "a\\b\\c": runAsUserName cannot contain more than one backslash`:  user(`a\b\c`),
		`spec.securityContext.windowsOptions.runAsUserName: Invalid value: "..": runAsUserName's User cannot contain only periods or spaces`: user(".."),
		"": user(`corp.example\me`),
		"spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers": func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{HostProcess: of(true)}}
		},
	}.hold(t)
}

func TestAnnotations(t *testing.T) {
	for want, all := range map[string]map[string]string{
		`metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set`: {podspec.Mirror: "x"},
		`metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer`:                {corev1.PodDeletionCost: "+1"},
		`metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "x": must be a valid seccomp profile`:            {corev1.SeccompPodAnnotationKey: "x"},
		`metadata.annotations[container.apparmor.security.beta.kubernetes.io/d]: Invalid value: "d": container not found`:               {"container.apparmor.security.beta.kubernetes.io/d": ""},
		`metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Invalid value: "x": invalid AppArmor profile name: "x"`: {
			"container.apparmor.security.beta.kubernetes.io/c": "x",
		},
		"": {corev1.PodDeletionCost: "-10", corev1.SeccompPodAnnotationKey: "localhost/a"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: all}, Spec: *spec(func(*corev1.PodSpec) {})}
		if got := texts(podspec.ValidatePod(pod, nil)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestAnnotationsAgreeWithFields(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		"container.apparmor.security.beta.kubernetes.io/c": "runtime/default", corev1.SeccompPodAnnotationKey: "unconfined",
	}}, Spec: *spec(func(s *corev1.PodSpec) {
		s.SecurityContext = &corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
		}
	})}
	want := "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match," +
		"spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match"
	if got := texts(podspec.ValidateNewPod(pod)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	pod.Spec.SecurityContext = nil
	podspec.ApplyArmor(pod)
	if c := pod.Spec.Containers[0].SecurityContext; c == nil || c.AppArmorProfile == nil || c.AppArmorProfile.Type != corev1.AppArmorProfileTypeRuntimeDefault {
		t.Errorf("the container's security is %+v", c)
	}
}

func TestLabelKeysAreMerged(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"hash": "1"}}, Spec: corev1.PodSpec{
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MatchLabelKeys: []string{"hash", "none"}, LabelSelector: &metav1.LabelSelector{}}},
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{MismatchLabelKeys: []string{"hash"}, LabelSelector: &metav1.LabelSelector{}}, {MatchLabelKeys: []string{"hash"}},
		}}},
	}}
	podspec.MergeLabelKeys(pod)
	terms := pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	got := metav1.FormatLabelSelector(pod.Spec.TopologySpreadConstraints[0].LabelSelector) + "; " + metav1.FormatLabelSelector(terms[0].LabelSelector)
	if got != "hash in (1); hash notin (1)" || terms[1].LabelSelector != nil {
		t.Errorf("got %s, and %v", got, terms[1].LabelSelector)
	}
}

// TestWhatStays: what an older server let in stays updatable, and is refused in a new specification.
func TestWhatStays(t *testing.T) {
	for name, change := range map[string]func(*corev1.PodSpec){
		"odd label in affinity": func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: "z", LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"-"}}}}},
			}}}
		},
		"odd value for nodes": func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: corev1.NodeSelectorOpIn, Values: []string{"-"}}}}},
			}}}
		},
		"part of a page": func(s *corev1.PodSpec) {
			list := amount("hugepages-2Mi", "3Mi")
			list[corev1.ResourceCPU] = amount("cpu", "1")["cpu"]
			s.Containers[0].Resources = corev1.ResourceRequirements{Limits: list, Requests: list}
		},
		"the node's sysctls": func(s *corev1.PodSpec) {
			s.HostNetwork, s.SecurityContext = true, &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.a"}}}
		},
		"mounted labels": func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{SELinuxChangePolicy: of(corev1.SELinuxChangePolicyMountOption)}
		},
		"comparison": func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpGt, Value: "5"}}
		},
		"keys merged before": func(s *corev1.PodSpec) {
			s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "z", WhenUnsatisfiable: corev1.DoNotSchedule,
				MatchLabelKeys: []string{"a"}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"b": "-"}}}}
		},
	} {
		pod := &corev1.Pod{Spec: *spec(change)}
		if errs := podspec.ValidatePod(pod, nil); len(errs) == 0 {
			t.Errorf("%s: a new pod is let in", name)
		}
		if errs := podspec.ValidatePod(pod, pod.DeepCopy()); len(errs) > 0 {
			t.Errorf("%s: an old pod is refused: %v", name, errs)
		}
		if errs := podspec.ValidateTemplate(&corev1.PodTemplateSpec{Spec: pod.Spec}, &corev1.PodTemplateSpec{Spec: pod.Spec}, field.NewPath("t")); len(errs) > 0 {
			t.Errorf("%s: an old template is refused: %v", name, errs)
		}
	}
}

func TestDisabledFieldsAreDropped(t *testing.T) {
	make := func() *corev1.PodSpec {
		return spec(func(s *corev1.PodSpec) {
			s.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: of("g")}
			s.Containers[0].Lifecycle = &corev1.Lifecycle{StopSignal: of(corev1.SIGHUP)}
			volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}, {PodCertificate: &corev1.PodCertificateProjection{}},
			}}})(s)
		})
	}
	s := make()
	podspec.DropDisabled(s, nil)
	sources := s.Volumes[0].Projected.Sources
	if s.SchedulingGroup != nil || s.Containers[0].Lifecycle != nil || sources[0].ClusterTrustBundle != nil || sources[1].PodCertificate != nil {
		t.Errorf("left: %+v", s)
	}
	s = make()
	podspec.DropDisabled(s, make())
	sources = s.Volumes[0].Projected.Sources
	if s.SchedulingGroup == nil || s.Containers[0].Lifecycle == nil || sources[0].ClusterTrustBundle == nil || sources[1].PodCertificate == nil {
		t.Errorf("what was there is gone: %+v", s)
	}
}
