package workloads

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	kindmeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestClustersAreWhole(t *testing.T) {
	const nodes, pods = 20, 30
	for _, name := range ClusterNames() {
		c, err := MakeCluster(name, nodes, pods)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Pods) != pods+1 {
			t.Errorf("%s: %d pods, want %d and one that proves that they are bound", name, len(c.Pods), pods)
		}
		there := map[string]bool{}
		add := func(o runtime.Object) {
			m, err := kindmeta.Accessor(o)
			if err != nil {
				t.Fatal(err)
			}
			id := o.GetObjectKind().GroupVersionKind().String() + " " + m.GetNamespace() + "/" + m.GetName()
			if there[id] || o.GetObjectKind().GroupVersionKind().Empty() {
				t.Errorf("%s: %T %s is there twice, or does not say its kind", name, o, id)
			}
			there[id] = true
		}
		for _, o := range c.Before {
			add(o)
			if p, ok := o.(*corev1.Pod); ok && p.Spec.NodeName != "" && !there["/v1, Kind=Node /"+p.Spec.NodeName] {
				t.Errorf("%s: pod %s is on node %s, which is not made before it", name, p.Name, p.Spec.NodeName)
			}
		}
		for _, o := range c.Beside {
			add(o)
		}
		for _, p := range c.Pods {
			add(p)
			if p.Namespace != c.Pods[0].Namespace || p.Spec.NodeName != "" {
				t.Errorf("%s: pod %s/%s on node %q, want all in one namespace and on none", name, p.Namespace, p.Name, p.Spec.NodeName)
			}
		}
	}
	if _, err := MakeCluster("nothing", nodes, pods); err == nil {
		t.Error("workload nothing was made")
	}
}
