package node_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/node"
)

func costs(pairs ...string) *nodev1.Overhead {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return &nodev1.Overhead{PodFixed: list}
}

func TestCreate(t *testing.T) {
	for name, c := range map[string]struct {
		class nodev1.RuntimeClass
		want  []string
	}{
		"good":           {nodev1.RuntimeClass{Handler: "runc", Overhead: costs("cpu", "100m", "memory", "1Gi", "example.com/gpu", "1")}, nil},
		"no handler":     {nodev1.RuntimeClass{}, []string{"handler: Required value"}},
		"odd handler":    {nodev1.RuntimeClass{Handler: "a.b"}, []string{`handler: Invalid value: "a.b": must not contain dots`}},
		"less than none": {nodev1.RuntimeClass{Handler: "a", Overhead: costs("cpu", "-1")}, []string{`overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0`}},
		"part of a card": {nodev1.RuntimeClass{Handler: "a", Overhead: costs("example.com/gpu", "1500m")}, []string{`overhead.limits[example.com/gpu]: Invalid value: "1500m": must be an integer`}},
		"odd names": {nodev1.RuntimeClass{Handler: "a", Overhead: costs("card", "1", "pods", "1", "requests.example.com/gpu", "1")}, []string{
			`overhead.limits[card]: Invalid value: "card": must be a standard resource type or fully qualified`,
			`overhead.limits[card]: Invalid value: "card": must be a standard resource for containers`,
			`overhead.limits[pods]: Invalid value: "pods": must be a standard resource for containers`,
			`overhead.limits[requests.example.com/gpu]: Invalid value: "requests.example.com/gpu": doesn't follow extended resource name standard`,
		}},
		"huge pages": {nodev1.RuntimeClass{Handler: "a", Overhead: costs("hugepages-2Mi", "3Mi")}, []string{
			`overhead.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
			`overhead: Forbidden: HugePages require cpu or memory`,
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(node.RuntimeClass(), &c.class), c.want)
	}
}

func TestTolerations(t *testing.T) {
	seconds := int64(3)
	for name, c := range map[string]struct {
		list []corev1.Toleration
		want []string
	}{
		"good":     {[]corev1.Toleration{{Key: "a", Value: "b"}, {Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &seconds}}, nil},
		"all keys": {[]corev1.Toleration{{}}, []string{"scheduling.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\""}},
		"seconds":  {[]corev1.Toleration{{Key: "a", TolerationSeconds: &seconds}}, []string{"scheduling.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"}},
		"value":    {[]corev1.Toleration{{Key: "a", Operator: "Exists", Value: "b"}}, []string{"scheduling.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"}},
		"compares": {[]corev1.Toleration{{Key: "a", Operator: "Lt", Value: "1"}}, []string{`scheduling.tolerations[0].operator: Unsupported value: "Lt": supported values: "Equal", "Exists", "Lt", "Gt"`}},
		"odd":      {[]corev1.Toleration{{Key: "a", Operator: "Odd", Effect: "Odd"}}, []string{`scheduling.tolerations[0].operator: Unsupported value: "Odd": supported values: "Equal", "Exists"`, `scheduling.tolerations[0].effect: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`}},
		"twice":    {[]corev1.Toleration{{Key: "a"}, {Key: "a"}}, []string{`scheduling.tolerations[1]: Duplicate value: {"Key":"a","Operator":"","Value":"","Effect":"","TolerationSeconds":null}`}},
	} {
		rc := &nodev1.RuntimeClass{Handler: "a", Scheduling: &nodev1.Scheduling{Tolerations: c.list}}
		kindtest.Same(t, name, kindtest.Create(node.RuntimeClass(), rc), c.want)
	}
}

func TestUpdateAndColumns(t *testing.T) {
	k := node.RuntimeClass()
	now := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Handler: "b"}
	kindtest.Same(t, "handler", kindtest.Update(k, now, &nodev1.RuntimeClass{Handler: "a"}), []string{`handler: Invalid value: "b": field is immutable`})
	kindtest.Same(t, "cost", kindtest.Update(k, &nodev1.RuntimeClass{Handler: "b", Overhead: costs("cpu", "1")}, now), nil)
	if got, want := kindtest.Header(k), []string{"Name/name", "Handler", "Age"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := kindtest.Row(k, now), []any{"a", "b", "<unknown>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
