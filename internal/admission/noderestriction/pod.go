package noderestriction

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

var (
	pods  = corev1.SchemeGroupVersion.WithResource("pods")
	nodes = corev1.SchemeGroupVersion.WithResource("nodes")
)

// pod lets a node make and delete mirror pods of its own, and write the status of pods that are bound to it and evict them.
func pod(node string, a *admission.Attributes) error {
	switch a.Subresource {
	case "":
		switch a.Operation {
		case admission.Create:
			p, err := typed[*corev1.Pod](a, a.Object)
			if err != nil {
				return err
			}
			return mirror(node, a, p)
		case admission.Delete:
			return bound(node, a, fmt.Sprintf("node %q can only delete pods with spec.nodeName set to itself", node))
		}
		return a.Forbidf("unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, node)
	case "status":
		if a.Operation != admission.Update {
			return a.Forbidf("unexpected operation %q", a.Operation)
		}
		return status(node, a)
	case "eviction":
		if a.Operation != admission.Create {
			return a.Forbidf("unexpected operation %s", a.Operation)
		}
		return bound(node, a, fmt.Sprintf("node %s can only evict pods with spec.nodeName set to itself", node))
	}
	return a.Forbidf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.Subresource)
}

// bound refuses with a text what is about a pod of another node.
func bound(node string, a *admission.Attributes, refusal string) error {
	p, ok := a.See.Get(pods, a.Namespace, a.Name).(*corev1.Pod)
	switch {
	case !ok:
		return apierrors.NewNotFound(corev1.Resource("pod"), a.Name)
	case p.Spec.NodeName != node:
		return a.Forbid(errors.New(refusal))
	}
	return nil
}

// mirror refuses new pods that are no mirror of one that the node runs by itself, or that would give the node rights to other objects.
func mirror(node string, a *admission.Attributes, p *corev1.Pod) error {
	if _, ok := p.Annotations[corev1.MirrorPodAnnotationKey]; !ok {
		return a.Forbidf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if p.Spec.NodeName != node {
		return a.Forbidf("node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := owned(node, a, p); err != nil {
		return err
	}
	what, err := references(p)
	switch {
	case err != nil:
		return a.Forbidf("error checking mirror pod for API references: %w", err)
	case what != "":
		return a.Forbidf("node %q can not create pods that reference %s", node, what)
	}
	return nil
}

// owned refuses a pod that has other owners than the node, which controls it.
func owned(node string, a *admission.Attributes, p *corev1.Pod) error {
	if len(p.OwnerReferences) > 1 {
		return a.Forbidf("node %q can only create pods with a single owner reference set to itself", node)
	}
	if len(p.OwnerReferences) == 0 {
		return a.Forbidf("node %q can only create pods with an owner reference set to itself", node)
	}
	owner := p.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return a.Forbidf("node %q can only create pods with an owner reference set to itself", node)
	case owner.Controller == nil || !*owner.Controller:
		return a.Forbidf("node %q can only create pods with a controller owner reference set to itself", node)
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return a.Forbidf("node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	self, ok := a.See.Get(nodes, "", node).(*corev1.Node)
	switch {
	case !ok:
		return apierrors.NewNotFound(corev1.Resource("node"), node)
	case owner.UID != self.UID:
		return a.Forbidf("node %s UID mismatch: expected %s got %s", node, owner.UID, self.UID)
	}
	return nil
}

// references names what other objects a pod needs; "": none.
func references(p *corev1.Pod) (string, error) {
	if p.Spec.ServiceAccountName != "" {
		return "serviceaccounts", nil
	}
	for range podspec.Secrets(p) {
		return "secrets", nil
	}
	for range podspec.ConfigMaps(p) {
		return "configmaps", nil
	}
	if len(p.Spec.ResourceClaims) > 0 {
		return "resourceclaims", nil
	}
	for i := range p.Spec.Volumes {
		if what, err := needs(&p.Spec.Volumes[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

// needs names what other objects a volume needs; an error: nobody knows.
func needs(v *corev1.Volume) (string, error) {
	switch {
	case v.AWSElasticBlockStore != nil, v.AzureDisk != nil, v.CephFS != nil, v.Cinder != nil, v.DownwardAPI != nil, v.EmptyDir != nil, v.FC != nil,
		v.FlexVolume != nil, v.Flocker != nil, v.GCEPersistentDisk != nil, v.GitRepo != nil, v.HostPath != nil, v.Image != nil, v.ISCSI != nil, v.NFS != nil,
		v.PhotonPersistentDisk != nil, v.PortworxVolume != nil, v.Quobyte != nil, v.RBD != nil, v.ScaleIO != nil, v.StorageOS != nil, v.VsphereVolume != nil:
		return "", nil
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case v.Secret != nil:
		return "secrets (via secret volumes)", nil
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case v.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)", nil
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case v.AzureFile != nil:
		return "secrets (via azureFile volumes)", nil
	case v.Projected != nil:
		return projected(v)
	}
	return "", fmt.Errorf("unknown volume type for volume  %q", v.Name)
}

func projected(v *corev1.Volume) (string, error) {
	for _, s := range v.Projected.Sources {
		switch {
		case s.ConfigMap != nil:
			return "configmaps (via projected volumes)", nil
		case s.Secret != nil:
			return "secrets (via projected volumes)", nil
		case s.ServiceAccountToken != nil:
			return "serviceaccounts (via projected volumes)", nil
		case s.ClusterTrustBundle != nil:
			return "clustertrustbundles", nil
		case s.PodCertificate != nil:
			return "podcertificates", nil
		case s.DownwardAPI == nil:
			return "", fmt.Errorf("unknown source for projected volume %q", v.Name)
		}
	}
	return "", nil
}

// status refuses what a node must not say of a pod: of another's, or what others say.
func status(node string, a *admission.Attributes) error {
	was, err := typed[*corev1.Pod](a, a.Old)
	if err != nil {
		return err
	}
	if was.Spec.NodeName != node {
		return a.Forbidf("node %q can only update pod status for pods with spec.nodeName set to itself", node)
	}
	is, err := typed[*corev1.Pod](a, a.Object)
	if err != nil {
		return err
	}
	switch {
	case !labels.Equals(was.Labels, is.Labels):
		return a.Forbidf("node %q cannot update labels through pod status", node)
	case !slices.EqualFunc(was.Status.ResourceClaimStatuses, is.Status.ResourceClaimStatuses, sameClaim):
		return a.Forbidf("node %q cannot update resource claim statues", node)
	case !apiequality.Semantic.DeepEqual(was.Status.ExtendedResourceClaimStatus, is.Status.ExtendedResourceClaimStatus):
		return a.Forbidf("node %q cannot update extended resource claim status", node)
	}
	return nil
}

func sameClaim(a, b corev1.PodResourceClaimStatus) bool {
	return a.Name == b.Name && apiequality.Semantic.DeepEqual(a.ResourceClaimName, b.ResourceClaimName)
}
