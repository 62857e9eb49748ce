package placement_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/placement"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

const (
	selectorKey = "scheduler.alpha.kubernetes.io/node-selector"
	defaultsKey = "scheduler.alpha.kubernetes.io/defaultTolerations"
	allowedKey  = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

// wish is a pod that is made in namespace ns, which has the annotations key=value,....
func wish(pod *corev1.Pod, key, value string) *admission.Attributes {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}
	if key != "" {
		ns.Annotations = map[string]string{key: value}
	}
	k := core.Pod()
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: pod.Name, Object: pod,
		See: kindtest.Objects{corev1.SchemeGroupVersion.WithResource("namespaces"): {"/ns": ns}}}
}

func pass(s placement.Settings, name string, a *admission.Attributes) error {
	for _, p := range placement.New(s) {
		if p.Name == name {
			if err := p.Admit(context.Background(), a); err != nil {
				return err
			}
			return p.Validate(context.Background(), a)
		}
	}
	panic(name)
}

// set is a=b,c=d.
func set(text string) map[string]string {
	var out map[string]string
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}

func TestNamespacesSelectNodes(t *testing.T) {
	const none = "<none>"
	const conflict = `pods "web" is forbidden: pod node label selector conflicts with its namespace node label selector`
	const whitelist = `pods "web" is forbidden: pod node label selector labels conflict with its namespace whitelist`
	for name, c := range map[string]struct {
		cluster, allowed, namespace, pod string
		want, err                        string
	}{
		"nothing is said":                    {namespace: none},
		"the pod's own":                      {namespace: none, pod: "a=b", want: "a=b"},
		"the cluster's":                      {namespace: none, cluster: "zone=x", pod: "a=b", want: "a=b,zone=x"},
		"the namespace's, not the cluster's": {namespace: "env=test", cluster: "zone=x", want: "env=test"},
		"an empty one of the namespace":      {namespace: "", cluster: "zone=x", want: ""},
		"the same twice":                     {namespace: "env=test", pod: "env=test", want: "env=test"},
		"another value":                      {namespace: "env=test", pod: "env=prod", err: conflict},
		"another value than the cluster's":   {namespace: none, cluster: "env=test", pod: "env=prod", err: conflict},
		"allowed":                            {namespace: none, allowed: "a=b,c=d", pod: "a=b", want: "a=b"},
		"not allowed":                        {namespace: none, allowed: "c=d", pod: "a=b", err: whitelist},
		"not allowed to the namespace":       {namespace: "a=b", allowed: "c=d", err: whitelist},
		"another value than allowed":         {namespace: none, allowed: "a=c", pod: "a=b", err: whitelist},
		"no selector":                        {namespace: "a=b,c", err: "invalid selector: [c]"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{NodeSelector: set(c.pod)}}
		a := wish(pod, selectorKey, c.namespace)
		if c.namespace == none {
			a = wish(pod, "", "")
		}
		err := pass(placement.Settings{Selectors: map[string]string{placement.ClusterSelector: c.cluster, "ns": c.allowed}}, "PodNodeSelector", a)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", name, err, c.err)
		}
		if got, want := metav1.FormatLabelSelector(metav1.SetAsLabelSelector(pod.Spec.NodeSelector)), metav1.FormatLabelSelector(metav1.SetAsLabelSelector(set(c.want))); err == nil && got != want {
			t.Errorf("%s: the pod selects %s, want %s", name, got, want)
		}
	}
}

// TestOtherWishesPass: nothing is done with changes, parts of pods, and other kinds.
func TestOtherWishesPass(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{NodeSelector: set("env=prod")}}
	update, part, other := wish(pod, selectorKey, "env=test"), wish(pod, selectorKey, "env=test"), wish(pod, selectorKey, "env=test")
	update.Operation, part.Subresource, other.Kind = admission.Update, "status", core.ConfigMap()
	for _, a := range []*admission.Attributes{update, part, other} {
		if err := pass(placement.Settings{}, "PodNodeSelector", a); err != nil || len(pod.Spec.NodeSelector) != 1 {
			t.Errorf("%s of %s/%s: got %v, %v", a.Operation, a.Kind.Resource, a.Subresource, err, pod.Spec.NodeSelector)
		}
	}
	gone := wish(pod, "", "")
	gone.Namespace = "gone"
	if err := pass(placement.Settings{}, "PodNodeSelector", gone); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "namespace gone does not exist") {
		t.Errorf("in a namespace that is not there: %v", err)
	}
	if err := pass(placement.Settings{}, "PodTolerationRestriction", gone); !apierrors.IsNotFound(err) {
		t.Errorf("tolerations of a namespace that is not there: %v", err)
	}
}

