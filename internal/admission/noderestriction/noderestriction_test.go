package noderestriction_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/noderestriction"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// objects are by RESOURCE NAMESPACE/NAME.
type objects map[string]kinds.Object

func (r objects) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

func (o objects) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	if obj, ok := o[res.Resource+" "+namespace+"/"+name]; ok {
		return obj
	}
	return nil
}

func (objects) Each(schema.GroupVersionResource, string, func(kinds.Object) bool) {}

// powerless are the powers of who may do nothing.
type powerless struct{}

func (powerless) Refuse(kinds.Wish) error                     { return errors.New("no") }
func (powerless) Uncovered(string, []rbacv1.PolicyRule) error { return errors.New("no") }

// there has a pod on each of two nodes.
func there() objects {
	pod := func(name, node string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: node, Volumes: []corev1.Volume{
			{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}},
			}}}},
		}}}
	}
	return objects{
		"pods default/mine": pod("mine", "one"), "pods default/other": pod("other", "two"),
		"nodes /one": &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one", UID: "one-uid"}},
	}
}

// wish makes attributes of "OPERATION RESOURCE[/SUBRESOURCE][.GROUP] [NAMESPACE/]NAME" by node one.
func wish(text string, obj, old runtime.Object) *admission.Attributes {
	parts := strings.Fields(text)
	resource, group, _ := strings.Cut(parts[1], ".")
	resource, part, _ := strings.Cut(resource, "/")
	a := &admission.Attributes{
		Operation: admission.Operation(parts[0]), Subresource: part, Name: parts[2], Object: obj, Old: old, See: there(), Env: kinds.Env{Powers: powerless{}},
		Kind: &kinds.Kind{GVK: schema.GroupVersionKind{Group: group, Version: "v1"}, Resource: resource}, User: auth.User{Name: "system:node:one", Groups: []string{auth.Nodes}},
	}
	if namespace, name, ok := strings.Cut(a.Name, "/"); ok {
		a.Namespace, a.Name = namespace, name
	}
	return a
}

func node(name string, change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	if change != nil {
		change(n)
	}
	return n
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

// mirror is a mirror pod as a node may make it.
func mirror(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "static", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "one", UID: "one-uid", Controller: ptr.To(true)}},
	}, Spec: corev1.PodSpec{NodeName: "one"}}
	if change != nil {
		change(p)
	}
	return p
}

func status(node string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{NodeName: node}}
	if change != nil {
		change(p)
	}
	return p
}

func claim(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", ResourceVersion: "1"}}
	change(c)
	return c
}

func token(change func(*authenticationv1.TokenRequest)) *authenticationv1.TokenRequest {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{"vault"}, BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "mine", UID: "mine"},
	}}
	change(r)
	return r
}

func csr(t *testing.T, signer, name string) *certificatesv1.CertificateSigningRequest {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}
}

type (
	apod   = corev1.Pod
	avolum = corev1.VolumeSource
)

func volume(source avolum) func(*apod) {
	return func(p *apod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}} }
}

// TestNodes: what node one may write of nodes, and upstream's words for what it may not.
func TestNodes(t *testing.T) {
	for _, c := range []struct {
		wish    string
		is, was runtime.Object
		want    string
	}{
		{"CREATE nodes one", node("one", nil), nil, ""},
		{"CREATE nodes two", node("two", nil), nil, `nodes "two" is forbidden: node "one" is not allowed to modify node "two"`},
		{"UPDATE nodes/status two", node("two", nil), node("two", nil), `node "one" is not allowed to modify node "two"`},
		{"DELETE nodes two", nil, node("two", nil), `node "one" is not allowed to modify node "two"`},
		{"CREATE nodes one", node("one", label("team", "a")), nil, ""},
		{"CREATE nodes one", node("one", label("a.kubelet.kubernetes.io/b", "")), nil, ""},
		{"CREATE nodes one", node("one", label("node-role.kubernetes.io/control-plane", "")), nil, `node "one" is not allowed to set the following labels: node-role.kubernetes.io/control-plane`},
		{"CREATE nodes one", node("one", label("node-restriction.kubernetes.io/secret", "")), nil, `is not allowed to set the following labels: node-restriction.kubernetes.io/secret`},
		{"CREATE nodes one", node("one", label("x.node-restriction.kubernetes.io/secret", "")), nil, `x.node-restriction.kubernetes.io/secret`},
		{"CREATE nodes one", node("one", label("evil.k8s.io/x", "")), nil, `evil.k8s.io/x`},
		{"CREATE nodes one", node("one", label("notkubernetes.io/x", "")), nil, ""},
		{"CREATE nodes one", node("one", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }), nil, ""},
		//lint:ignore SA1019 that is what is refused
		{"CREATE nodes one", node("one", func(n *corev1.Node) { n.Spec.ConfigSource = &corev1.NodeConfigSource{} }), nil, "is not allowed to create pods with a non-nil configSource"},
		{"UPDATE nodes one", node("one", nil), node("one", label("node-restriction.kubernetes.io/pci", "yes")), "is not allowed to modify labels: node-restriction.kubernetes.io/pci"},
		{"UPDATE nodes/status one", node("one", label("b.k8s.io/a", "")), node("one", label("a.k8s.io/a", "")), "is not allowed to modify labels: a.k8s.io/a, b.k8s.io/a"},
		{"UPDATE nodes one", node("one", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }), node("one", nil), `node "one" is not allowed to modify taints`},
		{"UPDATE nodes one", node("one", func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), node("one", nil), `node "one" is not allowed to modify ownerReferences`},
	} {
		check(t, c.wish, wish(c.wish, c.is, c.was), c.want)
	}
}

