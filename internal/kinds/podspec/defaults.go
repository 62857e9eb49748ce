package podspec

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

// word sets *p to v when it is empty.
func word[T ~string](p *T, v T) {
	if *p == "" {
		*p = v
	}
}

// Default fills what a specification leaves open, in a pod and in a template alike. Pods are given more by DefaultPod.
func Default(s *corev1.PodSpec) {
	word(&s.DNSPolicy, corev1.DNSClusterFirst)
	word(&s.RestartPolicy, corev1.RestartPolicyAlways)
	word(&s.SchedulerName, corev1.DefaultSchedulerName)
	def(&s.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	// The older name of the same field is written by old clients and read by old ones.
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = s.DeprecatedServiceAccount
	}
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for i := range s.InitContainers {
		defaultContainer(&s.InitContainers[i])
	}
	for i := range s.Containers {
		defaultContainer(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		defaultContainer((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
	kinds.RoundUp(s.Overhead)
	if r := s.Resources; r != nil {
		kinds.RoundUp(r.Limits, r.Requests)
	}
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i].VolumeSource)
	}
}

// DefaultPod fills what only pods are given, after Default. Templates are not, so that a workload reads back as it was written.
func DefaultPod(s *corev1.PodSpec) {
	def(&s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range list {
			defaultRequests(&list[i].Resources)
			for j := range list[i].Ports {
				if p := &list[i].Ports[j]; s.HostNetwork && p.HostPort == 0 {
					p.HostPort = p.ContainerPort
				}
			}
		}
	}
	if r := s.Resources; r != nil {
		defaultPages(s, r)
		defaultTotals(s, r)
	}
}

// defaultPages lets a pod as a whole take the huge pages that its containers may, where it says nothing of them.
func defaultPages(s *corev1.PodSpec, r *corev1.ResourceRequirements) {
	if len(r.Limits)+len(r.Requests) == 0 {
		return
	}
	for name, sum := range resourcehelper.AggregateContainerLimits(&corev1.Pod{Spec: *s}, resourcehelper.PodResourcesOptions{}) {
		_, asked := r.Requests[name]
		_, said := r.Limits[name]
		if isPages(name) && resourcehelper.IsSupportedPodLevelResource(name) && !asked && !said {
			if r.Limits == nil {
				r.Limits = corev1.ResourceList{}
			}
			r.Limits[name] = sum.DeepCopy()
		}
	}
}

// defaultTotals lets a pod with limits ask, as a whole, for what its containers ask together, and for its limit where they ask for nothing.
func defaultTotals(s *corev1.PodSpec, r *corev1.ResourceRequirements) {
	if len(r.Limits) == 0 {
		return
	}
	ask := func(name corev1.ResourceName, q resource.Quantity) {
		if _, said := r.Requests[name]; said || !resourcehelper.IsSupportedPodLevelResource(name) {
			return
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = q.DeepCopy()
	}
	for name, sum := range resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *s}, resourcehelper.PodResourcesOptions{}) {
		if shared(name) {
			ask(name, sum)
		}
	}
	for name, limit := range r.Limits {
		ask(name, limit)
	}
}

