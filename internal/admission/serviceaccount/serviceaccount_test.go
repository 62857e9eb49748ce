package serviceaccount_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/serviceaccount"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

var accounts = corev1.SchemeGroupVersion.WithResource("serviceaccounts")

func account(name string, change ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	for _, f := range change {
		f(sa)
	}
	return sa
}

func ask(pod *corev1.Pod, there ...*corev1.ServiceAccount) *admission.Attributes {
	k, see := core.Pod(), kindtest.Objects{accounts: map[string]kinds.Object{}}
	for _, sa := range there {
		see[accounts]["ns/"+sa.Name] = sa
	}
	env := kindtest.Env()
	env.Pick = func(int) int { return 0 }
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: pod.Name, Object: pod, Env: env, See: see}
}

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	for _, f := range change {
		f(p)
	}
	return p
}

func TestPodsRunAsAnAccount(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}})
	})
	plugin := serviceaccount.New(serviceaccount.Config{})
	a := ask(p, account("default", func(sa *corev1.ServiceAccount) { sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}} }))
	if err := plugin.Admit(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	mode, expires := int32(0o644), int64(3607)
	same := p.Spec.ServiceAccountName == p.Spec.DeprecatedServiceAccount
	if !same || p.Spec.ServiceAccountName != "default" {
		t.Errorf("it runs as %q", p.Spec.ServiceAccountName)
	}
	want := []corev1.Volume{{Name: "kube-api-access-bbbbb", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &expires}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
	}}}}}
	if diff := cmp.Diff(want, p.Spec.Volumes); diff != "" {
		t.Error(diff)
	}
	mounts := []corev1.VolumeMount{{Name: "kube-api-access-bbbbb", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	if diff := cmp.Diff(mounts, p.Spec.Containers[0].VolumeMounts); diff != "" || p.Spec.Containers[1].VolumeMounts[0].Name != "mine" {
		t.Error(diff)
	}
	if len(p.Spec.ImagePullSecrets) != 1 || p.Spec.ImagePullSecrets[0].Name != "pull" {
		t.Errorf("it pulls with %v", p.Spec.ImagePullSecrets)
	}
	before := p.DeepCopy()
	if err := plugin.Admit(context.Background(), a); err != nil || !cmp.Equal(before, p) {
		t.Errorf("asked twice: %v", cmp.Diff(before, p))
	}
}

func TestAutomount(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		pod, account *bool
		want         bool
	}{{nil, nil, true}, {nil, &no, false}, {&yes, &no, true}, {&no, nil, false}, {&no, &yes, false}} {
		p := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = c.pod })
		a := ask(p, account("default", func(sa *corev1.ServiceAccount) { sa.AutomountServiceAccountToken = c.account }))
		if err := serviceaccount.New(serviceaccount.Config{}).Admit(context.Background(), a); err != nil || len(p.Spec.Volumes) == 1 != c.want {
			t.Errorf("pod %v, account %v: %d volumes, %v", c.pod, c.account, len(p.Spec.Volumes), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	strict := account("default", func(sa *corev1.ServiceAccount) {
		sa.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
		sa.Secrets = []corev1.ObjectReference{{Name: "known"}}
	})
	secret := func(name string) corev1.Volume {
		return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}
	}
	mirror := func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }
	env := func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "odd"}}}}}
	}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"fine":       {pod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{secret("known")} }), ""},
		"not there":  {pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "odd" }), `pods "web" is forbidden: error looking up service account ns/odd: serviceaccount "odd" not found`},
		"a volume":   {pod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{secret("odd")} }), `pods "web" is forbidden: volume with secret.secretName="odd" is not allowed because service account default does not reference that secret`},
		"a variable": {pod(env), `pods "web" is forbidden: container c with envVar E referencing secret.secretName="odd" is not allowed because service account default does not reference that secret`},
		"a pull secret": {pod(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "odd"}} }),
			`pods "web" is forbidden: imagePullSecrets[0].name="odd" is not allowed because service account default does not reference that imagePullSecret`},
		"a mirror":           {pod(mirror), ""},
		"a mirror's account": {pod(mirror, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }), `pods "web" is forbidden: a mirror pod may not reference service accounts`},
		"a mirror's secret":  {pod(mirror, env), `pods "web" is forbidden: a mirror pod may not reference secrets`},
	} {
		err := serviceaccount.New(serviceaccount.Config{}).Admit(context.Background(), ask(c.pod, strict))
		if err == nil != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if strings.HasPrefix(name, "a mirror") && len(c.pod.Spec.Volumes) > 0 {
			t.Errorf("%s was changed", name)
		}
	}
}

func TestTheDefaultAccountIsWaitedFor(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	asked := 0
	plugin := serviceaccount.New(serviceaccount.Config{Clock: clk, Newest: func(_, name string) kinds.Object {
		if asked++; asked < 3 {
			return nil
		}
		return account(name)
	}})
	done := make(chan error)
	a := ask(pod())
	a.Operation = admission.Create
	a.Object.(*corev1.Pod).Spec.ServiceAccountName = "default"
	go func() { done <- plugin.Admit(context.Background(), a) }()
	for {
		select {
		case err := <-done:
			if err != nil || asked < 3 {
				t.Errorf("asked %d times: %v", asked, err)
			}
			return
		default:
			if clk.HasWaiters() {
				clk.Step(time.Second)
			}
		}
	}
}
