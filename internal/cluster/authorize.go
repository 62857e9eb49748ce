package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/authorization"
	"github.com/floe-k8s/floe/internal/auth/node"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
)

// Authorization says who decides what users may do. Its fields are kube-apiserver's flags, but that the modes are kubeadm's by default.
type Authorization struct {
	// Mode lists who is asked, in order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny. Default Node, RBAC, unless there is a ConfigFile.
	Mode []string `json:"mode,omitempty"`
	// ConfigFile is an AuthorizationConfiguration of upstream's, in place of all other fields. It is read again when it changes.
	ConfigFile string `json:"configFile,omitempty"`
	// WebhookConfigFile is the kubeconfig file that the mode Webhook finds its server by.
	WebhookConfigFile string `json:"webhookConfigFile,omitempty"`
	// WebhookCacheAuthorizedTTL and WebhookCacheUnauthorizedTTL are how long its answers are remembered. Default 5m and 30s.
	WebhookCacheAuthorizedTTL   metav1.Duration `json:"webhookCacheAuthorizedTTL"`
	WebhookCacheUnauthorizedTTL metav1.Duration `json:"webhookCacheUnauthorizedTTL"`
	// WebhookVersion is that of the reviews it is sent: v1 or v1beta1. Default v1beta1.
	WebhookVersion string `json:"webhookVersion,omitempty"`
}

func defaultAuthorization() Authorization {
	return Authorization{
		WebhookCacheAuthorizedTTL: metav1.Duration{Duration: 5 * time.Minute}, WebhookCacheUnauthorizedTTL: metav1.Duration{Duration: 30 * time.Second},
		WebhookVersion: "v1beta1",
	}
}

// flags are what package authorization takes when there is no file.
func (a *Authorization) flags() authorization.Flags {
	modes := a.Mode
	if len(modes) == 0 {
		modes = []string{authorization.Node, authorization.RBAC}
	}
	return authorization.Flags{
		Modes: modes, WebhookConfigFile: a.WebhookConfigFile, WebhookVersion: a.WebhookVersion,
		WebhookAllowed: a.WebhookCacheAuthorizedTTL.Duration, WebhookRefused: a.WebhookCacheUnauthorizedTTL.Duration,
	}
}

func (a *Authorization) validate() error {
	if a.ConfigFile == "" {
		if _, err := a.flags().Configuration(); err != nil {
			return fmt.Errorf("api.authorization: %w", err)
		}
		return nil
	}
	if given, other := *a, defaultAuthorization(); len(given.Mode) > 0 || given.WebhookConfigFile != "" || given.WebhookVersion != other.WebhookVersion ||
		given.WebhookCacheAuthorizedTTL != other.WebhookCacheAuthorizedTTL || given.WebhookCacheUnauthorizedTTL != other.WebhookCacheUnauthorizedTTL {
		return fmt.Errorf("api.authorization: --authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined")
	}
	path, err := filepath.Abs(a.ConfigFile)
	if err != nil {
		return fmt.Errorf("api.authorization.configFile: %w", err)
	}
	a.ConfigFile = path
	_, err = authorization.Load(path)
	return err
}

// authorizers are who decides what users may do, who lists it, and what has to run for that; nil: nothing.
func (s *server) authorizers(metrics *authorization.Metrics) (chain authorization.Chain, run func(context.Context) error, err error) {
	objects := api.NewObjects(s.store, s.kinds)
	nodes, roles := node.New(objects, policy.Rules("system:node")), rbac.New(objects)
	builder := authorization.Builder{
		Own:   authorization.Own{Node: nodes.Authorize, NodeRules: nodes.Rules, RBAC: roles.Authorize, RBACRules: roles.Rules},
		Clock: s.Clock, Metrics: metrics, Dial: s.egress.To(egress.ControlPlane),
	}
	cfg := &s.Config.API.Authorization
	if cfg.ConfigFile == "" {
		list, err := cfg.flags().Configuration()
		if err != nil {
			return authorization.Chain{}, nil, err
		}
		chain, err = builder.Build(list)
		return chain, nil, err
	}
	f, err := authorization.Follow(cfg.ConfigFile, builder, s.Log.With("component", "authorization"))
	if err != nil {
		return authorization.Chain{}, nil, err
	}
	run = func(ctx context.Context) error { return f.Run(ctx, s.Clock) }
	return authorization.Chain{Authorize: f.Authorize, Rules: auth.Resolver(f.Rules)}, run, nil
}
