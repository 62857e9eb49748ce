package wire_test

import (
	"fmt"
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission/externalips"
	"github.com/floe-k8s/floe/internal/admission/limitranger"
	"github.com/floe-k8s/floe/internal/admission/noderestriction"
	"github.com/floe-k8s/floe/internal/admission/owners"
	"github.com/floe-k8s/floe/internal/admission/pods"
	"github.com/floe-k8s/floe/internal/admission/podsecurity"
	"github.com/floe-k8s/floe/internal/admission/policy"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/admission/serviceaccount"
	"github.com/floe-k8s/floe/internal/admission/webhook"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/authorization"
	"github.com/floe-k8s/floe/internal/auth/node"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	policies "github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/features"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe"
)

// chained gives a cluster upstream's authorization and admission: Node and RBAC by the roles that it stores, and the plug-ins that are on by default, with
// NodeRestriction, but those named without.
func chained(t *testing.T, c *apitest.Cluster, clk *hurried, without []string) {
	t.Helper()
	cfg := c.API.Config
	newest := api.NewObjects(cfg.Store, cfg.Kinds)
	modes, err := authorization.Flags{Modes: []string{authorization.Node, authorization.RBAC}}.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	nodes, roles := node.New(newest, policies.Rules("system:node")), rbac.New(newest)
	may, err := authorization.Builder{
		Own: authorization.Own{Node: nodes.Authorize, NodeRules: nodes.Rules, RBAC: roles.Authorize, RBACRules: roles.Rules}, Clock: clk,
	}.Build(modes)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Authorizer, cfg.Rules, c.Rules = may.Authorize, auth.Resolver(may.Rules), auth.Resolver(may.Rules)
	catalog := func() *kinds.Catalog { return c.API.Catalog() }
	cfg.Plugins = append(pods.New(), limitranger.New(), noderestriction.Plugin(), externalips.New(), podsecurity.New(podsecurity.DefaultSettings()), resourcequota.New(nil),
		owners.New(cfg.Authorizer, catalog),
		serviceaccount.New(serviceaccount.Config{Clock: clk, Newest: func(namespace, name string) kinds.Object {
			return newest.Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), namespace, name)
		}}))
	hooks := webhook.Config{Table: newest, Catalog: catalog, Authorizer: cfg.Authorizer, Webhooks: reach.Means{Resolve: unresolved}, Clock: clock.RealClock{}, Log: observe.Discard()}
	written := policy.Config{
		Table: newest, Catalog: catalog, Authorizer: cfg.Authorizer, Clock: clk,
		Types: func(k *kinds.Kind) (managedfields.TypeConverter, error) { return c.API.Types(k) },
	}
	cfg.Plugins = append(cfg.Plugins, webhook.Mutating(hooks), webhook.Validating(hooks), policy.Mutating(written), policy.Validating(written))
	off, err := features.ParsePlugins([]string{"NodeRestriction"}, without, api.Plugins(cfg.Kinds, cfg.Plugins))
	if err != nil {
		t.Fatal(err)
	}
	cfg.NoAdmission = off
	c.API = api.New(cfg)
}

// unresolved is where the services are: there are none.
func unresolved(namespace, name string, _ int32) (*url.URL, error) {
	return nil, fmt.Errorf("service %q not found", name)
}
