package cluster

import (
	"log/slog"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/configuration"
	"github.com/floe-k8s/floe/internal/admission/eventratelimit"
	"github.com/floe-k8s/floe/internal/admission/externalips"
	"github.com/floe-k8s/floe/internal/admission/imagepolicy"
	"github.com/floe-k8s/floe/internal/admission/limitranger"
	"github.com/floe-k8s/floe/internal/admission/noderestriction"
	"github.com/floe-k8s/floe/internal/admission/owners"
	"github.com/floe-k8s/floe/internal/admission/placement"
	"github.com/floe-k8s/floe/internal/admission/pods"
	"github.com/floe-k8s/floe/internal/admission/podsecurity"
	"github.com/floe-k8s/floe/internal/admission/policy"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/admission/serviceaccount"
	"github.com/floe-k8s/floe/internal/admission/webhook"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// pluginNeeds is what admission plug-ins need of the server; the zero value will do where only their names are asked.
type pluginNeeds struct {
	accounts  serviceaccount.Config
	authorize auth.Authorizer
	catalog   owners.Catalog
	settings  configuration.Settings
	clock     clock.WithTickerAndDelayedExecution
	log       *slog.Logger
	webhooks  webhook.Config
	policies  policy.Config
}

// plugins are the admission plug-ins that are not pure.
func plugins(with pluginNeeds) []admission.Plugin {
	set := with.settings
	return slices.Concat(admission.Gated(), pods.New(), placement.New(set.Placement), []admission.Plugin{
		limitranger.New(), noderestriction.Plugin(), serviceaccount.New(with.accounts), owners.New(with.authorize, with.catalog),
		externalips.New(), podsecurity.New(set.PodSecurity), resourcequota.New(set.Limited),
		imagepolicy.New(set.Images, with.clock, with.log), eventratelimit.New(set.Events, with.clock),
		webhook.Mutating(with.webhooks), webhook.Validating(with.webhooks), policy.Mutating(with.policies), policy.Validating(with.policies),
	})
}

func (s *server) pluginNeeds(authorize auth.Authorizer, settings configuration.Settings) pluginNeeds {
	newest := api.NewObjects(s.store, s.kinds)
	catalog := func() *kinds.Catalog { return s.api.Catalog() }
	return pluginNeeds{
		accounts: serviceaccount.Config{NoVolume: !s.Config.Node.Disabled, Clock: s.Clock, Newest: func(namespace, name string) kinds.Object {
			return newest.Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), namespace, name)
		}},
		authorize: authorize, settings: settings, clock: s.Clock, log: s.Log.With("component", "admission"),
		catalog: catalog,
		webhooks: webhook.Config{
			Table: newest, Catalog: catalog, Authorizer: authorize, Webhooks: s.webhookMeans(), Clock: s.Clock, Log: s.Log.With("component", "webhooks"), Metrics: s.webhooks,
			Mutating: settings.MutatingWebhooks, Validating: settings.ValidatingWebhooks,
		},
		policies: policy.Config{
			Table: newest, Catalog: catalog, Authorizer: authorize, Clock: s.Clock, Metrics: s.policies,
			Types: func(k *kinds.Kind) (managedfields.TypeConverter, error) { return s.api.Types(k) },
		},
	}
}
