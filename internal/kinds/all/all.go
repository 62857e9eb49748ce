// Package all lists every kind that floe serves, in the order in which discovery shows them.
//
// It is the one place where kinds come together: what is in the program is visible here, and nothing registers itself. Adding a kind is
// adding a line.
package all

import (
	"time"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/admissionregistration"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/kinds/apiextensions"
	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/authentication"
	"github.com/floe-k8s/floe/internal/kinds/authorization"
	"github.com/floe-k8s/floe/internal/kinds/autoscaling"
	"github.com/floe-k8s/floe/internal/kinds/batch"
	"github.com/floe-k8s/floe/internal/kinds/certificates"
	"github.com/floe-k8s/floe/internal/kinds/coordination"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/discovery"
	"github.com/floe-k8s/floe/internal/kinds/flowcontrol"
	"github.com/floe-k8s/floe/internal/kinds/networking"
	"github.com/floe-k8s/floe/internal/kinds/node"
	"github.com/floe-k8s/floe/internal/kinds/policy"
	"github.com/floe-k8s/floe/internal/kinds/rbac"
	"github.com/floe-k8s/floe/internal/kinds/resource"
	"github.com/floe-k8s/floe/internal/kinds/scheduling"
	"github.com/floe-k8s/floe/internal/kinds/storage"
)

// Config is what kinds are told of the cluster. Its zero value is the default.
type Config struct {
	Services core.ServiceNetwork
	// EventTTL is how long an event is kept after it was last seen. 0 is core.EventTTL; core.EventsForEver keeps them.
	EventTTL time.Duration
	// Stay is how long pods stay on nodes that have become unwell; nil is core.DefaultStay.
	Stay *core.Stay
}

// Kept returns the kinds that are stored and served to nobody.
func Kept() []*kinds.Kind { return []*kinds.Kind{allocation.Kept(), core.MasterLease()} }

// Kinds is KindsFor the default.
func Kinds() []*kinds.Kind { return KindsFor(Config{}) }

// KindsFor returns new values that the caller owns.
func KindsFor(cfg Config) []*kinds.Kind {
	event, autoscaler := core.Event(cfg.EventTTL), autoscaling.HorizontalPodAutoscaler() // each is served in two forms
	stay := core.DefaultStay()
	if cfg.Stay != nil {
		stay = *cfg.Stay
	}
	return []*kinds.Kind{
		core.Binding(),
		core.ComponentStatus(),
		core.ConfigMap(),
		core.Endpoints(),
		event,
		core.LimitRange(),
		core.Namespace(),
		core.Node(),
		core.PersistentVolumeClaim(),
		core.PersistentVolume(),
		core.PodFor(stay),
		core.PodTemplate(),
		core.ReplicationController(),
		core.ResourceQuota(),
		core.Secret(),
		core.ServiceAccount(),
		core.Service(cfg.Services),
		apiregistration.APIService(),
		apps.ControllerRevision(),
		apps.DaemonSet(),
		apps.Deployment(),
		apps.ReplicaSet(),
		apps.StatefulSet(),
		core.EventView(event),
		authentication.SelfSubjectReview(),
		authentication.TokenReview(),
		authorization.LocalSubjectAccessReview(),
		authorization.SelfSubjectAccessReview(),
		authorization.SelfSubjectRulesReview(),
		authorization.SubjectAccessReview(),
		autoscaler,
		autoscaling.HorizontalPodAutoscalerV1(autoscaler),
		batch.CronJob(),
		batch.Job(),
		certificates.CertificateSigningRequest(),
		networking.IngressClass(),
		networking.Ingress(),
		networking.IPAddress(),
		networking.NetworkPolicy(),
		networking.ServiceCIDR(),
		policy.PodDisruptionBudget(),
		rbac.ClusterRoleBinding(),
		rbac.ClusterRole(),
		rbac.RoleBinding(),
		rbac.Role(),
		storage.CSIDriver(),
		storage.CSINode(),
		storage.CSIStorageCapacity(),
		storage.StorageClass(),
		storage.VolumeAttachment(),
		storage.VolumeAttributesClass(),
		admissionregistration.MutatingAdmissionPolicy(),
		admissionregistration.MutatingAdmissionPolicyBinding(),
		admissionregistration.MutatingWebhookConfiguration(),
		admissionregistration.ValidatingAdmissionPolicy(),
		admissionregistration.ValidatingAdmissionPolicyBinding(),
		admissionregistration.ValidatingWebhookConfiguration(),
		apiextensions.CustomResourceDefinition(),
		scheduling.PriorityClass(),
		coordination.Lease(),
		node.RuntimeClass(),
		discovery.EndpointSlice(),
		resource.DeviceClass(),
		resource.ResourceClaim(),
		resource.ResourceClaimTemplate(),
		resource.ResourceSlice(),
		flowcontrol.FlowSchema(),
		flowcontrol.PriorityLevelConfiguration(),
	}
}