func tolerations(text string) (out []corev1.Toleration) {
	for word := range strings.FieldsSeq(text) { // key[=value]:effect
		rest, effect, _ := strings.Cut(word, ":")
		key, value, equal := strings.Cut(rest, "=")
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(effect)}
		if equal {
			t.Operator, t.Value = corev1.TolerationOpEqual, value
		}
		out = append(out, t)
	}
	return out
}

func text(list []corev1.Toleration) string {
	var words []string
	for _, t := range list {
		word := t.Key
		if t.Operator == corev1.TolerationOpEqual {
			word += "=" + t.Value
		}
		words = append(words, word+":"+string(t.Effect))
	}
	return strings.Join(words, " ")
}

func TestNamespacesTolerate(t *testing.T) {
	const pressure = "node.kubernetes.io/memory-pressure:NoSchedule"
	conflict := func(whose string) string {
		return "pod tolerations (possibly merged with namespace default tolerations) conflict with its " + whose + " whitelist"
	}
	for name, c := range map[string]struct {
		defaults, allowed string // the cluster's
		key, value        string // the namespace's annotation
		pod               string
		asks, update      bool
		want, err         string
	}{
		"nothing is said":              {pod: "a:NoSchedule", want: "a:NoSchedule"},
		"the cluster's":                {defaults: "d:NoSchedule", pod: "a:NoSchedule", want: "a:NoSchedule d:NoSchedule"},
		"the namespace's":              {defaults: "d:NoSchedule", key: defaultsKey, value: `[{"key":"n","operator":"Exists"}]`, want: "n:"},
		"none of the namespace":        {defaults: "d:NoSchedule", key: defaultsKey, value: "", pod: "a:NoSchedule", want: "a:NoSchedule"},
		"one that covers":              {defaults: "a:", pod: "a=b:NoSchedule", want: "a:"},
		"the same":                     {defaults: "a=b:NoSchedule", pod: "a=b:NoSchedule", want: "a=b:NoSchedule"},
		"who asks for memory":          {asks: true, want: pressure},
		"who asks, and the cluster's":  {asks: true, defaults: "d:NoSchedule", want: "d:NoSchedule " + pressure},
		"who asks, when it is changed": {asks: true, update: true, defaults: "d:NoSchedule", want: pressure},
		"no defaults in a change":      {update: true, defaults: "d:NoSchedule", pod: "a:NoSchedule", want: "a:NoSchedule"},
		"allowed":                      {allowed: "a:NoSchedule", pod: "a=b:NoSchedule", want: "a=b:NoSchedule"},
		"not allowed":                  {allowed: "a:NoSchedule", pod: "b:NoSchedule", err: conflict("cluster")},
		"allowed by the namespace":     {allowed: "x:", key: allowedKey, value: `[{"key":"b","operator":"Exists"}]`, pod: "b:NoSchedule", want: "b:NoSchedule"},
		"not by the namespace":         {key: allowedKey, value: `[{"key":"b","operator":"Exists"}]`, pod: "a:NoSchedule", err: conflict("namespace")},
		"an empty list allows all":     {allowed: "x:", key: allowedKey, value: "", pod: "b:NoSchedule", want: "b:NoSchedule"},
		"the added one is not allowed": {allowed: "a:", asks: true, err: conflict("cluster")},
		"no list":                      {key: allowedKey, value: "{", pod: "b:NoSchedule", err: "unexpected end of JSON input"},
		"no list of defaults":          {key: defaultsKey, value: `"a"`, err: "json: cannot unmarshal string into Go value of type []v1.Toleration"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Tolerations: tolerations(c.pod), Containers: []corev1.Container{{Name: "c"}}}}
		if c.asks {
			pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("1Mi")}
		}
		a := wish(pod, c.key, c.value)
		if c.update {
			a.Operation, a.Old = admission.Update, kinds.Object(pod.DeepCopy())
		}
		err := pass(placement.Settings{Default: tolerations(c.defaults), Allowed: tolerations(c.allowed)}, "PodTolerationRestriction", a)
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %v, want %q", name, err, c.err)
		}
		if got := text(pod.Spec.Tolerations); err == nil && got != c.want {
			t.Errorf("%s: the pod tolerates %q, want %q", name, got, c.want)
		}
	}
}

// TestSettingsAreOnlyRead: what one pod gets does not change what the next one does.
func TestSettingsAreOnlyRead(t *testing.T) {
	room := append(make([]corev1.Toleration, 0, 4), tolerations("d:NoSchedule")...)
	s := placement.Settings{Default: room}
	asks := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}}}}}}
	for range 2 {
		if err := pass(s, "PodTolerationRestriction", wish(asks, "", "")); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(room[:2]); got != "d:NoSchedule :" {
		t.Errorf("the settings have become %q", got)
	}
}
