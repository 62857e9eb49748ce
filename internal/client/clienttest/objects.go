package clienttest

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What trials write: the least that the API takes, in the namespace home.

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: home, Name: name} }

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta(name), Data: map[string]string{"k": "v"}}
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(name), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/app:1"}}}}
}

func podOn(node, name string) *corev1.Pod {
	p := pod(name)
	p.Spec.NodeName = node
	return p
}

func binding(name, node string) *corev1.Binding {
	return &corev1.Binding{ObjectMeta: meta(name), Target: corev1.ObjectReference{Kind: "Node", Name: node}}
}

func deployment(name string) *appsv1.Deployment {
	app := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: meta(name), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: app}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: pod("").Spec},
	}}
}

func lease(name, holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: meta(name), Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}

func node(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func event(name string, about types.UID) *corev1.Event {
	return &corev1.Event{ObjectMeta: meta(name), InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: home, Name: "p", UID: about}, Reason: "Tried", Type: corev1.EventTypeNormal}
}

// ownedBy gives a config map an owner, which need not exist.
func ownedBy(c *corev1.ConfigMap, owner types.UID) *corev1.ConfigMap {
	c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "owner", UID: owner}}
	return c
}

func in(namespace string, c *corev1.ConfigMap) *corev1.ConfigMap {
	c.Namespace = namespace
	return c
}

func deploymentSpec(obj metav1.Object) appsv1.DeploymentSpec { return obj.(*appsv1.Deployment).Spec }
