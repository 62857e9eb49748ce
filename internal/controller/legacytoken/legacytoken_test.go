package legacytoken_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/legacytoken"
)

var (
	secrets    = corev1.SchemeGroupVersion.WithResource("secrets")
	accounts   = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	pods       = corev1.SchemeGroupVersion.WithResource("pods")
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
)

const (
	tracking = "kube-apiserver-legacy-service-account-token-tracking"
	used     = "kubernetes.io/legacy-token-last-used"
	marked   = "kubernetes.io/legacy-token-invalid-since"
	day      = 24 * time.Hour
	period   = 10 * day
)

// newBed has an account that lists the secret "token" and uses noted for longer than a period, which ends today.
func newBed(t *testing.T, change func(b *bed.Bed, s *corev1.Secret)) *bed.Bed {
	b := bed.New(t, 1)
	since := b.Clock.Now().UTC().Format(time.DateOnly)
	b.Put(configMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tracking}, Data: map[string]string{"since": since}})
	account := b.Put(accounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}, Secrets: []corev1.ObjectReference{{Name: "token"}}})
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "token", Labels: map[string]string{}, Annotations: map[string]string{
			"kubernetes.io/service-account.name": "a", "kubernetes.io/service-account.uid": string(account.GetUID()),
		}}, Type: corev1.SecretTypeServiceAccountToken,
	}
	if change != nil {
		change(b, s)
	}
	b.Put(secrets, s)
	b.Clock.Step(period + 2*day)
	return b
}

func date(b *bed.Bed, ago time.Duration) string {
	return b.Clock.Now().UTC().Add(-ago).Format(time.DateOnly)
}

func look(b *bed.Bed) engine.Plan {
	return b.Reconcile(legacytoken.New(period), engine.Key{Resource: configMaps, Namespace: "kube-system", Name: tracking}, b.Clock.Now())
}

func TestUnusedIsMarkedThenDeleted(t *testing.T) {
	b := newBed(t, nil)
	b.Sim.Add(legacytoken.New(period))
	b.Settle()
	s := bed.Get[*corev1.Secret](b, secrets, "default", "token")
	if want := date(b, 0); s == nil || s.Labels[marked] != want {
		t.Fatalf("got %v, want it marked with %s", s, want)
	}
	b.Clock.Step(period)
	if plan := look(b); len(plan.Writes) != 0 || plan.After != day {
		t.Errorf("after a period to the day: got %v, again after %v", plan.Writes, plan.After)
	}
	b.Clock.Step(day)
	b.Sim.Add(legacytoken.New(period))
	b.Settle()
	if s := bed.Get[*corev1.Secret](b, secrets, "default", "token"); s != nil {
		t.Errorf("it is still there: %v", s.Labels)
	}
}

// TestUsedAgain: who takes the mark away uses the token, which is good for a period more.
func TestUsedAgain(t *testing.T) {
	b := newBed(t, nil)
	b.Sim.Add(legacytoken.New(period))
	b.Settle()
	bed.Change(b, secrets, "default", "token", "", func(s *corev1.Secret) { s.Labels = map[string]string{used: date(b, 0)} })
	b.Clock.Step(period)
	if plan := look(b); len(plan.Writes) != 0 {
		t.Errorf("got %v", plan.Writes)
	}
	b.Clock.Step(day)
	if plan := look(b); len(plan.Writes) != 1 || plan.Writes[0].Verb != engine.Patch {
		t.Errorf("got %v, want it marked", plan.Writes)
	}
}

func TestWhatIsLeft(t *testing.T) {
	label := func(key string, ago time.Duration) func(*bed.Bed, *corev1.Secret) {
		return func(b *bed.Bed, s *corev1.Secret) {
			s.Labels[key] = b.Clock.Now().UTC().Add(period + 2*day - ago).Format(time.DateOnly)
		}
	}
	pod := func(volume corev1.VolumeSource) func(*bed.Bed, *corev1.Secret) {
		return func(b *bed.Bed, _ *corev1.Secret) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{Name: "v", VolumeSource: volume}},
			}}
			b.Put(pods, p)
		}
	}
	for name, c := range map[string]struct {
		change func(*bed.Bed, *corev1.Secret)
		writes int
	}{
		"never used":      {nil, 1},
		"used before":     {label(used, period+day), 1},
		"used in time":    {label(used, period), 0},
		"a day of no use": {func(_ *bed.Bed, s *corev1.Secret) { s.Labels[used] = "yesterday" }, 0},
		"marked for long": {label(marked, period+day), 1},
		"marked lately":   {label(marked, period), 0},
		"marked wrongly":  {func(_ *bed.Bed, s *corev1.Secret) { s.Labels[marked] = "x" }, 1},
		"not listed": {func(b *bed.Bed, _ *corev1.Secret) {
			bed.Change(b, accounts, "default", "a", "", func(a *corev1.ServiceAccount) { a.Secrets = nil })
		}, 0},
		"of another account": {func(_ *bed.Bed, s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "other" }, 0},
		"of no account":      {func(_ *bed.Bed, s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "b" }, 0},
		"without its UID":    {func(_ *bed.Bed, s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }, 1},
		"mounted":            {pod(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "token"}}), 0},
		"another mounted":    {pod(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}), 1},
		"tracked for less": {func(b *bed.Bed, _ *corev1.Secret) {
			bed.Change(b, configMaps, "kube-system", tracking, "", func(c *corev1.ConfigMap) {
				c.Data["since"] = b.Clock.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly)
			})
		}, 0},
		"tracked since nobody knows": {func(b *bed.Bed, _ *corev1.Secret) {
			bed.Change(b, configMaps, "kube-system", tracking, "", func(c *corev1.ConfigMap) { c.Data["since"] = "x" })
		}, 0},
		"tracked no more": {func(b *bed.Bed, _ *corev1.Secret) { b.Remove(configMaps, "kube-system", tracking) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if plan := look(newBed(t, c.change)); len(plan.Writes) != c.writes {
				t.Errorf("got %d writes, want %d: %v", len(plan.Writes), c.writes, plan.Writes)
			}
		})
	}
}

// TestYoung: a secret that is younger than a period has not been unused for one.
func TestYoung(t *testing.T) {
	b := newBed(t, nil)
	s := bed.Get[*corev1.Secret](b, secrets, "default", "token").DeepCopy()
	b.Remove(secrets, "default", "token")
	s.ResourceVersion, s.UID = "", ""
	b.Put(secrets, s)
	if plan := look(b); len(plan.Writes) != 0 {
		t.Errorf("got %v", plan.Writes)
	}
}
