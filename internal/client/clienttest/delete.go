package clienttest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func pointer[T any](v T) *T { return &v }

func deleteTrials() []trial {
	return []trial{
		{"the revision is that of the change which a stream delivers and a view shows", func(b *bench) {
			stored := b.create(configMaps(), configMap("a"))
			s := b.watch(configMaps(), b.view().Revision(), "", "")
			rev := b.remove(configMaps(), "a", metav1.DeleteOptions{})
			if rev <= b.revision(stored) {
				b.Errorf("deleted at %d, created at %s", rev, stored.GetResourceVersion())
			}
			if ch := s.next(); ch.New != nil || ch.Revision != rev {
				b.Errorf("the stream says %s at %d, want a deletion at %d", tell(ch), ch.Revision, rev)
			}
			if view := b.view(); view.Revision() < rev || view.Get(configMaps(), home, "a") != nil {
				b.Errorf("a view at %d shows what was deleted at %d", view.Revision(), rev)
			}
			b.refused("get", second(b.admin.Get(b.ctx, configMaps(), home, "a")), apierrors.IsNotFound, "")
		}},
		{"a pod without a grace is marked before it goes", func(b *bench) {
			b.create(pods(), pod("a"))
			s := b.watch(pods(), b.view().Revision(), "", "")
			rev := b.remove(pods(), "a", metav1.DeleteOptions{})
			marked := s.next()
			if p, ok := marked.New.(*corev1.Pod); !ok || p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil || *p.DeletionGracePeriodSeconds != 0 {
				b.Errorf("the stream says %s, want a change that says when the pod goes", tell(marked))
			}
			if ch := s.next(); ch.New != nil || ch.Revision != rev || rev <= marked.Revision {
				b.Errorf("the stream says %s at %d, want a deletion at %d, after %d", tell(ch), ch.Revision, rev, marked.Revision)
			}
		}},
		{"a pod on a node is given its grace, which can only be shortened", gracefully},
		{"a namespace is marked, and stays until it is empty", func(b *bench) {
			b.create(namespaces(), namespace("a"))
			rev, err := b.admin.Delete(b.ctx, namespaces(), "", "a", metav1.DeleteOptions{})
			b.must(err)
			got, err := b.admin.Get(b.ctx, namespaces(), "", "a")
			b.must(err)
			if ns := got.(*corev1.Namespace); ns.Status.Phase != corev1.NamespaceTerminating || ns.DeletionTimestamp == nil || b.revision(ns) != rev {
				b.Errorf("deleted at %d, and stands as %+v", rev, ns)
			}
		}},
		{"what becomes of dependents is kept as a finalizer", propagation},
		{"preconditions hold for this object at this version", preconditions},
		{"a dry run leaves all as it was", func(b *bench) {
			stored := b.create(configMaps(), configMap("a"))
			if rev := b.remove(configMaps(), "a", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); rev != b.revision(stored) {
				b.Errorf("revision %d, want the object's own %s", rev, stored.GetResourceVersion())
			}
			b.same("after it", b.get(configMaps(), "a"), stored)
		}},
		{"what is not there is refused", func(b *bench) {
			rev, err := b.admin.Delete(b.ctx, pods(), home, "none", metav1.DeleteOptions{})
			b.refused("delete", err, apierrors.IsNotFound, `pods "none" not found`)
			if rev != 0 {
				b.Errorf("an error comes with revision %d", rev)
			}
			b.refused("a namespace that every cluster needs", second(b.admin.Delete(b.ctx, namespaces(), "", home, metav1.DeleteOptions{})), apierrors.IsForbidden,
				`namespaces "default" is forbidden: this namespace may not be deleted`)
		}},
	}
}

