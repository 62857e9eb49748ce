package cluster

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// as is a client of who acts as another user.
func as(c *rest.Config, user string, groups ...string) *kubernetes.Clientset {
	acting := rest.CopyConfig(c)
	acting.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return kubernetes.NewForConfigOrDie(acting)
}

// refused holds an error against the text that a refusal ends in.
func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%s: got %v, want a refusal: %s", what, err, want)
	}
}

// TestActingAsAnother: an administrator acts as a user, who may what a binding gives them, and as nobody else.
func TestActingAsAnother(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	admin, bob := kubernetes.NewForConfigOrDie(c.config), as(c.config, "bob")
	may := func() authorizationv1.SubjectAccessReviewStatus {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", Namespace: "default"},
		}}
		return must(bob.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{}))(t).Status
	}
	if s := may(); s.Allowed {
		t.Errorf("without a binding: %+v", s)
	}
	must(admin.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bob"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "bob"}},
	}, metav1.CreateOptions{}))(t)
	if s := may(); !s.Allowed || s.Reason != `RBAC: allowed by RoleBinding "bob/default" of ClusterRole "system:aggregate-to-view" to User "bob"` {
		t.Errorf("with a binding: %+v", s)
	}
	_, err := bob.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	refused(t, "secrets", err, `User "bob" cannot list resource "secrets" in API group "" in the namespace "default"`)
}

// TestNodesAmongThemselves: a node reads what its own pods use, writes what is its own, and nothing of another node.
func TestNodesAmongThemselves(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	admin, one := kubernetes.NewForConfigOrDie(c.config).CoreV1(), as(c.config, "system:node:one", "system:nodes").CoreV1()
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	_, err := one.Nodes().Create(ctx, node("one", map[string]string{"node-restriction.kubernetes.io/secrets": "all"}), metav1.CreateOptions{})
	refused(t, "a node's own label", err, `node "one" is not allowed to set the following labels: node-restriction.kubernetes.io/secrets`)
	_, err = one.Nodes().Create(ctx, node("two", nil), metav1.CreateOptions{})
	refused(t, "another node", err, `node "one" is not allowed to modify node "two"`)
	must(one.Nodes().Create(ctx, node("one", nil), metav1.CreateOptions{}))(t)
	if _, err := admin.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	for _, on := range []string{"one", "two"} {
		must(admin.Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "of-" + on}}, metav1.CreateOptions{}))(t)
		must(admin.Pods("default").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-" + on}, Spec: corev1.PodSpec{
			NodeName: on, Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "of-" + on}}}},
		}}, metav1.CreateOptions{}))(t)
	}
	must(one.Secrets("default").Get(ctx, "of-one", metav1.GetOptions{}))(t)
	_, err = one.Secrets("default").Get(ctx, "of-two", metav1.GetOptions{})
	refused(t, "another's secret", err, "no relationship found between node 'one' and this object")
	if list := must(one.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=one"}))(t); len(list.Items) != 1 {
		t.Errorf("%d pods of its own", len(list.Items))
	}
	_, err = one.Pods("").List(ctx, metav1.ListOptions{})
	refused(t, "all pods", err, "can only list/watch pods with spec.nodeName field selector")
	foreign := must(admin.Pods("default").Get(ctx, "on-two", metav1.GetOptions{}))(t)
	foreign.Status.Phase = corev1.PodFailed
	_, err = one.Pods("default").UpdateStatus(ctx, foreign, metav1.UpdateOptions{})
	refused(t, "another's pod", err, `node "one" can only update pod status for pods with spec.nodeName set to itself`)
	refused(t, "the end of another's pod", one.Pods("default").Delete(ctx, "on-two", metav1.DeleteOptions{}), `node "one" can only delete pods with spec.nodeName set to itself`)
}
