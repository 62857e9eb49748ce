// Package apiservice says of each API service whether who answers for its group and version does so, and tells such servers whom to believe.
//
// # Vocabulary
//
// An API service is local when this server answers, else its server is what stands behind the service that it names.
//
// # Laws
//
//   - The condition Available has upstream's reasons and messages, and changes only when it says something else.
//   - A server counts as available only when its service is there and listens, has an endpoint that is ready, and discovery was answered. All is looked at
//     again when any of it changes, and every 30 s; what failed after 5 ms, doubled each time up to 30 s.
//   - The config map kube-system/extension-apiserver-authentication holds the authorities of users' certificates and what front proxies are known by, of this
//     server and of all others that wrote there. What has expired is taken out, nothing else is.
//   - One server that does not answer delays no other: as many as there are workers are asked at once, each for a bounded time.
//
// # What it leaves to others
//
// Asking, and leading requests on, belongs to api/aggregate; API services of what this server answers are made by bootstrap.
package apiservice

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

const (
	workers   = 5
	again     = 30 * time.Second
	retryMost = 30 * time.Second
)

var (
	apiServices = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
	services    = corev1.SchemeGroupVersion.WithResource("services")
	slicesOf    = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

// Servers are those that API services lead to.
type Servers interface {
	// Check asks the server of svc for its discovery; nil: it answers. It takes a few seconds at most.
	Check(svc *apiregistrationv1.APIService) error
	// Forget gives up what is kept of an API service that is gone, or has no server now.
	Forget(name string)
}

// New returns the controller.
func New(servers Servers) engine.Controller {
	return engine.Controller{
		Name: "apiservice-availability", Component: "apiservice-availability", Queue: "RemoteAvailabilityController", User: "system:apiserver",
		Inputs: []engine.Input{
			{Resource: apiServices, Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{keyOf(c.Newest().GetName())} }},
			{Resource: services, Keys: func(v client.View, c client.Change) []engine.Key {
				return ledTo(v, c.Newest().GetNamespace(), c.Newest().GetName())
			}},
			{Resource: slicesOf, Keys: func(v client.View, c client.Change) []engine.Key {
				return ledTo(v, c.Newest().GetNamespace(), c.Newest().GetLabels()[discoveryv1.LabelServiceName])
			}},
		},
		Outputs: []engine.Output{{Resource: apiServices, Fields: []string{"status"}}},
		Workers: workers, RetryMost: retryMost,
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			svc, ok := view.Get(apiServices, "", k.Name).(*apiregistrationv1.APIService)
			if !ok {
				servers.Forget(k.Name)
				return engine.Plan{}, nil
			}
			if svc.Spec.Service == nil {
				servers.Forget(k.Name)
				return said(svc, local(), now), nil
			}
			verdict, ask := seen(view, svc)
			if !ask {
				return looked(said(svc, verdict, now)), nil
			}
			if err := servers.Check(svc); err != nil {
				plan := said(svc, condition{apiregistrationv1.ConditionFalse, "FailedDiscoveryCheck", err.Error()}, now)
				plan.Failed = err
				return plan, nil
			}
			return looked(said(svc, condition{apiregistrationv1.ConditionTrue, "Passed", "all checks passed"}, now)), nil
		},
	}
}

func keyOf(name string) engine.Key { return engine.Key{Resource: apiServices, Name: name} }

// ledTo are the API services whose server is a service.
func ledTo(view client.View, namespace, name string) (keys []engine.Key) {
	for obj := range view.List(apiServices, "") {
		if to := obj.(*apiregistrationv1.APIService).Spec.Service; to != nil && to.Namespace == namespace && to.Name == name {
			keys = append(keys, keyOf(obj.GetName()))
		}
	}
	return keys
}

// condition is what is to be said.
type condition struct {
	status          apiregistrationv1.ConditionStatus
	reason, message string
}

func local() condition {
	return condition{apiregistrationv1.ConditionTrue, "Local", "Local APIServices are always available"}
}

// seen is what can be said of a server without asking it; ask: nothing.
func seen(view client.View, svc *apiregistrationv1.APIService) (verdict condition, ask bool) {
	to := svc.Spec.Service
	failed := func(reason, format string, more ...any) (condition, bool) {
		return condition{apiregistrationv1.ConditionFalse, reason, fmt.Sprintf(format, append([]any{to.Name, to.Namespace}, more...)...)}, false
	}
	service, ok := view.Get(services, to.Namespace, to.Name).(*corev1.Service)
	if !ok {
		return failed("ServiceNotFound", "service/%s in %q is not present")
	}
	if service.Spec.Type != corev1.ServiceTypeClusterIP {
		return condition{}, true
	}
	at := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return to.Port != nil && p.Port == *to.Port })
	if at < 0 {
		return failed("ServicePortError", "service/%s in %q is not listening on port %d", portOf(svc))
	}
	port, some, ready := service.Spec.Ports[at].Name, false, false
	for obj := range view.List(slicesOf, to.Namespace) {
		if slice := obj.(*discoveryv1.EndpointSlice); slice.Labels[discoveryv1.LabelServiceName] == to.Name {
			some = true
			ready = ready || serves(slice, port)
		}
	}
	switch {
	case !some:
		return failed("EndpointsNotFound", "cannot find endpointslices for service/%s in %q")
	case !ready:
		return failed("MissingEndpoints", "endpointslices for service/%s in %q have no addresses with port name %q", port)
	}
	return condition{}, true
}

func portOf(svc *apiregistrationv1.APIService) int32 {
	if svc.Spec.Service.Port == nil {
		return 0
	}
	return *svc.Spec.Service.Port
}

// serves says whether a slice has an endpoint that is ready, and the port.
func serves(slice *discoveryv1.EndpointSlice, port string) bool {
	return slices.ContainsFunc(slice.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }) &&
		slices.ContainsFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == port && p.Port != nil })
}

// said is the plan that makes the API service say c.
func said(svc *apiregistrationv1.APIService, c condition, now time.Time) engine.Plan {
	next := svc.DeepCopy()
	want := apiregistrationv1.APIServiceCondition{
		Type: apiregistrationv1.Available, Status: c.status, LastTransitionTime: metav1.NewTime(now), Reason: c.reason, Message: c.message,
	}
	at := slices.IndexFunc(next.Status.Conditions, func(c apiregistrationv1.APIServiceCondition) bool { return c.Type == want.Type })
	if at < 0 {
		next.Status.Conditions = append(next.Status.Conditions, want)
	} else {
		if was := next.Status.Conditions[at]; was.Status == want.Status {
			want.LastTransitionTime = was.LastTransitionTime
		}
		next.Status.Conditions[at] = want
	}
	if equality.Semantic.DeepEqual(next.Status, svc.Status) {
		return engine.Plan{}
	}
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(apiServices, next, "status")}}
}

// looked is a plan that is to be made again after a while.
func looked(plan engine.Plan) engine.Plan {
	plan.After = again
	return plan
}
