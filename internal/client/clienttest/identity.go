package clienttest

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
)

func identityTrials() []trial {
	return []trial{
		{"who has no rights is refused with upstream's words, and changes nothing", withoutRights},
		{"a component may do what its rights are, and no more", func(b *bench) {
			b.create(pods(), pod("a"))
			scheduler := b.Client("system:kube-scheduler")
			b.must(scheduler.Bind(b.ctx, []*corev1.Binding{binding("a", "one")})[0])
			b.refused("create", second(scheduler.Create(b.ctx, pods(), pod("b"), metav1.CreateOptions{})), apierrors.IsForbidden,
				`pods is forbidden: User "system:kube-scheduler" cannot create resource "pods" in API group "" in the namespace "default"`)
		}},
		{"rights come by group, too", func(b *bench) {
			b.must(second(b.Client("anna", masters).Create(b.ctx, configMaps(), configMap("a"), metav1.CreateOptions{})))
		}},
		{"every write's actor and cause stand in the log", recorded},
	}
}

func withoutRights(b *bench) {
	p, m := b.create(pods(), pod("a")), b.create(configMaps(), configMap("a"))
	bob := b.Client("bob")
	cannot := func(what, verb, resource string) string {
		return what + ` is forbidden: User "bob" cannot ` + verb + ` resource "` + resource + `" in API group "" in the namespace "default"`
	}
	b.refused("get", second(bob.Get(b.ctx, pods(), home, "a")), apierrors.IsForbidden, cannot(`pods "a"`, "get", "pods"))
	b.refused("get of nothing", second(bob.Get(b.ctx, pods(), home, "none")), apierrors.IsForbidden, cannot(`pods "none"`, "get", "pods"))
	b.refused("create", second(bob.Create(b.ctx, configMaps(), configMap("b"), metav1.CreateOptions{})), apierrors.IsForbidden, cannot("configmaps", "create", "configmaps"))
	b.refused("update", second(bob.Update(b.ctx, configMaps(), configMap("a"), "")), apierrors.IsForbidden, cannot(`configmaps "a"`, "update", "configmaps"))
	b.refused("status", second(bob.Update(b.ctx, pods(), p, "status")), apierrors.IsForbidden, cannot(`pods "a"`, "update", "pods/status"))
	b.refused("patch", second(bob.Patch(b.ctx, configMaps(), home, "a", types.MergePatchType, []byte(`{"data":{"k":"w"}}`), "")), apierrors.IsForbidden, cannot(`configmaps "a"`, "patch", "configmaps"))
	b.refused("delete", second(bob.Delete(b.ctx, pods(), home, "a", metav1.DeleteOptions{})), apierrors.IsForbidden, cannot(`pods "a"`, "delete", "pods"))
	b.refused("bind", bob.Bind(b.ctx, []*corev1.Binding{binding("a", "one")})[0], apierrors.IsForbidden, cannot(`pods "a"`, "create", "pods/binding"))
	b.refused("a cluster's object", second(bob.Get(b.ctx, nodes(), "", "one")), apierrors.IsForbidden,
		`nodes "one" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope`)
	b.same("the pod", b.get(pods(), "a"), p)
	b.same("the config map", b.get(configMaps(), "a"), m)
	b.refused("the second config map", second(b.admin.Get(b.ctx, configMaps(), home, "b")), apierrors.IsNotFound, "")
}

// recorded writes the same pod in every way and reads the record of each.
func recorded(b *bench) {
	anna := b.Client("anna", masters)
	ctx := client.WithCause(client.WithCause(b.ctx, "an outer cause"), "trial default/a@1")
	key := "/registry/pods/default/a"
	newest := func(what, wantActor, wantCause string) {
		b.Helper()
		if actor, cause := b.Newest(b.T, key); actor != wantActor || cause != wantCause {
			b.Errorf("%s: recorded as %q because of %q, want %q because of %q", what, actor, cause, wantActor, wantCause)
		}
	}
	b.must(second(anna.Create(ctx, pods(), pod("a"), metav1.CreateOptions{})))
	newest("create", "anna", "trial default/a@1")
	b.patch(pods(), "a", `{"metadata":{"labels":{"a":"1"}}}`)
	newest("patch without a cause", administrator, "")
	b.must(second(anna.Patch(client.WithCause(b.ctx, "patch"), pods(), home, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"2"}}}`), "")))
	newest("patch", "anna", "patch")
	b.must(b.Client("system:kube-scheduler").Bind(client.WithCause(b.ctx, "bind"), []*corev1.Binding{binding("a", "one")})[0])
	newest("bind", "system:kube-scheduler", "bind")
	running := clone(b.get(pods(), "a")).(*corev1.Pod)
	running.Status.Phase = corev1.PodRunning
	b.must(second(anna.Update(client.WithCause(b.ctx, "status"), pods(), running, "status")))
	newest("status", "anna", "status")
	b.must(second(anna.Delete(client.WithCause(b.ctx, "mark"), pods(), home, "a", metav1.DeleteOptions{})))
	newest("mark", "anna", "mark")
	b.must(second(b.admin.Delete(client.WithCause(b.ctx, "gone"), pods(), home, "a", metav1.DeleteOptions{GracePeriodSeconds: pointer(int64(0))})))
	newest("delete", administrator, "gone")
}
