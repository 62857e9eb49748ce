package clienttest

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

func getTrials() []trial {
	return []trial{
		{"an object is as it was answered when it was written", func(b *bench) {
			stored := b.create(pods(), pod("a"))
			b.same("created", b.get(pods(), "a"), stored)
		}},
		{"what another client wrote is there at once", func(b *bench) {
			b.create(nodes(), node("one"))
			got, err := b.Client("other", masters).Get(b.ctx, nodes(), "", "one")
			b.must(err)
			if got.GetName() != "one" {
				b.Errorf("got %s", got.GetName())
			}
		}},
		{"what is not there is refused", func(b *bench) {
			b.refused("a pod", second(b.admin.Get(b.ctx, pods(), home, "none")), apierrors.IsNotFound, `pods "none" not found`)
			b.refused("a deployment", second(b.admin.Get(b.ctx, deployments(), home, "none")), apierrors.IsNotFound, `deployments.apps "none" not found`)
			things := client.Resource{Group: "example.com", Version: "v1", Resource: "things"}
			b.refused("a resource that is not served", second(b.admin.Get(b.ctx, things, home, "a")), apierrors.IsNotFound, "")
		}},
	}
}

func createTrials() []trial {
	return []trial{
		{"the answer is defaulted and has a revision", func(b *bench) {
			p := b.create(pods(), pod("a")).(*corev1.Pod)
			if p.UID == "" || p.CreationTimestamp.IsZero() || p.Spec.RestartPolicy != corev1.RestartPolicyAlways || p.Status.Phase != corev1.PodPending {
				b.Errorf("the stored pod is not complete: %+v", p)
			}
			if later := b.create(pods(), pod("b")); b.revision(later) <= b.revision(p) {
				b.Errorf("revision %s after %s", later.GetResourceVersion(), p.ResourceVersion)
			}
		}},
		{"the object given stays as it was and may be used again", func(b *bench) {
			given := pod("")
			given.GenerateName = "p-"
			before := clone(given)
			one, two := b.create(pods(), given), b.create(pods(), given)
			b.same("given", given, before)
			if one.GetName() == two.GetName() || one.GetUID() == two.GetUID() {
				b.Errorf("two pods are one: %s, %s", one.GetName(), two.GetName())
			}
		}},
		{"a generated name begins as asked and is new each time", func(b *bench) {
			names := map[string]bool{}
			for range 20 {
				given := configMap("")
				given.GenerateName = "made-"
				name := b.create(configMaps(), given).GetName()
				if rest, ok := strings.CutPrefix(name, "made-"); !ok || len(rest) != 5 || names[name] {
					b.Errorf("name %q", name)
				}
				names[name] = true
			}
		}},
		{"a dry run answers and leaves nothing", func(b *bench) {
			out, err := b.admin.Create(b.ctx, pods(), pod("a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			b.must(err)
			if out.GetUID() == "" {
				b.Error("the answer has no UID")
			}
			b.refused("get", second(b.admin.Get(b.ctx, pods(), home, "a")), apierrors.IsNotFound, "")
		}},
		{"what may not be is refused with upstream's words", refusedCreates},
		{"a namespace that is being deleted takes nothing new", func(b *bench) {
			b.create(namespaces(), namespace("ending"))
			b.must(second(b.admin.Delete(b.ctx, namespaces(), "", "ending", metav1.DeleteOptions{})))
			err := second(b.admin.Create(b.ctx, configMaps(), in("ending", configMap("a")), metav1.CreateOptions{}))
			b.refused("create", err, apierrors.IsForbidden,
				`configmaps "a" is forbidden: unable to create new content in namespace ending because it is being terminated`)
			if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				b.Errorf("the refusal has not the cause that callers branch on: %v", err)
			}
		}},
	}
}

func refusedCreates(b *bench) {
	b.create(pods(), pod("a"))
	versioned := configMap("b")
	versioned.ResourceVersion = "7"
	for _, c := range []struct {
		name string
		res  client.Resource
		obj  kinds.Object
		is   func(error) bool
		text string
	}{
		{"a name that is taken", pods(), pod("a"), apierrors.IsAlreadyExists, `pods "a" already exists`},
		{"a bad name", configMaps(), configMap("A"), apierrors.IsInvalid, ""},
		{"a pod without containers", pods(), &corev1.Pod{ObjectMeta: meta("b")}, apierrors.IsInvalid, `Pod "b" is invalid: spec.containers: Required value`},
		{"no name", configMaps(), configMap(""), apierrors.IsInvalid, ""},
		{"a namespace that is not there", configMaps(), in("nowhere", configMap("b")), apierrors.IsNotFound, `namespaces "nowhere" not found`},
		{"a resourceVersion", configMaps(), versioned, unclassed, "resourceVersion should not be set on objects to be created"},
	} {
		before := clone(c.obj)
		b.refused(c.name, second(b.admin.Create(b.ctx, c.res, c.obj, metav1.CreateOptions{})), c.is, c.text)
		b.same(c.name+", given", c.obj, before)
	}
}

// unclassed is upstream's class of errors that it has no reason for.
func unclassed(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError && status.Status().Reason == metav1.StatusReasonUnknown
}

const modified = "the object has been modified; please apply your changes to the latest version and try again"

func updateTrials() []trial {
	return []trial{
		{"a resourceVersion is a precondition", func(b *bench) {
			first := b.create(configMaps(), configMap("a")).(*corev1.ConfigMap)
			next := clone(first)
			next.Data["k"] = "w"
			stored := b.update(configMaps(), next, "")
			if b.revision(stored) <= b.revision(first) {
				b.Errorf("revision %s after %s", stored.GetResourceVersion(), first.ResourceVersion)
			}
			next.Data["k"] = "x" // still of the first version
			b.refused("stale", second(b.admin.Update(b.ctx, configMaps(), next, "")), apierrors.IsConflict, `Operation cannot be fulfilled on configmaps "a": `+modified)
			b.same("after the refusal", b.get(configMaps(), "a"), stored)
		}},
		{"without a resourceVersion it replaces what is there", func(b *bench) {
			b.create(configMaps(), configMap("a"))
			b.patch(configMaps(), "a", `{"data":{"k":"another writer's"}}`)
			given := configMap("a")
			given.Data["k"] = "last"
			before := clone(given)
			out := b.update(configMaps(), given, "").(*corev1.ConfigMap)
			if out.Data["k"] != "last" || out.UID == "" {
				b.Errorf("stored %+v", out)
			}
			b.same("given", given, before)
		}},
		{"another object's UID is a conflict", func(b *bench) {
			stored := b.create(configMaps(), configMap("a"))
			other := configMap("a")
			other.UID = "other"
			b.refused("update", second(b.admin.Update(b.ctx, configMaps(), other, "")), apierrors.IsConflict,
				`Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, `+
					`AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: `+string(stored.GetUID()))
		}},
		{"an update that changes nothing makes no new version", func(b *bench) {
			stored := b.create(configMaps(), configMap("a"))
			b.same("update", b.update(configMaps(), stored, ""), stored)
		}},
		{"the status changes through its subresource, and only there", statusAlone},
		{"what is not there is refused, but leases and events are made", func(b *bench) {
			b.refused("a config map", second(b.admin.Update(b.ctx, configMaps(), configMap("a"), "")), apierrors.IsNotFound, `configmaps "a" not found`)
			b.update(events(), event("a", "u"), "")
			made := b.update(leases(), lease("a", "me"), "")
			b.same("lease", b.get(leases(), "a"), made)
			b.refused("a lease again, without a version", second(b.admin.Update(b.ctx, leases(), lease("a", "you"), "")), apierrors.IsInvalid,
				`leases.coordination.k8s.io "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`)
		}},
		{"taking the last finalizer removes, and says at which revision", func(b *bench) {
			given := configMap("a")
			given.Finalizers = []string{"example.com/hold"}
			b.create(configMaps(), given)
			marked := b.remove(configMaps(), "a", metav1.DeleteOptions{})
			b.view()
			s := b.watch(configMaps(), marked, "", "")
			free := clone(b.get(configMaps(), "a")).(*corev1.ConfigMap)
			free.Finalizers = nil
			last := b.update(configMaps(), free, "")
			if ch := s.next(); ch.New != nil || ch.Revision != b.revision(last) {
				b.Errorf("the stream says %s at %d, and the answer %s", tell(ch), ch.Revision, last.GetResourceVersion())
			}
			if view := b.view(); view.Get(configMaps(), home, "a") != nil {
				b.Errorf("a view at %d shows it still", view.Revision())
			}
			b.refused("get", second(b.admin.Get(b.ctx, configMaps(), home, "a")), apierrors.IsNotFound, "")
		}},
	}
}

func statusAlone(b *bench) {
	b.create(pods(), pod("a"))
	running := clone(b.get(pods(), "a")).(*corev1.Pod)
	running.Status.Phase, running.Status.PodIP = corev1.PodRunning, "10.0.0.1"
	running.Spec.Containers[0].Image = "example.com/app:2"
	out := b.update(pods(), running, "status").(*corev1.Pod)
	if out.Status.Phase != corev1.PodRunning || out.Spec.Containers[0].Image != "example.com/app:1" {
		b.Errorf("status: phase %s with image %s, want Running with app:1", out.Status.Phase, out.Spec.Containers[0].Image)
	}
	next := clone(out)
	next.Spec.Containers[0].Image, next.Status.Phase = "example.com/app:3", corev1.PodFailed
	out = b.update(pods(), next, "").(*corev1.Pod)
	if out.Status.Phase != corev1.PodRunning || out.Spec.Containers[0].Image != "example.com/app:3" {
		b.Errorf("the rest: phase %s with image %s, want Running with app:3", out.Status.Phase, out.Spec.Containers[0].Image)
	}
	stale := clone(running)
	b.refused("stale status", second(b.admin.Update(b.ctx, pods(), stale, "status")), apierrors.IsConflict, `Operation cannot be fulfilled on pods "a": `+modified)
}

func patchTrials() []trial {
	return []trial{
		{"each language of patches", func(b *bench) {
			for _, c := range []struct {
				name   string
				kind   types.PatchType
				data   string
				images []string
			}{
				{"JSON patch", types.JSONPatchType, `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"i:2"}]`, []string{"main i:2"}},
				{"merge patch", types.MergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"i:3"}]}}}}`, []string{"other i:3"}},
				{"strategic merge patch", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"i:4"},{"name":"side","image":"i:5"}]}}}}`, []string{"main i:4", "side i:5"}},
			} {
				name := strings.ReplaceAll(strings.ToLower(c.name), " ", "-")
				b.create(deployments(), deployment(name))
				out, err := b.admin.Patch(b.ctx, deployments(), home, name, c.kind, []byte(c.data), "")
				b.must(err)
				equal(b, c.name, images(out), c.images)
				b.same(c.name, b.get(deployments(), name), out)
			}
		}},
		{"the status has patches of its own", func(b *bench) {
			b.create(pods(), pod("a"))
			out, err := b.admin.Patch(b.ctx, pods(), home, "a", types.StrategicMergePatchType, []byte(`{"spec":{"activeDeadlineSeconds":5},"status":{"phase":"Running"}}`), "status")
			b.must(err)
			if p := out.(*corev1.Pod); p.Status.Phase != corev1.PodRunning || p.Spec.ActiveDeadlineSeconds != nil {
				b.Errorf("phase %s, deadline %v", p.Status.Phase, p.Spec.ActiveDeadlineSeconds)
			}
		}},
		{"a version in the patch is a precondition, and none is none", func(b *bench) {
			first := b.create(configMaps(), configMap("a"))
			stored := b.patch(configMaps(), "a", `{"data":{"k":"w"}}`)
			stale := `{"metadata":{"resourceVersion":"` + first.GetResourceVersion() + `"},"data":{"k":"x"}}`
			b.refused("stale", second(b.admin.Patch(b.ctx, configMaps(), home, "a", types.MergePatchType, []byte(stale), "")), apierrors.IsConflict,
				`Operation cannot be fulfilled on configmaps "a": `+modified)
			b.same("after the refusal", b.get(configMaps(), "a"), stored)
		}},
		{"what cannot be done is refused", refusedPatches},
	}
}

