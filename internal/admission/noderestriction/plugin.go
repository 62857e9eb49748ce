// Package noderestriction is upstream's admission plug-in of that name: it sees what the agent of a node writes, of which the node authorizer knows only
// where it goes.
//
// # Laws
//
//   - Users who act for a node (auth.User.Node) write their own node, lease, CSINode, devices, mirror pods, and the status of pods bound to the node; others
//     are not looked at.
//   - A node never changes what steers pods to it: its taints, its owners, and the labels that Kubernetes or administrators reserve.
//   - Refusals are upstream's, word for word. Every rule is a pure function of the attributes.
//
// # What it leaves to others
//
// Where a node may write at all is decided by auth/node. Volumes in the tree that a CSI driver has taken over are not looked through for audiences of tokens.
package noderestriction

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// Plugin returns the plug-in, which has no state.
func Plugin() admission.Plugin {
	return admission.Plugin{Name: "NodeRestriction", Admit: func(_ context.Context, a *admission.Attributes) error { return Check(a) }}
}

// Check refuses what a node must not write, as an API status error.
func Check(a *admission.Attributes) error {
	name, ok := a.User.Node()
	if !ok || a.Operation == admission.Connect {
		return nil
	}
	if name == "" {
		return a.Forbidf("could not determine node from user %q", a.User.Name)
	}
	switch a.Kind.GVK.Group + "/" + a.Kind.Resource {
	case "/pods":
		return pod(name, a)
	case "/nodes":
		return node(name, a)
	case "/persistentvolumeclaims":
		return claim(name, a)
	case "/serviceaccounts":
		return account(name, a)
	case "coordination.k8s.io/leases":
		return lease(name, a)
	case "storage.k8s.io/csinodes":
		return named(name, a, "CSINode")
	case "resource.k8s.io/resourceslices":
		return slice(name, a)
	case "certificates.k8s.io/certificatesigningrequests":
		return request(name, a)
	case "certificates.k8s.io/podcertificaterequests":
		return a.Forbidf("PodCertificateRequest feature gate is disabled")
	}
	return nil
}

// typed is an object of the attributes in its type, or the refusal of another.
func typed[T any](a *admission.Attributes, obj runtime.Object) (T, error) {
	out, ok := obj.(T)
	if !ok {
		return out, a.Forbidf("unexpected type %T", obj)
	}
	return out, nil
}

// lease refuses leases other than the node's own.
func lease(node string, a *admission.Attributes) error {
	if a.Namespace != corev1.NamespaceNodeLease {
		return a.Forbidf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	if l, ok := a.Object.(*coordinationv1.Lease); a.Operation == admission.Create && ok && l.Name == node || a.Operation != admission.Create && a.Name == node {
		return nil
	}
	return a.Forbidf("can only access node lease with the same name as the requesting node")
}

// named refuses objects of a kind of which each node has one of its own name, but the node's.
func named(node string, a *admission.Attributes, kind string) error {
	name := a.Name
	if obj, ok := a.Object.(metav1.Object); ok && a.Operation == admission.Create {
		name = obj.GetName()
	}
	if name != node {
		return a.Forbidf("can only access %s with the same name as the requesting node", kind)
	}
	return nil
}

// slice refuses devices of other nodes. Changes are decided by the authorizer, which knows the object then.
func slice(node string, a *admission.Attributes) error {
	obj, verb := a.Object, "create"
	switch a.Operation {
	case admission.Delete:
		obj, verb = a.Old, "delete"
	case admission.Create:
	default:
		return nil
	}
	s, err := typed[*resourcev1.ResourceSlice](a, obj)
	if err != nil {
		return err
	}
	if s.Spec.NodeName == nil || *s.Spec.NodeName != node {
		return a.Forbidf("can only %s ResourceSlice with the same NodeName as the requesting node", verb)
	}
	return nil
}

// claim lets a node write how the growth of a volume went, and no more.
func claim(node string, a *admission.Attributes) error {
	if a.Subresource != "status" {
		return a.Forbidf("may only update PVC status")
	}
	if a.Operation != admission.Update {
		return a.Forbidf("unexpected operation %q", a.Operation)
	}
	was, err := typed[*corev1.PersistentVolumeClaim](a, a.Old)
	if err != nil {
		return err
	}
	is, err := typed[*corev1.PersistentVolumeClaim](a, a.Object)
	if err != nil {
		return err
	}
	was, is = fixed(was), fixed(is)
	if !apiequality.Semantic.DeepEqual(was, is) {
		return a.Forbidf("node %q is not allowed to update fields other than status.quantity and status.conditions: %v",
			node, diff.Diff(untagged.Value(was), untagged.Value(is)))
	}
	return nil
}

// fixed is a copy of a claim without what its node may change.
func fixed(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c = c.DeepCopy()
	c.ResourceVersion, c.ManagedFields, c.TypeMeta = "", nil, metav1.TypeMeta{}
	c.Status.Capacity, c.Status.Conditions, c.Status.AllocatedResourceStatuses, c.Status.AllocatedResources = nil, nil, nil, nil
	return c
}

// request refuses requests for certificates of other nodes.
func request(node string, a *admission.Attributes) error {
	if a.Operation != admission.Create {
		return nil
	}
	csr, err := typed[*certificatesv1.CertificateSigningRequest](a, a.Object)
	if err != nil {
		return err
	}
	if csr.Spec.SignerName != certificatesv1.KubeletServingSignerName && csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	parsed, err := parseRequest(csr.Spec.Request)
	if err != nil {
		return a.Forbidf("unable to parse csr: %w", err)
	}
	if parsed.Subject.CommonName != "system:node:"+node {
		return a.Forbidf("can only create a node CSR with CN=system:node:%s", node)
	}
	return nil
}

func parseRequest(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}