// TestPods: mirror pods, and the status, deletion and eviction of pods.
func TestPods(t *testing.T) {
	for _, c := range []struct {
		wish    string
		is, was runtime.Object
		want    string
	}{
		{"CREATE pods default/static", mirror(nil), nil, ""},
		{"CREATE pods default/static", mirror(func(p *apod) { p.Annotations = nil }), nil, `pod does not have "kubernetes.io/config.mirror" annotation, node "one" can only create mirror pods`},
		{"CREATE pods default/static", mirror(func(p *apod) { p.Spec.NodeName = "two" }), nil, `node "one" can only create pods with spec.nodeName set to itself`},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences = nil }), nil, "can only create pods with an owner reference set to itself"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences[0]) }), nil, "can only create pods with a single owner reference set to itself"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences[0].Name = "two" }), nil, "can only create pods with an owner reference set to itself"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences[0].UID = "old" }), nil, "node one UID mismatch: expected old got one-uid"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences[0].Controller = nil }), nil, "with a controller owner reference set to itself"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.OwnerReferences[0].BlockOwnerDeletion = ptr.To(true) }), nil, "must not set blockOwnerDeletion on an owner reference"},
		{"CREATE pods default/static", mirror(func(p *apod) { p.Spec.ServiceAccountName = "admin" }), nil, `node "one" can not create pods that reference serviceaccounts`},
		{"CREATE pods default/static", mirror(func(p *apod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} }), nil, "reference secrets"},
		{"CREATE pods default/static", mirror(volume(avolum{EmptyDir: &corev1.EmptyDirVolumeSource{}})), nil, ""},
		{"CREATE pods default/static", mirror(volume(avolum{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}})), nil, "reference configmaps"},
		{"CREATE pods default/static", mirror(volume(avolum{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}})), nil, "reference persistentvolumeclaims"},
		{"CREATE pods default/static", mirror(volume(avolum{CSI: &corev1.CSIVolumeSource{}})), nil, "reference csidrivers (via CSI volumes)"},
		{"CREATE pods default/static", mirror(volume(avolum{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}}}})), nil, "serviceaccounts (via projected volumes)"},
		{"CREATE pods default/static", mirror(volume(avolum{})), nil, `error checking mirror pod for API references: unknown volume type for volume  "v"`},
		{"UPDATE pods default/mine", mirror(nil), mirror(nil), `unexpected operation "UPDATE", node "one" can only create and delete mirror pods`},
		{"CREATE pods/binding default/mine", &corev1.Binding{}, nil, `unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`},
		{"DELETE pods default/mine", nil, nil, ""},
		{"DELETE pods default/other", nil, nil, `pods "other" is forbidden: node "one" can only delete pods with spec.nodeName set to itself`},
		{"DELETE pods default/none", nil, nil, `pod "none" not found`},
		{"CREATE pods/eviction default/mine", &policyv1.Eviction{}, nil, ""},
		{"CREATE pods/eviction default/other", &policyv1.Eviction{}, nil, "node one can only evict pods with spec.nodeName set to itself"},
		{"UPDATE pods/status default/mine", status("one", func(p *apod) { p.Status.Phase = corev1.PodFailed }), status("one", nil), ""},
		{"UPDATE pods/status default/other", status("two", nil), status("two", nil), `node "one" can only update pod status for pods with spec.nodeName set to itself`},
		{"UPDATE pods/status default/other", status("one", nil), status("two", nil), "can only update pod status for pods with spec.nodeName set to itself"},
		{"UPDATE pods/status default/mine", status("one", func(p *apod) { p.Labels["app"] = "db" }), status("one", nil), "cannot update labels through pod status"},
		{"UPDATE pods/status default/mine", status("one", func(p *apod) {
			p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: ptr.To("others")}}
		}), status("one", nil), "cannot update resource claim statues"},
		{"UPDATE pods/status default/mine", status("one", func(p *apod) {
			p.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: "others"}
		}), status("one", nil), "cannot update extended resource claim status"},
	} {
		check(t, c.wish, wish(c.wish, c.is, c.was), c.want)
	}
}

