package limitranger_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/limitranger"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func amounts(text string) corev1.ResourceList {
	var out corev1.ResourceList
	for word := range strings.FieldsSeq(text) {
		name, q, _ := strings.Cut(word, "=")
		if out == nil {
			out = corev1.ResourceList{}
		}
		out[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	return out
}

func ask(k *kinds.Kind, obj kinds.Object, items ...corev1.LimitRangeItem) *admission.Attributes {
	r := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"}, Spec: corev1.LimitRangeSpec{Limits: items}}
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: obj.GetName(), Object: obj,
		See: kindtest.Objects{corev1.SchemeGroupVersion.WithResource("limitranges"): {"ns/r": r}}}
}

func pod(requests, limits string) *corev1.Pod {
	c := corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: amounts(requests), Limits: amounts(limits)}}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
}

func TestContainersGetDefaults(t *testing.T) {
	p := pod("cpu=1", "")
	p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	a := ask(core.Pod(), p, corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Default: amounts("cpu=2 memory=1Gi"), DefaultRequest: amounts("cpu=500m memory=1Mi")})
	if err := limitranger.New().Admit(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	want := "LimitRanger plugin set: memory request for container c; cpu, memory limit for container c; cpu, memory request for init container i; cpu, memory limit for init container i"
	if got := p.Annotations["kubernetes.io/limit-ranger"]; got != want {
		t.Errorf("told\n%s, want\n%s", got, want)
	}
	r := p.Spec.Containers[0].Resources
	if r.Requests.Cpu().String() != "1" || r.Requests.Memory().String() != "1Mi" || r.Limits.Cpu().String() != "2" {
		t.Errorf("the container has %v", r)
	}
}

func TestLimitsHold(t *testing.T) {
	container, whole := corev1.LimitTypeContainer, corev1.LimitTypePod
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		item corev1.LimitRangeItem
		want string // after `pods "web" is forbidden: `; "": it passes
	}{
		"between":       {pod("cpu=1", "cpu=2"), corev1.LimitRangeItem{Type: container, Min: amounts("cpu=1"), Max: amounts("cpu=2")}, ""},
		"no request":    {pod("", ""), corev1.LimitRangeItem{Type: container, Min: amounts("cpu=1")}, "minimum cpu usage per Container is 1.  No request is specified"},
		"asks little":   {pod("cpu=100m", ""), corev1.LimitRangeItem{Type: container, Min: amounts("cpu=1")}, "minimum cpu usage per Container is 1, but request is 100m"},
		"little limit":  {pod("cpu=1", "cpu=500m"), corev1.LimitRangeItem{Type: container, Min: amounts("cpu=1")}, "minimum cpu usage per Container is 1, but limit is 500m"},
		"no limit":      {pod("cpu=1", ""), corev1.LimitRangeItem{Type: container, Max: amounts("cpu=1")}, "maximum cpu usage per Container is 1.  No limit is specified"},
		"much limit":    {pod("cpu=1", "cpu=3"), corev1.LimitRangeItem{Type: container, Max: amounts("cpu=2")}, "maximum cpu usage per Container is 2, but limit is 3"},
		"asks much":     {pod("memory=3Gi", "memory=1Gi"), corev1.LimitRangeItem{Type: container, Max: amounts("memory=2Gi")}, "maximum memory usage per Container is 2Gi, but request is 3Gi"},
		"ratio":         {pod("cpu=1", "cpu=3"), corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu=2")}, "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"},
		"ratio of none": {pod("", "cpu=3"), corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu=2")}, "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		"a ratio kept":  {pod("cpu=2", "cpu=3"), corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu=1500m")}, ""},
		"the whole pod": {pod("cpu=3", "cpu=3"), corev1.LimitRangeItem{Type: whole, Max: amounts("cpu=2")}, "maximum cpu usage per Pod is 2, but limit is 3"},
		"two at once": {pod("cpu=3 memory=1", "cpu=3 memory=1"), corev1.LimitRangeItem{Type: whole, Max: amounts("cpu=2"), Min: amounts("memory=2")},
			"[minimum memory usage per Pod is 2, but request is 1, maximum cpu usage per Pod is 2, but limit is 3]"},
	} {
		err := limitranger.New().Validate(context.Background(), ask(core.Pod(), c.pod, c.item))
		if got := refusal(err, `pods "web" is forbidden: `); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func refusal(err error, prefix string) string {
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), prefix)
}

func TestClaimsKeepToTheirRange(t *testing.T) {
	for size, want := range map[string]string{
		"storage=1Gi": "minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi",
		"storage=3Gi": "",
		"storage=5Gi": "maximum storage usage per PersistentVolumeClaim is 4Gi, but request is 5Gi",
	} {
		pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
		pvc.Spec.Resources.Requests = amounts(size)
		a := ask(core.PersistentVolumeClaim(), pvc, corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Min: amounts("storage=2Gi"), Max: amounts("storage=4Gi")})
		if got := refusal(limitranger.New().Validate(context.Background(), a), `persistentvolumeclaims "c" is forbidden: `); got != want {
			t.Errorf("%s: got %q, want %q", size, got, want)
		}
	}
}

func TestWhatGoesIsLeftAlone(t *testing.T) {
	old := pod("", "")
	old.DeletionTimestamp = &metav1.Time{}
	a := ask(core.Pod(), pod("", ""), corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: amounts("cpu=1")})
	a.Operation, a.Subresource, a.Old = admission.Update, "resize", old
	if err := limitranger.New().Validate(context.Background(), a); err != nil {
		t.Error(err)
	}
	a.Old = pod("", "")
	if err := limitranger.New().Validate(context.Background(), a); err == nil {
		t.Error("a resized pod passes the limit")
	}
}
