package resourcequota_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

var quotas = corev1.SchemeGroupVersion.WithResource("resourcequotas")

// amounts reads "pods=1 requests.cpu=2".
func amounts(text string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for word := range strings.FieldsSeq(text) {
		name, q, _ := strings.Cut(word, "=")
		out[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	return out
}

func said(list corev1.ResourceList) string {
	var parts []string
	for _, name := range []corev1.ResourceName{"count/pods", "cpu", "limits.cpu", "pods", "requests.cpu", "requests.example.com/gpu", "requests.storage", "count/configmaps", "services.nodeports"} {
		if q, ok := list[name]; ok {
			parts = append(parts, fmt.Sprintf("%s=%s", name, q.String()))
		}
	}
	return strings.Join(parts, " ")
}

func pod(requests, limits string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Requests: amounts(requests), Limits: amounts(limits)},
	}}}}
	for _, f := range change {
		f(p)
	}
	return p
}

func TestPodsAreCharged(t *testing.T) {
	deadline := int64(5)
	ends := func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &deadline }
	ranked := func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }
	across := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{Namespaces: []string{"other"}}}}}
	}
	for name, c := range map[string]struct {
		hard, used string
		scopes     []corev1.ResourceQuotaScope
		pod        *corev1.Pod
		want       string // what is used then, or the refusal
	}{
		"fits":          {"pods=2 requests.cpu=2", "pods=1 requests.cpu=500m", nil, pod("cpu=1", ""), "pods=2 requests.cpu=1500m"},
		"too many":      {"pods=2", "pods=2", nil, pod("", ""), `pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`},
		"two exceeded":  {"pods=2 limits.cpu=1", "pods=2 limits.cpu=500m", nil, pod("", "cpu=1"), `pods "web" is forbidden: exceeded quota: q, requested: limits.cpu=1,pods=1, used: limits.cpu=500m,pods=2, limited: limits.cpu=1,pods=2`},
		"one of two":    {"pods=9 cpu=1", "pods=2 cpu=500m", nil, pod("cpu=1", ""), `pods "web" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=500m, limited: cpu=1`},
		"silent":        {"cpu=1 requests.memory=1Gi", "cpu=0 requests.memory=0", nil, pod("", ""), `pods "web" is forbidden: failed quota: q: must specify cpu for: c; requests.memory for: c`},
		"not counted":   {"pods=2 cpu=1", "pods=1", nil, pod("cpu=1", ""), `pods "web" is forbidden: status unknown for quota: q, resources: cpu,pods`},
		"extended":      {"requests.example.com/gpu=3", "requests.example.com/gpu=1", nil, pod("example.com/gpu=2", "example.com/gpu=2"), "requests.example.com/gpu=3"},
		"unconcerned":   {"services=1", "services=1", nil, pod("", ""), ""},
		"not ending":    {"pods=1", "pods=1", []corev1.ResourceQuotaScope{"Terminating"}, pod("", ""), ""},
		"ending":        {"pods=1", "pods=0", []corev1.ResourceQuotaScope{"Terminating"}, pod("", "", ends), "pods=1"},
		"best effort":   {"pods=1", "pods=0", []corev1.ResourceQuotaScope{"BestEffort"}, pod("", ""), "pods=1"},
		"not the least": {"pods=1", "pods=0", []corev1.ResourceQuotaScope{"BestEffort"}, pod("cpu=1", ""), ""},
		"two scopes":    {"pods=1", "pods=0", []corev1.ResourceQuotaScope{"NotBestEffort", "NotTerminating"}, pod("cpu=1", ""), "pods=1"},
		"ranked":        {"pods=1", "pods=0", []corev1.ResourceQuotaScope{"PriorityClass"}, pod("", "", ranked), "pods=1"},
		"across":        {"pods=0", "pods=0", []corev1.ResourceQuotaScope{"CrossNamespacePodAffinity"}, pod("", "", across), `pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`},
	} {
		t.Run(name, func(t *testing.T) {
			q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: amounts(c.hard), Scopes: c.scopes},
				Status: corev1.ResourceQuotaStatus{Hard: amounts(c.hard), Used: amounts(c.used)}}
			if got := charged(t, "pods", c.pod, nil, q, nil); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// charged is what q says is used after a write, "" when that is not changed, or the refusal.
func charged(t *testing.T, resourceName string, obj, old kinds.Object, q *corev1.ResourceQuota, limited []resourcequota.Limited) string {
	t.Helper()
	var k *kinds.Kind
	for _, other := range all.Kinds() {
		if other.GVR() == corev1.SchemeGroupVersion.WithResource(resourceName) {
			k = other
		}
	}
	a := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: obj.GetName(), Object: obj, Env: kindtest.Env(),
		See: kindtest.Objects{quotas: {"ns/q": q}}}
	if old != nil {
		a.Operation, a.Old = admission.Update, old
	}
	writes, err := resourcequota.New(limited).Charge(context.Background(), a)
	switch {
	case err != nil:
		return err.Error()
	case len(writes) == 0:
		return ""
	}
	return said(writes[0].Object.(*corev1.ResourceQuota).Status.Used)
}

