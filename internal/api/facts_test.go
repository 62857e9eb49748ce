package api

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/store"
)

func storedPod(t testing.TB, k *kinds.Kind, change func(*corev1.Pod)) *store.Item {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}}
	change(pod)
	value, err := encodeStored(k, pod)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewItem(k.Prefix()+"default/web", value, 0)
}

// TestFactsAreTheFields holds what is read from stored bytes against the decoded object.
func TestFactsAreTheFields(t *testing.T) {
	k := core.Pod()
	header := envelopeHeader(k.GVK)
	for name, change := range map[string]func(*corev1.Pod){
		"empty": func(*corev1.Pod) {},
		"full": func(p *corev1.Pod) {
			p.Spec.NodeName, p.Spec.RestartPolicy, p.Spec.SchedulerName, p.Spec.ServiceAccountName = "n1", "Never", "mine", "robot"
			p.Status.Phase, p.Status.PodIP, p.Status.NominatedNodeName = "Running", "10.0.0.1", "n2"
		},
		"owned": func(p *corev1.Pod) {
			for i := range 3 {
				p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{UID: types.UID(fmt.Sprint("u", i)), Controller: new(bool)})
			}
		},
		"controlled": func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{UID: "u1"}, *metav1.NewControllerRef(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u2"}}, k.GVK)}
		},
	} {
		item := storedPod(t, k, change)
		obj, err := decodeStored(k, header, item)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range k.Facts {
			if got, ok := factOf(header, &f, item); !ok || got != k.Fields(obj)[f.Name] {
				t.Errorf("%s: %s: got %q %v, want %q", name, f.Name, got, ok, k.Fields(obj)[f.Name])
			}
		}
		var owners []string
		for _, ref := range obj.GetOwnerReferences() {
			owners = append(owners, string(ref.UID))
		}
		if got := ownerIndex(header).Values(item); !slices.Equal(got, owners) {
			t.Errorf("%s: owners: got %q, want %q", name, got, owners)
		}
		var orphans []string
		if metav1.GetControllerOf(obj) == nil {
			orphans = []string{"default"}
		}
		if got := orphanIndex(header).Values(item); !slices.Equal(got, orphans) {
			t.Errorf("%s: orphans: got %q, want %q", name, got, orphans)
		}
	}
}

// FuzzWalk reads damaged messages: no panic, and nothing read that a whole message would not have.
func FuzzWalk(f *testing.F) {
	k := core.Pod()
	f.Add(storedPod(f, k, func(p *corev1.Pod) { p.Spec.NodeName = "n1" }).Value())
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		item := store.NewItem("/registry/pods/default/web", b, 0)
		header := envelopeHeader(k.GVK)
		value, ok := factOf(header, &k.Facts[0], item)
		obj, err := decodeStored(k, header, item)
		if err == nil && ok && value != obj.(*corev1.Pod).Spec.NodeName {
			t.Errorf("read %q, decoded %q", value, obj.(*corev1.Pod).Spec.NodeName)
		}
	})
}

func BenchmarkFact(b *testing.B) {
	k := core.Pod()
	item := storedPod(b, k, func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "web"}
		p.Spec.NodeName = "n1"
		p.Spec.Containers = []corev1.Container{{Name: "web", Image: "registry.example/web:1"}}
	})
	header := envelopeHeader(k.GVK)
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := factOf(header, &k.Facts[0], item); v != "n1" {
			b.Fatal(v)
		}
	}
}

// TestLabelOf holds labels that are read from stored bytes against the decoded object's.
func TestLabelOf(t *testing.T) {
	k := core.Pod()
	header := envelopeHeader(k.GVK)
	item := storedPod(t, k, func(p *corev1.Pod) {
		p.Labels = map[string]string{"a": "1", "empty": "", "": "nameless", "z": "26"}
		p.Annotations = map[string]string{"b": "2"}
	})
	obj, err := decodeStored(k, header, item)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "empty", "", "z", "b", "missing"} {
		want, has := obj.GetLabels()[key]
		if got, ok := labelOf(header, key, item); got != want || ok != has {
			t.Errorf("%q: got %q %v, want %q %v", key, got, ok, want, has)
		}
	}
	item = store.NewItem(item.Key, item.Value()[:item.Size()/2], 0)
	if got, ok := labelOf(header, "a", item); ok {
		t.Errorf("damaged: got %q, want none", got)
	}
}

func BenchmarkLabel(b *testing.B) {
	k := core.Node()
	header := envelopeHeader(k.GVK)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelTopologyZone: "a", corev1.LabelHostname: "n"}}}
	for i := range 12 {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(fmt.Sprint("c", i)), Reason: "KubeletReady"})
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprint("registry.example/image", i)}, SizeBytes: 1 << 20})
	}
	value, err := encodeStored(k, node)
	if err != nil {
		b.Fatal(err)
	}
	item := store.NewItem(k.Prefix()+"n", value, 0)
	b.Run("decoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeStored(k, header, item); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := labelOf(header, corev1.LabelTopologyZone, item); !ok {
				b.Fatal("no label")
			}
		}
	})
}