func defaultContainer(c *corev1.Container) {
	word(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	word(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	word(&c.ImagePullPolicy, pullPolicy(c.Image))
	for i := range c.Ports {
		word(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from != nil && from.FieldRef != nil {
			word(&from.FieldRef.APIVersion, "v1")
		}
		if from != nil && from.FileKeyRef != nil {
			def(&from.FileKeyRef.Optional, false)
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(p)
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultGet(h.HTTPGet)
			}
		}
	}
	kinds.RoundUp(c.Resources.Limits, c.Resources.Requests)
}

// pullPolicy is Always for the newest of a name, which may become another image, else IfNotPresent, as for no image at all.
func pullPolicy(image string) corev1.PullPolicy {
	if image == "" || strings.Contains(image, "@") {
		return corev1.PullIfNotPresent
	}
	last := image[strings.LastIndex(image, "/")+1:]
	if _, tag, ok := strings.Cut(last, ":"); ok && tag != "latest" {
		return corev1.PullIfNotPresent
	}
	return corev1.PullAlways
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	for field, v := range map[*int32]int32{&p.TimeoutSeconds: 1, &p.PeriodSeconds: 10, &p.SuccessThreshold: 1, &p.FailureThreshold: 3} {
		if *field == 0 {
			*field = v
		}
	}
	defaultGet(p.HTTPGet)
	if p.GRPC != nil {
		def(&p.GRPC.Service, "")
	}
}

func defaultGet(g *corev1.HTTPGetAction) {
	if g != nil {
		word(&g.Path, "/")
		word(&g.Scheme, corev1.URISchemeHTTP)
	}
}

// defaultRequests asks for what is the limit where nothing is asked for.
func defaultRequests(r *corev1.ResourceRequirements) {
	for name, limit := range r.Limits {
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		if _, ok := r.Requests[name]; !ok {
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

func defaultVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	const mode = int32(0o644)
	switch {
	case v.Secret != nil:
		def(&v.Secret.DefaultMode, mode)
	case v.ConfigMap != nil:
		def(&v.ConfigMap.DefaultMode, mode)
	case v.DownwardAPI != nil:
		def(&v.DownwardAPI.DefaultMode, mode)
		defaultItems(v.DownwardAPI.Items)
	case v.Projected != nil:
		def(&v.Projected.DefaultMode, mode)
		for _, s := range v.Projected.Sources {
			if s.DownwardAPI != nil {
				defaultItems(s.DownwardAPI.Items)
			}
			if s.ServiceAccountToken != nil {
				def(&s.ServiceAccountToken.ExpirationSeconds, int64(3600))
			}
		}
	case v.HostPath != nil:
		def(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		volumespec.DefaultClaim(&v.Ephemeral.VolumeClaimTemplate.Spec)
	case v.Image != nil:
		word(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	default:
		defaultDisk(v)
	}
}

// defaultDisk fills the sources that name a remote disk.
func defaultDisk(v *corev1.VolumeSource) {
	switch {
	case v.ISCSI != nil:
		word(&v.ISCSI.ISCSIInterface, "default")
	case v.RBD != nil:
		word(&v.RBD.RBDPool, "rbd")
		word(&v.RBD.RadosUser, "admin")
		word(&v.RBD.Keyring, "/etc/ceph/keyring")
	case v.AzureDisk != nil:
		def(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		def(&v.AzureDisk.FSType, "ext4")
		def(&v.AzureDisk.ReadOnly, false)
		def(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
	case v.ScaleIO != nil:
		word(&v.ScaleIO.StorageMode, "ThinProvisioned")
		word(&v.ScaleIO.FSType, "xfs")
	}
}

func defaultItems(items []corev1.DownwardAPIVolumeFile) {
	for _, i := range items {
		if i.FieldRef != nil {
			word(&i.FieldRef.APIVersion, "v1")
		}
	}
}

// QOSClass is the class of service that follows from what a pod asks and may take (the pod QoS design): as a whole where it says so (KEP-2837), or
// else all its containers together.
func QOSClass(s *corev1.PodSpec) corev1.PodQOSClass {
	var parts []*corev1.ResourceRequirements
	if s.Resources != nil {
		parts = append(parts, s.Resources)
	} else {
		for i := range s.InitContainers {
			parts = append(parts, &s.InitContainers[i].Resources)
		}
		for i := range s.Containers {
			parts = append(parts, &s.Containers[i].Resources)
		}
	}
	asked, guaranteed := false, true
	for _, r := range parts {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := r.Requests[name], r.Limits[name]
			asked = asked || !request.IsZero() || !limit.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
		}
	}
	switch {
	case !asked:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// ClassOf is the class of service that a pod has, or will have.
func ClassOf(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	return QOSClass(&pod.Spec)
}

// Selector returns a label selector in the string form of the scale subresource.
func Selector(s *metav1.LabelSelector) string {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return sel.String()
}