func images(obj kinds.Object) (out []string) {
	for _, c := range deploymentSpec(obj).Template.Spec.Containers {
		out = append(out, c.Name+" "+c.Image)
	}
	slices.Sort(out)
	return out
}

func refusedPatches(b *bench) {
	stored := b.create(configMaps(), configMap("a"))
	for _, c := range []struct {
		name, object string
		kind         types.PatchType
		data         string
		is           func(error) bool
	}{
		{"nothing to patch", "none", types.MergePatchType, `{"data":{"k":"w"}}`, apierrors.IsNotFound},
		{"no JSON", "a", types.MergePatchType, `{"data"`, apierrors.IsBadRequest},
		{"a test that fails", "a", types.JSONPatchType, `[{"op":"test","path":"/data/k","value":"w"}]`, apierrors.IsInvalid},
		{"what the kind does not allow", "a", types.MergePatchType, `{"data":{"a b":"w"}}`, apierrors.IsInvalid},
		{"another name", "a", types.MergePatchType, `{"metadata":{"name":"b"}}`, apierrors.IsBadRequest},
	} {
		b.refused(c.name, second(b.admin.Patch(b.ctx, configMaps(), home, c.object, c.kind, []byte(c.data), "")), c.is, "")
	}
	b.same("after all refusals", b.get(configMaps(), "a"), stored)
}

