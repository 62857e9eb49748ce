package wire

import (
	"fmt"
	"sync/atomic"
)

// Some of upstream's hooks by name.
const (
	// StartSystemNamespaces makes the namespaces that every cluster begins with.
	StartSystemNamespaces = "start-system-namespaces-controller"
	// autoRegistration makes the API services of what is served. That all of them are there is a check of its own, right after its hook.
	autoRegistration          = "kube-apiserver-autoregistration"
	autoRegistrationCompleted = "autoregister-completion"
)

// startHooks are what upstream's server does once after it has begun to answer, in its order: the names that people and monitoring ask for. Here all are
// done when the initial objects are made. What stands behind them:
//
//   - Informers, the admission initializer, the tracker of object counts and storage-readiness wait for what floe's table is loaded with before there is
//     a server.
//   - The controllers of API services and of definitions bring discovery and OpenAPI up to date: the handler makes both when they are asked for. The
//     condition of local API services is set as they are made.
//   - Fairness and the authorities that extensions trust are nothing that anybody waits for: limits are there with the first connection.
//   - The rest makes initial objects, or keeps them: controller/bootstrap.
var startHooks = [...]string{
	"start-apiserver-admission-initializer", "generic-apiserver-start-informers", "priority-and-fairness-config-consumer", "priority-and-fairness-filter",
	"storage-object-count-tracker-hook", "start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced",
	StartSystemNamespaces, "peer-endpoint-reconciler-controller", "start-cluster-authentication-info-controller",
	"start-kube-apiserver-identity-lease-controller", "start-kube-apiserver-identity-lease-garbage-collector", "storage-readiness",
	"start-legacy-token-tracking-controller", "start-service-ip-repair-controllers", "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes",
	"priority-and-fairness-config-producer", "bootstrap-controller", "start-kubernetes-service-cidr-controller", "start-kube-aggregator-informers",
	"apiservice-status-local-available-controller", "apiservice-status-remote-available-controller", "apiservice-registration-controller",
	"apiservice-discovery-controller", autoRegistration, "apiservice-openapi-controller", "apiservice-openapiv3-controller",
}

// hook is something that is done once after the API has begun to answer.
type hook struct {
	name string
	done atomic.Bool
}

// unfinished says why the hook's check fails; "": it is done.
func (k *hook) unfinished() string {
	if k.done.Load() {
		return ""
	}
	return "not finished"
}

// Done says that one of Config.Hooks has been done; ready is said when all have been. A name that is not among them panics.
func (h *Handler) Done(name string) {
	for _, k := range h.hooks {
		if k.name == name {
			k.done.Store(true)
			return
		}
	}
	panic(fmt.Sprintf("%q is none of the hooks %v", name, h.Hooks))
}

// SetReady says that all of Config.Hooks have been done.
func (h *Handler) SetReady() {
	for _, k := range h.hooks {
		k.done.Store(true)
	}
}