// TestOthers: claims, leases, devices, tokens and requests for certificates.
func TestOthers(t *testing.T) {
	same := claim(func(*corev1.PersistentVolumeClaim) {})
	lease := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	devices := func(node *string) *resourcev1.ResourceSlice {
		return &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{NodeName: node}}
	}
	for _, c := range []struct {
		wish    string
		is, was runtime.Object
		want    string
	}{
		{"UPDATE persistentvolumeclaims/status default/data", claim(func(c *corev1.PersistentVolumeClaim) {
			c.ResourceVersion, c.Status.Capacity = "", corev1.ResourceList{}
		}), same, ""},
		{"UPDATE persistentvolumeclaims/status default/data", claim(func(c *corev1.PersistentVolumeClaim) { c.Finalizers = []string{"a/b"} }), same, "is not allowed to update fields other than status.quantity and status.conditions"},
		{"UPDATE persistentvolumeclaims default/data", same, same, "may only update PVC status"},
		{"CREATE leases.coordination.k8s.io kube-node-lease/one", lease("one"), nil, ""},
		{"CREATE leases.coordination.k8s.io kube-node-lease/two", lease("two"), nil, "can only access node lease with the same name as the requesting node"},
		{"UPDATE leases.coordination.k8s.io kube-system/one", lease("one"), lease("one"), `can only access leases in the "kube-node-lease" system namespace`},
		{"DELETE leases.coordination.k8s.io kube-node-lease/two", nil, lease("two"), "can only access node lease with the same name as the requesting node"},
		{"CREATE csinodes.storage.k8s.io two", node("two", nil), nil, "can only access CSINode with the same name as the requesting node"},
		{"UPDATE csinodes.storage.k8s.io one", node("one", nil), nil, ""},
		{"CREATE resourceslices.resource.k8s.io a", devices(ptr.To("one")), nil, ""},
		{"CREATE resourceslices.resource.k8s.io a", devices(ptr.To("two")), nil, "can only create ResourceSlice with the same NodeName as the requesting node"},
		{"CREATE resourceslices.resource.k8s.io a", devices(nil), nil, "can only create ResourceSlice with the same NodeName as the requesting node"},
		{"DELETE resourceslices.resource.k8s.io a", nil, devices(ptr.To("two")), "can only delete ResourceSlice with the same NodeName as the requesting node"},
		{"CREATE serviceaccounts/token default/robot", token(func(*authenticationv1.TokenRequest) {}), nil, ""},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.BoundObjectRef = nil }), nil, "node requested token not bound to a pod"},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.BoundObjectRef.Kind = "Secret" }), nil, "node requested token not bound to a pod"},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.BoundObjectRef.UID = "" }), nil, "node requested token with a pod binding without a uid"},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.BoundObjectRef.UID = "old" }), nil, "the UID in the bound object reference (old) does not match"},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.BoundObjectRef.Name = "none" }), nil, `pod "none" not found`},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) {
			r.Spec.BoundObjectRef.Name, r.Spec.BoundObjectRef.UID = "other", "other"
		}), nil, "node requested token bound to a pod scheduled on a different node"},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"api"} }), nil, `audience "api" not found in pod spec volume, system:node:one is not authorized to request tokens for this audience`},
		{"CREATE serviceaccounts/token default/robot", token(func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"vault", "api"} }), nil, "node may only request 0 or 1 audiences"},
		{"CREATE certificatesigningrequests.certificates.k8s.io a", csr(t, certificatesv1.KubeletServingSignerName, "system:node:one"), nil, ""},
		{"CREATE certificatesigningrequests.certificates.k8s.io a", csr(t, certificatesv1.KubeletServingSignerName, "system:node:two"), nil, "can only create a node CSR with CN=system:node:one"},
		{"CREATE certificatesigningrequests.certificates.k8s.io a", csr(t, "example.com/own", "anything"), nil, ""},
		{"CREATE certificatesigningrequests.certificates.k8s.io a", &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: certificatesv1.KubeletServingSignerName}}, nil, "unable to parse csr: PEM block type must be CERTIFICATE REQUEST"},
		{"UPDATE configmaps default/a", &corev1.ConfigMap{}, &corev1.ConfigMap{}, ""},
	} {
		check(t, c.wish, wish(c.wish, c.is, c.was), c.want)
	}
}

// TestWho: others than nodes are not looked at, and a node without a name may nothing.
func TestWho(t *testing.T) {
	for name, want := range map[string]string{"admin": "", "system:node:": `could not determine node from user "system:node:"`, "system:node:one": "is not allowed to modify node"} {
		a := wish("DELETE nodes two", nil, nil)
		a.User.Name = name
		check(t, name, a, want)
	}
	a := wish("DELETE nodes two", nil, nil)
	a.User.Groups = nil
	check(t, "without the group", a, "")
}

func check(t *testing.T, name string, a *admission.Attributes, want string) {
	t.Helper()
	err := noderestriction.Check(a)
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}
