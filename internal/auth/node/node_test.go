package node_test

import (
	"iter"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/node"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/kinds"
)

// table has objects by RESOURCE NAMESPACE/NAME.
type table map[string]kinds.Object

func (t table) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	if obj, ok := t[res.Resource+" "+namespace+"/"+name]; ok {
		return obj
	}
	return nil
}

func (t table) Lookup(res schema.GroupVersionResource, index, value string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for key, obj := range t {
			if pod, ok := obj.(*corev1.Pod); ok && strings.HasPrefix(key, res.Resource+" ") && index == "spec.nodeName" && pod.Spec.NodeName == value && !yield(obj) {
				return
			}
		}
	}
}

func (t table) pod(name, node string, spec corev1.PodSpec) *corev1.Pod {
	spec.NodeName = node
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: spec}
	t["pods default/"+name] = p
	return p
}

// cluster has a pod on node one that uses one of everything, one on node two, a mirror pod on node one, and one that is not bound.
func cluster() table {
	t := table{}
	local := corev1.LocalObjectReference{Name: "env-map"}
	p := t.pod("web", "one", corev1.PodSpec{
		ServiceAccountName: "robot", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local}}}}},
		Containers: []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env-secret"}}}},
		}}},
		Volumes: []corev1.Volume{
			{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "mounted"}}},
			{Name: "p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "projected"}}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "projected"}}},
			}}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			{Name: "tmp", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
		},
		ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: ptr.To("t")}, {Name: "nic", ResourceClaimName: ptr.To("nic")}},
	})
	p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: ptr.To("web-gpu")}}
	t.pod("other", "two", corev1.PodSpec{ServiceAccountName: "other", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "foreign"}}})
	t.pod("unbound", "", corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "unbound"}}})
	mirror := t.pod("mirror", "one", corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "stolen"}}, ServiceAccountName: "stolen"})
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	t["persistentvolumeclaims default/data"] = &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "disk"}}
	disk := func(claim string) *corev1.PersistentVolume {
		pv := &corev1.PersistentVolume{}
		pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: claim}
		pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{
			NodeStageSecretRef:         &corev1.SecretReference{Namespace: "storage", Name: "stage"},
			ControllerPublishSecretRef: &corev1.SecretReference{Namespace: "storage", Name: "controller"},
		}
		return pv
	}
	t["persistentvolumes /disk"], t["persistentvolumes /foreign"] = disk("data"), disk("foreign")
	t["volumeattachments /one"] = &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{NodeName: "one"}}
	t["volumeattachments /two"] = &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{NodeName: "two"}}
	t["resourceslices /one"] = &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{NodeName: ptr.To("one")}}
	t["resourceslices /all"] = &resourcev1.ResourceSlice{}
	return t
}

// attributes reads VERB RESOURCE[/SUBRESOURCE][.GROUP] [NAMESPACE/]NAME [FIELD=VALUE].
func attributes(text string) auth.Attributes {
	parts := strings.Fields(text)
	a := auth.Attributes{Verb: parts[0], Version: "v1"}
	a.Resource, a.Group, _ = strings.Cut(parts[1], ".")
	a.Resource, a.Subresource, _ = strings.Cut(a.Resource, "/")
	if len(parts) > 2 {
		a.Name = strings.TrimSuffix(parts[2], "-")
		if namespace, name, ok := strings.Cut(a.Name, "/"); ok {
			a.Namespace, a.Name = namespace, name
		}
	}
	if len(parts) > 3 {
		a.Select(parts[3], "")
	}
	return a
}

const unrelated = "no relationship found between node 'one' and this object"

// TestAuthorize: what node one may, and the reason, which is upstream's, for what it may not.
const yes = "yes"

