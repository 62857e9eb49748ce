package podspec

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// Secrets goes through the names of the secrets in the pod's namespace that the pod refers to; a name may come more than once.
func Secrets(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		give := nonempty(yield)
		for i := range pod.Spec.ImagePullSecrets {
			if !give(pod.Spec.ImagePullSecrets[i].Name) {
				return
			}
		}
		if !eachEnv(pod, func(from *corev1.EnvFromSource) bool { return from.SecretRef == nil || give(from.SecretRef.Name) },
			func(from *corev1.EnvVarSource) bool { return from.SecretKeyRef == nil || give(from.SecretKeyRef.Name) }) {
			return
		}
		for i := range pod.Spec.Volumes {
			if !volumeSecrets(&pod.Spec.Volumes[i].VolumeSource, give) {
				return
			}
		}
	}
}

// ConfigMaps is Secrets for config maps.
func ConfigMaps(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		give := nonempty(yield)
		if !eachEnv(pod, func(from *corev1.EnvFromSource) bool { return from.ConfigMapRef == nil || give(from.ConfigMapRef.Name) },
			func(from *corev1.EnvVarSource) bool {
				return from.ConfigMapKeyRef == nil || give(from.ConfigMapKeyRef.Name)
			}) {
			return
		}
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if v.ConfigMap != nil && !give(v.ConfigMap.Name) {
				return
			}
			if v.Projected == nil {
				continue
			}
			for j := range v.Projected.Sources {
				if s := v.Projected.Sources[j].ConfigMap; s != nil && !give(s.Name) {
					return
				}
			}
		}
	}
}

// Claims goes through the names of the claims of volumes that the pod uses, those that are made for it included.
func Claims(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range pod.Spec.Volumes {
			switch v := &pod.Spec.Volumes[i]; {
			case v.PersistentVolumeClaim != nil:
				if !yield(v.PersistentVolumeClaim.ClaimName) {
					return
				}
			case v.Ephemeral != nil:
				if !yield(pod.Name + "-" + v.Name) {
					return
				}
			}
		}
	}
}

// nonempty leaves out what has no name.
func nonempty(yield func(string) bool) func(string) bool {
	return func(name string) bool { return name == "" || yield(name) }
}

// eachEnv goes through what the environments of all containers are taken from, until one of the functions says false, which it returns.
func eachEnv(pod *corev1.Pod, from func(*corev1.EnvFromSource) bool, one func(*corev1.EnvVarSource) bool) bool {
	check := func(env []corev1.EnvVar, whole []corev1.EnvFromSource) bool {
		for i := range whole {
			if !from(&whole[i]) {
				return false
			}
		}
		for i := range env {
			if env[i].ValueFrom != nil && !one(env[i].ValueFrom) {
				return false
			}
		}
		return true
	}
	for _, list := range [...][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !check(list[i].Env, list[i].EnvFrom) {
				return false
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i]; !check(c.Env, c.EnvFrom) {
			return false
		}
	}
	return true
}

func volumeSecrets(v *corev1.VolumeSource, give func(string) bool) bool {
	local := func(ref *corev1.LocalObjectReference) bool { return ref == nil || give(ref.Name) }
	switch {
	case v.AzureFile != nil:
		return give(v.AzureFile.SecretName)
	case v.CephFS != nil:
		return local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		return local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		return local(v.FlexVolume.SecretRef)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if s := v.Projected.Sources[i].Secret; s != nil && !give(s.Name) {
				return false
			}
		}
	case v.RBD != nil:
		return local(v.RBD.SecretRef)
	case v.Secret != nil:
		return give(v.Secret.SecretName)
	case v.ScaleIO != nil:
		return local(v.ScaleIO.SecretRef)
	case v.ISCSI != nil:
		return local(v.ISCSI.SecretRef)
	case v.StorageOS != nil:
		return local(v.StorageOS.SecretRef)
	case v.CSI != nil:
		return local(v.CSI.NodePublishSecretRef)
	}
	return true
}

// ResourceClaims goes through the names of the resource claims that the pod uses, those that were made for it included.
func ResourceClaims(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range pod.Spec.ResourceClaims {
			if name := resourceClaim(pod, &pod.Spec.ResourceClaims[i]); name != nil && !yield(*name) {
				return
			}
		}
		if s := pod.Status.ExtendedResourceClaimStatus; s != nil && s.ResourceClaimName != "" {
			yield(s.ResourceClaimName)
		}
	}
}

// resourceClaim is the name behind one entry; nil: none is made, not yet or never.
func resourceClaim(pod *corev1.Pod, c *corev1.PodResourceClaim) *string {
	switch {
	case c.ResourceClaimName != nil:
		return c.ResourceClaimName
	case c.ResourceClaimTemplateName == nil:
		return nil
	}
	for i := range pod.Status.ResourceClaimStatuses {
		if s := &pod.Status.ResourceClaimStatuses[i]; s.Name == c.Name {
			return s.ResourceClaimName
		}
	}
	return nil
}
