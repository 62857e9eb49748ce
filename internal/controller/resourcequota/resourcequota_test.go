package resourcequota_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/resourcequota"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	quotas = corev1.SchemeGroupVersion.WithResource("resourcequotas")
	pods   = corev1.SchemeGroupVersion.WithResource("pods")
	key    = engine.Key{Resource: quotas, Namespace: "ns", Name: "q"}
)

func catalog() ([]*kinds.Kind, <-chan struct{}) { return all.Kinds(), nil }

func create(t *testing.T, c *controllertest.Cluster, res client.Resource, obj kinds.Object) kinds.Object {
	t.Helper()
	stored, err := c.Create(t.Context(), res, obj, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func pod(name, cpu string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Status: corev1.PodStatus{Phase: phase}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)}},
	}}}}
}

func TestCountsWhatIsUsed(t *testing.T) {
	c := controllertest.New(clocktesting.NewFakeClock(start))
	create(t, c, quotas, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
		"pods": resource.MustParse("9"), "count/pods": resource.MustParse("9"), "requests.cpu": resource.MustParse("4"), "secrets": resource.MustParse("1"),
		"count/unknown.example.com": resource.MustParse("1"),
	}}})
	create(t, c, pods, pod("a", "1", corev1.PodRunning))
	create(t, c, pods, pod("b", "500m", corev1.PodPending))
	create(t, c, pods, pod("over", "1", corev1.PodSucceeded))
	elsewhere := pod("c", "1", corev1.PodRunning)
	elsewhere.Namespace = "other"
	create(t, c, pods, elsewhere)
	ctl := resourcequota.New(catalog)
	_, wrote, err := controllertest.Step(t.Context(), c, ctl, key, start)
	if err != nil || !wrote {
		t.Fatalf("wrote %v, %v", wrote, err)
	}
	obj, err := c.Get(t.Context(), quotas, "ns", "q")
	if err != nil {
		t.Fatal(err)
	}
	q := obj.(*corev1.ResourceQuota)
	for name, want := range map[corev1.ResourceName]string{"pods": "2", "count/pods": "3", "requests.cpu": "1500m", "secrets": "0"} {
		if got := q.Status.Used[name]; got.String() != want {
			t.Errorf("%s: %s used, want %s", name, got.String(), want)
		}
	}
	if _, said := q.Status.Used["count/unknown.example.com"]; said || len(q.Status.Hard) != len(q.Spec.Hard) {
		t.Errorf("the status is %v", q.Status)
	}
	if _, wrote, err := controllertest.Step(t.Context(), c, ctl, key, start); wrote || err != nil {
		t.Errorf("counted the same: wrote %v, %v", wrote, err)
	}
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := ctl.Reconcile(view, key, start); err != nil || plan.After != 5*time.Minute {
		t.Errorf("counts again after %v, %v", plan.After, err)
	}
}

func TestWakesWhatIsReplenished(t *testing.T) {
	c := controllertest.New(clocktesting.NewFakeClock(start))
	hard := corev1.ResourceList{"pods": resource.MustParse("9"), "secrets": resource.MustParse("9")}
	q := create(t, c, quotas, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		Status: corev1.ResourceQuotaStatus{Hard: hard}}).(*corev1.ResourceQuota)
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	more := q.DeepCopy()
	more.Status.Used = hard
	raised := q.DeepCopy()
	raised.Spec.Hard = corev1.ResourceList{"pods": resource.MustParse("10")}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}
	for name, test := range map[string]struct {
		resource string
		change   client.Change
		wakes    bool
	}{
		"a new quota":            {"resourcequotas", client.Change{New: q}, true},
		"other limits":           {"resourcequotas", client.Change{Old: q, New: raised}, true},
		"more used":              {"resourcequotas", client.Change{Old: q, New: more}, false},
		"a pod is made":          {"pods", client.Change{New: pod("a", "1", "")}, false},
		"a pod starts":           {"pods", client.Change{Old: pod("a", "1", ""), New: pod("a", "1", corev1.PodRunning)}, false},
		"a pod ends":             {"pods", client.Change{Old: pod("a", "1", corev1.PodRunning), New: pod("a", "1", corev1.PodFailed)}, true},
		"a pod goes":             {"pods", client.Change{Old: pod("a", "1", "")}, true},
		"a secret changes":       {"secrets", client.Change{Old: secret, New: secret}, false},
		"a secret goes":          {"secrets", client.Change{Old: secret}, true},
		"a service is unlimited": {"services", client.Change{Old: service}, false},
	} {
		var keys func(client.View, client.Change) []engine.Key
		for _, k := range all.Kinds() {
			if k.GVR() == corev1.SchemeGroupVersion.WithResource(test.resource) {
				keys = resourcequota.New(catalog).Every(k)
			}
		}
		if woken := keys(view, test.change); (len(woken) == 1 && woken[0] == key) != test.wakes || len(woken) > 1 {
			t.Errorf("%s: wakes %v", name, woken)
		}
	}
}