func TestUpdatesAreChargedForWhatIsMore(t *testing.T) {
	svc := func(kind corev1.ServiceType, ports int) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Spec: corev1.ServiceSpec{Type: kind, Ports: make([]corev1.ServicePort, ports)}}
	}
	for name, c := range map[string]struct {
		old, next *corev1.Service
		want      string
	}{
		"made":     {nil, svc("NodePort", 2), "services.nodeports=4"},
		"raised":   {svc("ClusterIP", 2), svc("NodePort", 2), "services.nodeports=4"},
		"one more": {svc("NodePort", 1), svc("NodePort", 2), "services.nodeports=3"},
		"less":     {svc("NodePort", 2), svc("NodePort", 1), ""},
		"beyond":   {svc("ClusterIP", 2), svc("LoadBalancer", 9), `services "s" is forbidden: exceeded quota: q, requested: services.nodeports=9, used: services.nodeports=2, limited: services.nodeports=4`},
	} {
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"},
			Status: corev1.ResourceQuotaStatus{Hard: amounts("services.nodeports=4"), Used: amounts("services.nodeports=2")}}
		var old kinds.Object
		if c.old != nil {
			old = c.old
		}
		if got := charged(t, "services", c.next, old, q, nil); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatIsLimitedNeedsAQuota(t *testing.T) {
	limited := []resourcequota.Limited{{Resource: "pods", Contains: []string{"requests.cpu"}}}
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}, Status: corev1.ResourceQuotaStatus{Hard: amounts("pods=4"), Used: amounts("pods=2")}}
	if got, want := charged(t, "pods", pod("cpu=1", ""), nil, q, limited), `pods "web" is forbidden: insufficient quota to consume: requests.cpu`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := charged(t, "pods", pod("", ""), nil, q, limited); got != "pods=3" {
		t.Errorf("one that asks nothing: %s", got)
	}
}

// TestParallelCreatesKeepToTheLimit makes a hundred config maps at once where seven may be.
func TestParallelCreatesKeepToTheLimit(t *testing.T) {
	ctx, c := context.Background(), apitest.New(t)
	cfg := c.API.Config
	cfg.Plugins = []admission.Plugin{resourcequota.New(nil)}
	server := api.New(cfg)
	req := api.Request{User: apitest.Administrator(), Kind: server.Kind(quotas), Namespace: "default"}
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: amounts("count/configmaps=7")}}
	made, err := server.Create(ctx, req, q, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q = made.Object.(*corev1.ResourceQuota).DeepCopy()
	q.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: amounts("count/configmaps=0")}
	req.Name, req.Subresource = "q", "status"
	if _, err := server.Update(ctx, req, q, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	maps := api.Request{User: req.User, Kind: server.Kind(corev1.SchemeGroupVersion.WithResource("configmaps")), Namespace: "default"}
	const all = 100
	errs := make(chan error)
	for i := range all {
		go func() {
			opts := metav1.CreateOptions{}
			if i%3 == 0 {
				opts.DryRun = []string{metav1.DryRunAll} // charges nothing
			}
			_, err := server.Create(ctx, maps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}}, opts)
			if i%3 == 0 {
				err = nil
			} else if err == nil {
				err = errMade
			}
			errs <- err
		}()
	}
	stored := 0
	for range all {
		switch err := <-errs; {
		case err == errMade: //nolint:errorlint // the very same
			stored++
		case err != nil && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=7, limited: count/configmaps=7")):
			t.Error(err)
		}
	}
	list, err := server.List(ctx, maps, metav1.ListOptions{})
	if err != nil || stored != 7 || len(list.Items) != 7 {
		t.Errorf("%d were made, %d are stored: %v", stored, len(list.Items), err)
	}
	req.Subresource = ""
	result, err := server.Get(ctx, req, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	obj, err := result.Decoded()
	if err != nil {
		t.Fatal(err)
	}
	if got := said(obj.(*corev1.ResourceQuota).Status.Used); got != "count/configmaps=7" {
		t.Errorf("the quota says %s", got)
	}
}

var errMade = fmt.Errorf("made")