func applyTrials() []trial {
	return []trial{
		{"what is applied is a manager's, and taken from others", func(b *bench) {
			b.create(configMaps(), configMap("a"))
			declare := func(data string) *corev1.ConfigMap {
				text := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"` + home + `"},"data":` + data + `}`
				out, err := b.admin.Apply(b.ctx, configMaps(), home, "a", []byte(text), "m", "")
				b.must(err)
				return out.(*corev1.ConfigMap)
			}
			declare(`{"k":"mine","l":"mine"}`)
			out := declare(`{"k":"still mine"}`)
			if out.Data["k"] != "still mine" || len(out.Data) != 1 {
				b.Errorf("got %v", out.Data)
			}
			entries := out.ManagedFields
			if n := len(entries); n == 0 || entries[0].Manager != "m" || entries[0].Operation != "Apply" {
				b.Errorf("managed by %v", entries)
			}
			b.same("apply", b.get(configMaps(), "a"), out)
		}},
		{"what is applied and not there is made, and no subresource is", func(b *bench) {
			text := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"none","namespace":"` + home + `"},"status":{"phase":"Running"}}`)
			b.refused("a status of nothing", second(b.admin.Apply(b.ctx, pods(), home, "none", text, "m", "status")), apierrors.IsNotFound, "")
			text = []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"none","namespace":"` + home + `"}}`)
			b.must(second(b.admin.Apply(b.ctx, configMaps(), home, "none", text, "m", "")))
			b.get(configMaps(), "none")
		}},
	}
}
