package authorization

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
)

// webhookTimeout bounds one attempt to ask the webhook of the flags, as upstream's.
const webhookTimeout = 30 * time.Second

// Flags are kube-apiserver's of the same names, for who has no file.
type Flags struct {
	Modes []string // in the order in which they are asked
	// WebhookConfigFile is the kubeconfig file of the mode Webhook; "": the mode is not there.
	WebhookConfigFile string
	// WebhookAllowed and WebhookRefused are how long answers are remembered; 0: not at all.
	WebhookAllowed, WebhookRefused time.Duration
	WebhookVersion                 string // v1 or v1beta1
}

// Configuration is what a file would say. It reports everything that is wrong, in upstream's words.
func (f Flags) Configuration() (*apiserver.AuthorizationConfiguration, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	cfg := &apiserver.AuthorizationConfiguration{}
	for _, mode := range f.Modes {
		a := apiserver.AuthorizerConfiguration{Type: apiserver.AuthorizerType(mode), Name: strings.ToLower(mode)}
		if mode == Webhook {
			a.Name = "default"
			a.Webhook = &apiserver.WebhookConfiguration{
				AuthorizedTTL: metav1.Duration{Duration: f.WebhookAllowed}, CacheAuthorizedRequests: true,
				UnauthorizedTTL: metav1.Duration{Duration: f.WebhookRefused}, CacheUnauthorizedRequests: true,
				Timeout: metav1.Duration{Duration: webhookTimeout}, FailurePolicy: apiserver.FailurePolicyNoOpinion, SubjectAccessReviewVersion: f.WebhookVersion,
				ConnectionInfo: apiserver.WebhookConnectionInfo{Type: apiserver.AuthorizationWebhookConnectionInfoTypeKubeConfigFile, KubeConfigFile: &f.WebhookConfigFile},
			}
		}
		cfg.Authorizers = append(cfg.Authorizers, a)
	}
	return cfg, nil
}

func (f Flags) check() error {
	var errs []error
	if len(f.Modes) == 0 {
		errs = append(errs, errors.New("at least one authorization-mode must be passed"))
	}
	for i, mode := range f.Modes {
		switch {
		case !slices.Contains(Modes(), mode):
			errs = append(errs, fmt.Errorf("authorization-mode %q is not a valid mode; must be of %s", mode, strings.Join(Modes(), ",")))
		case mode == ABAC:
			errs = append(errs, errors.New("authorization-mode ABAC: "+noABAC))
		case slices.Contains(f.Modes[:i], mode):
			errs = append(errs, fmt.Errorf("authorization-mode %q has mode specified more than once", f.Modes))
		}
	}
	hook := slices.Contains(f.Modes, Webhook)
	if hook && f.WebhookConfigFile == "" {
		errs = append(errs, errors.New("authorization-mode Webhook's authorization config file not passed"))
	}
	if !hook && f.WebhookConfigFile != "" {
		errs = append(errs, errors.New("cannot specify --authorization-webhook-config-file without mode Webhook"))
	}
	if v := f.WebhookVersion; hook && v != "v1" && v != "v1beta1" {
		errs = append(errs, fmt.Errorf("authorization-webhook-version %q: must be v1 or v1beta1", v))
	}
	return errors.Join(errs...)
}
