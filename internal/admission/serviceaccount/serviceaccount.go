// Package serviceaccount is the admission plug-in ServiceAccount: every pod runs as a service account of its namespace, and gets what belongs to it.
//
// # Laws
//
//   - A new pod that names no account runs as "default". The account must be there; the default one, which a controller makes, is waited for, a second and a
//     half at most.
//   - Unless pod or account say otherwise, each container that mounts nothing there finds a token, the cluster's certificate and its namespace in a projected
//     volume at /var/run/secrets/kubernetes.io/serviceaccount.
//   - A pod without image pull secrets has those of its account.
//   - An account with the annotation kubernetes.io/enforce-mountable-secrets lets its pods use only the secrets that it names.
//   - A mirror of a static pod is never changed, and may use neither accounts nor secrets.
package serviceaccount

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

const (
	defaultName = "default"
	enforce     = "kubernetes.io/enforce-mountable-secrets"
	volumeName  = "kube-api-access-"
	mountPath   = "/var/run/secrets/kubernetes.io/serviceaccount"
	// expires is upstream's hour and seven seconds, by which the node tells tokens that it renews early.
	expires = 3607
	letters = "bcdfghjklmnpqrstvwxz2456789"
	// How often, and how long apart, the default account is looked for.
	looks = 10
	apart = 150 * time.Millisecond
)

// Config is what the plug-in needs. Both may be nil where nothing is asked of it.
type Config struct {
	Clock clock.Clock
	// Newest returns an object's newest durable state; nil when there is none. It is safe for concurrent use.
	Newest func(namespace, name string) kinds.Object
	// NoVolume: pods get no volume with a token, because the nodes that run them have no projected volumes.
	NoVolume bool
}

// New returns the plug-in.
func New(cfg Config) admission.Plugin {
	p := &plugin{cfg}
	return admission.Plugin{Name: "ServiceAccount", Admit: p.admit, Validate: p.validate}
}

type plugin struct{ Config }

// podOf returns the pod of a write that the plug-in looks at; nil when it is none.
func podOf(a *admission.Attributes) *corev1.Pod {
	if !a.Is("", "pods", "") && !a.Is("", "pods", "ephemeralcontainers") {
		return nil
	}
	pod, _ := a.Object.(*corev1.Pod)
	return pod
}

func isMirror(pod *corev1.Pod) bool {
	_, is := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return is
}

func (p *plugin) admit(ctx context.Context, a *admission.Attributes) error {
	pod := podOf(a)
	if pod == nil || a.Operation != admission.Create {
		return nil
	}
	if isMirror(pod) {
		return p.validate(ctx, a)
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultName
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := p.account(ctx, a, pod)
	if err != nil {
		return err
	}
	if !p.NoVolume && automounts(account, pod) {
		mountToken(a, pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return p.validate(ctx, a)
}

func (p *plugin) validate(ctx context.Context, a *admission.Attributes) error {
	pod := podOf(a)
	switch {
	case pod == nil:
		return nil
	case a.Operation == admission.Update && a.Subresource == "ephemeralcontainers":
	case a.Operation != admission.Create:
		return nil
	case isMirror(pod):
		return judgeMirror(a, pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		return a.Forbidf("no service account specified for pod %s/%s", a.Namespace, pod.Name)
	}
	account, err := p.account(ctx, a, pod)
	if err != nil {
		return err
	}
	if on, _ := strconv.ParseBool(account.Annotations[enforce]); !on {
		return nil
	}
	if a.Subresource != "" { // upstream answers with the bare text here
		var list []corev1.Container
		for _, c := range pod.Spec.EphemeralContainers {
			list = append(list, corev1.Container(c.EphemeralContainerCommon))
		}
		return mayName(account, "ephemeral container", list)
	}
	if err := mayUse(account, pod); err != nil {
		return a.Forbid(err)
	}
	return nil
}

// account finds the pod's service account.
func (p *plugin) account(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) (*corev1.ServiceAccount, error) {
	name := pod.Spec.ServiceAccountName
	obj := a.See.Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), a.Namespace, name)
	for try := 1; obj == nil && name == defaultName && p.Newest != nil && try < looks; try++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.Clock.After(apart):
		}
		obj = p.Newest(a.Namespace, name)
	}
	if account, ok := obj.(*corev1.ServiceAccount); ok {
		return account, nil
	}
	return nil, a.Forbidf("error looking up service account %s/%s: %w", a.Namespace, name, apierrors.NewNotFound(corev1.Resource("serviceaccount"), name))
}

// judgeMirror refuses a mirror pod that wants what only the API can give.
func judgeMirror(a *admission.Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return a.Forbidf("a mirror pod may not reference service accounts")
	}
	for range podspec.Secrets(pod) {
		return a.Forbidf("a mirror pod may not reference secrets")
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.ServiceAccountToken != nil }) {
			return a.Forbidf("a mirror pod may not use ServiceAccountToken volume projections")
		}
	}
	return nil
}

func automounts(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	for _, says := range []*bool{pod.Spec.AutomountServiceAccountToken, account.AutomountServiceAccountToken} {
		if says != nil {
			return *says
		}
	}
	return true
}

// mayUse refuses a pod that uses secrets which its account does not name.
func mayUse(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	for _, v := range pod.Spec.Volumes {
		if s := v.Secret; s != nil && !names(account, s.SecretName) {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", s.SecretName, account.Name)
		}
	}
	if err := mayName(account, "init container", pod.Spec.InitContainers); err != nil {
		return err
	}
	if err := mayName(account, "container", pod.Spec.Containers); err != nil {
		return err
	}
	for i, ref := range pod.Spec.ImagePullSecrets {
		if !slices.Contains(account.ImagePullSecrets, ref) {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, ref.Name, account.Name)
		}
	}
	return nil
}

// mayName refuses containers whose variables come from secrets that the account does not name.
func mayName(account *corev1.ServiceAccount, what string, list []corev1.Container) error {
	for _, c := range list {
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && !names(account, env.ValueFrom.SecretKeyRef.Name) {
				return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
					what, c.Name, env.Name, env.ValueFrom.SecretKeyRef.Name, account.Name)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil && !names(account, from.SecretRef.Name) {
				return fmt.Errorf("%s %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
					what, c.Name, from.SecretRef.Name, account.Name)
			}
		}
	}
	return nil
}

func names(account *corev1.ServiceAccount, secret string) bool {
	return slices.ContainsFunc(account.Secrets, func(ref corev1.ObjectReference) bool { return ref.Name == secret })
}

// mountToken gives every container that has nothing there a volume with a token, which the pod may have under a name of the kind already.
func mountToken(a *admission.Attributes, pod *corev1.Pod) {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, volumeName) })
	name, wanted := "", false
	if i >= 0 {
		name = pod.Spec.Volumes[i].Name
	} else {
		suffix := make([]byte, 5)
		for i := range suffix {
			suffix[i] = letters[a.Env.Pick(len(letters))]
		}
		name = volumeName + string(suffix)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == mountPath }) {
				c.VolumeMounts, wanted = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: mountPath}), true
			}
		}
	}
	if wanted && i < 0 {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenVolume()}})
	}
}

func tokenVolume() *corev1.ProjectedVolumeSource {
	mode, seconds := corev1.ProjectedVolumeSourceDefaultMode, int64(expires)
	return &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
		}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
			Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
		}}}},
	}}
}