func gracefully(b *bench) {
	b.create(pods(), podOn("one", "a"))
	grace := func() int64 { return *b.get(pods(), "a").GetDeletionGracePeriodSeconds() }
	marked := b.remove(pods(), "a", metav1.DeleteOptions{})
	if p := b.get(pods(), "a"); p.GetDeletionTimestamp() == nil || grace() != 30 || b.revision(p) != marked {
		b.Errorf("marked at %d with %+v", marked, p)
	}
	if again := b.remove(pods(), "a", metav1.DeleteOptions{}); again != marked {
		b.Errorf("deleted again: revision %d, want %d, since nothing changed", again, marked)
	}
	b.remove(pods(), "a", metav1.DeleteOptions{GracePeriodSeconds: pointer(int64(60))})
	if got := grace(); got != 30 {
		b.Errorf("a longer grace: %d seconds, want 30", got)
	}
	shorter := b.remove(pods(), "a", metav1.DeleteOptions{GracePeriodSeconds: pointer(int64(5))})
	if got := grace(); got != 5 || shorter <= marked {
		b.Errorf("a shorter grace: %d seconds at %d, want 5 after %d", got, shorter, marked)
	}
	if b.view().Get(pods(), home, "a").GetDeletionTimestamp() == nil {
		b.Error("a view after the mark does not show it")
	}
	gone := b.remove(pods(), "a", metav1.DeleteOptions{GracePeriodSeconds: pointer(int64(0))})
	if gone <= shorter || b.view().Get(pods(), home, "a") != nil {
		b.Errorf("without grace: not gone at %d", gone)
	}
}

func propagation(b *bench) {
	for i, c := range []struct {
		policy metav1.DeletionPropagation
		want   string // finalizer; "": gone at once
	}{
		{"", ""},
		{metav1.DeletePropagationBackground, ""},
		{metav1.DeletePropagationForeground, metav1.FinalizerDeleteDependents},
		{metav1.DeletePropagationOrphan, metav1.FinalizerOrphanDependents},
	} {
		name, opts := fmt.Sprint("d", i), metav1.DeleteOptions{}
		if c.policy != "" {
			opts.PropagationPolicy = &c.policy
		}
		b.create(deployments(), deployment(name))
		rev := b.remove(deployments(), name, opts)
		got, err := b.admin.Get(b.ctx, deployments(), home, name)
		switch {
		case c.want == "":
			b.refused(fmt.Sprintf("get after policy %q", c.policy), err, apierrors.IsNotFound, "")
		case err != nil:
			b.Errorf("policy %s: %v", c.policy, err)
		default:
			equal(b, string(c.policy), got.GetFinalizers(), []string{c.want})
			if got.GetDeletionTimestamp() == nil || b.revision(got) != rev {
				b.Errorf("policy %s: deleted at %d, and stands as %+v", c.policy, rev, got)
			}
		}
	}
}

func preconditions(b *bench) {
	stored := b.create(pods(), pod("a"))
	uid, version := stored.GetUID(), stored.GetResourceVersion()
	text := `Operation cannot be fulfilled on Pod "a": the %s in the precondition (%s) does not match the %s in record (%s). The object might have been %s`
	for _, c := range []struct {
		name string
		p    metav1.Preconditions
		text string
	}{
		{"another UID", metav1.Preconditions{UID: pointer(types.UID("x"))}, fmt.Sprintf(text, "UID", "x", "UID", uid, "deleted and then recreated")},
		{"another version", metav1.Preconditions{UID: &uid, ResourceVersion: pointer("1")}, fmt.Sprintf(text, "ResourceVersion", "1", "ResourceVersion", version, "modified")},
	} {
		b.refused(c.name, second(b.admin.Delete(b.ctx, pods(), home, "a", metav1.DeleteOptions{Preconditions: &c.p})), apierrors.IsConflict, c.text)
		b.same(c.name, b.get(pods(), "a"), stored)
	}
	b.remove(pods(), "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
	b.refused("get", second(b.admin.Get(b.ctx, pods(), home, "a")), apierrors.IsNotFound, "")
}