// decisions are what node one may, by request, and what it is told otherwise.
var decisions = map[string]string{
	"get secrets default/pull":                  yes,
	"get secrets default/env-secret":            yes,
	"list secrets default/mounted":              yes,
	"watch secrets default/ metadata.name=pull": yes,
	"get secrets default/projected":             yes,
	"get secrets storage/stage":                 yes,
	"get secrets storage/controller":            unrelated,
	"get secrets default/stage":                 unrelated,
	"get secrets default/foreign":               unrelated,
	"get secrets default/unbound":               unrelated,
	"get secrets default/stolen":                unrelated,
	"get secrets other/pull":                    unrelated,
	"get secrets default/env-map":               unrelated,
	"list secrets default/":                     "No Object name found",
	"list secrets":                              "can only read namespaced object of this type",
	"update secrets default/pull":               "can only read resources of this type",
	"get secrets/status default/pull":           "cannot read subresource",
	"get configmaps default/env-map":            yes,
	"get configmaps default/projected":          yes,
	"get configmaps default/pull":               unrelated,

	"get persistentvolumeclaims default/data":          yes,
	"get persistentvolumeclaims default/web-tmp":       yes,
	"get persistentvolumeclaims default/foreign":       unrelated,
	"list persistentvolumeclaims default/data":         "can only get individual resources of this type",
	"patch persistentvolumeclaims/status default/data": yes,
	"get persistentvolumeclaims/status default/data":   "can only get/update/patch this type",
	"get persistentvolumes disk":                       yes,
	"get persistentvolumes foreign":                    unrelated,
	"get persistentvolumes none":                       unrelated,
	"get persistentvolumes/status disk":                "cannot get subresource",

	"get resourceclaims.resource.k8s.io default/nic":     yes,
	"get resourceclaims.resource.k8s.io default/web-gpu": yes,
	"get resourceclaims.resource.k8s.io default/t":       unrelated,
	"get volumeattachments.storage.k8s.io one":           yes,
	"get volumeattachments.storage.k8s.io two":           unrelated,

	"get serviceaccounts default/robot":           yes,
	"create serviceaccounts/token default/robot":  yes,
	"create serviceaccounts/token default/other":  unrelated,
	"create serviceaccounts/token default/stolen": unrelated,
	"list serviceaccounts default/robot":          "can only create tokens for individual service accounts",
	"create serviceaccounts default/robot":        "can only create token subresource of serviceaccount",

	"update leases.coordination.k8s.io kube-node-lease/one": yes,
	"update leases.coordination.k8s.io kube-node-lease/two": "can only access node lease with the same name as the requesting node",
	"get leases.coordination.k8s.io kube-system/one":        `can only access leases in the "kube-node-lease" system namespace`,
	"list leases.coordination.k8s.io kube-node-lease/one":   "can only get, create, update, patch, or delete a node lease",
	"delete csinodes.storage.k8s.io one":                    yes,
	"get csinodes.storage.k8s.io two":                       "can only access CSINode with the same name as the requesting node",
	"get csinodes/status.storage.k8s.io one":                "cannot authorize CSINode subresources",
	"watch csinodes.storage.k8s.io":                         "can only get, create, update, patch, or delete a CSINode",

	"get resourceslices.resource.k8s.io one":                                 yes,
	"delete resourceslices.resource.k8s.io all":                              unrelated,
	"deletecollection resourceslices.resource.k8s.io - spec.nodeName=one":    yes,
	"deletecollection resourceslices.resource.k8s.io - spec.nodeName=two":    "can only list/watch/deletecollection resourceslices with nodeName field selector",
	"list resourceslices.resource.k8s.io - spec.nodeName!=one":               "can only list/watch/deletecollection resourceslices with nodeName field selector",
	"list resourceslices.resource.k8s.io - spec.nodeName=one,spec.driver==x": yes,
	"escalate resourceslices.resource.k8s.io one":                            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
	"get podcertificaterequests.certificates.k8s.io default/a":               "",

	"get nodes one":                   yes,
	"watch nodes - metadata.name=one": yes,
	"get nodes two":                   "node 'one' cannot read 'two', only its own Node object",
	"list nodes":                      "node 'one' cannot read all nodes, only its own Node object",
	"patch nodes/status two":          yes,
	"delete nodes one":                "",
	"get nodes/proxy one":             "",

	"get pods default/web":                                  yes,
	"get pods default/other":                                unrelated,
	"list pods - spec.nodeName=one":                         yes,
	"watch pods default/ spec.nodeName=two":                 "can only list/watch pods with spec.nodeName field selector",
	"watch pods default/ spec.nodeName in (one)":            "can only list/watch pods with spec.nodeName field selector",
	"list pods default/ metadata.name=web":                  yes,
	"list pods default/ metadata.name=other":                unrelated,
	"create pods default/":                                  yes,
	"create pods/eviction default/web":                      yes,
	"get pods/log default/web":                              "",
	"create pods/exec default/web":                          "",
	"update pods default/web":                               "",
	"create pods/binding default/web":                       "",
	"list services":                                         yes,
	"create events default/":                                yes,
	"create certificatesigningrequests.certificates.k8s.io": yes,
	"approve signers.certificates.k8s.io x":                 "",
	"list clusterroles.rbac.authorization.k8s.io":           "",
}

func TestAuthorize(t *testing.T) {
	a := node.New(cluster(), policy.Rules("system:node"))
	for request, want := range decisions {
		decision, reason, err := a.Authorize(t.Context(), auth.User{Name: "system:node:one", Groups: []string{auth.Nodes}}, attributes(request))
		got := reason
		if decision == auth.Allow {
			got = yes
		}
		if got != want || err != nil || decision == auth.Deny {
			t.Errorf("%s: got %q (%v), want %q", request, got, err, want)
		}
	}
}

// TestNoNode: who is no node, or no certain one, gets nothing here.
func TestNoNode(t *testing.T) {
	a := node.New(cluster(), policy.Rules("system:node"))
	for _, c := range []struct {
		user auth.User
		want string
	}{
		{auth.User{Name: "system:node:one"}, ""},
		{auth.User{Name: "one", Groups: []string{auth.Nodes}}, ""},
		{auth.User{Name: "system:serviceaccount:default:system:node:one", Groups: []string{auth.Nodes}}, ""},
		{auth.User{Name: "system:node:", Groups: []string{auth.Nodes}}, `unknown node for user "system:node:"`},
	} {
		decision, reason, err := a.Authorize(t.Context(), c.user, attributes("get secrets default/pull"))
		if decision != auth.NoOpinion || reason != c.want || err != nil {
			t.Errorf("%+v: got %v, %q, %v, want %q", c.user, decision, reason, err, c.want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	a := node.New(cluster(), policy.Rules("system:node"))
	user, attrs := auth.User{Name: "system:node:one", Groups: []string{auth.Nodes}}, attributes("get secrets default/mounted")
	b.ReportAllocs()
	for b.Loop() {
		if decision, _, _ := a.Authorize(b.Context(), user, attrs); decision != auth.Allow {
			b.Fatal("refused")
		}
	}
}
