package cluster

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/limitranger"
	"github.com/floe-k8s/floe/internal/admission/noderestriction"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/admission/serviceaccount"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds"
)

// pluginNeeds is what admission plug-ins need of the server; the zero value will do where only their names are asked.
type pluginNeeds struct {
	accounts serviceaccount.Config
}

// plugins are the admission plug-ins that are not pure. Those of webhooks and policies belong here too.
func plugins(with pluginNeeds) []admission.Plugin {
	return []admission.Plugin{limitranger.New(), noderestriction.Plugin(), serviceaccount.New(with.accounts), resourcequota.New(nil)}
}

func (s *server) pluginNeeds() pluginNeeds {
	newest := api.NewObjects(s.store, s.kinds)
	return pluginNeeds{accounts: serviceaccount.Config{Clock: s.Clock, Newest: func(namespace, name string) kinds.Object {
		return newest.Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), namespace, name)
	}}}
}
