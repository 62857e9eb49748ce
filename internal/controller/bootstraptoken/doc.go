// Package bootstraptoken signs what machines that want to join read of a cluster they cannot trust yet, and deletes tokens that have ended.
//
// # Vocabulary
//
// A bootstrap token is a secret of kube-system with the type bootstrap.kubernetes.io/token and the name bootstrap-token-ID: an id that everybody may know, a
// secret that only the cluster and who joins know, an end, and what it may be used for. The config map cluster-info of kube-public holds a kubeconfig file
// without credentials. Its signature by a token, in the key jws-kubeconfig-ID, is a JSON web signature (RFC 7515) whose content is left out, as in its
// appendix F: who holds the token can tell that the file is the cluster's.
//
// # Laws
//
//   - cluster-info has a signature by each token that may sign and has not ended, and none by others. Where there is no kubeconfig in it, it is left as it is.
//   - A token is deleted when it has ended; one whose end cannot be read has ended.
//   - Neither makes anything: cluster-info and tokens are made by people and their tools.
//
// Both are off unless they are named (--controllers), as upstream's.
//
// # What it leaves to others
//
// Knowing users by bootstrap tokens is auth's.
package bootstraptoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cluster-bootstrap/token/api"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var (
	secrets    = corev1.SchemeGroupVersion.WithResource("secrets")
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
)

// tokenOf is the secret when it is a token.
func tokenOf(obj any) (*corev1.Secret, bool) {
	s, ok := obj.(*corev1.Secret)
	return s, ok && s.Type == api.SecretTypeBootstrapToken && s.Namespace == metav1.NamespaceSystem
}

// remaining is how long a token is good from now on; 0 and not over: for ever.
func remaining(s *corev1.Secret, now time.Time) (left time.Duration, over bool) {
	text := string(s.Data[api.BootstrapTokenExpirationKey])
	if text == "" {
		return 0, false
	}
	end, err := time.Parse(time.RFC3339, text)
	if left = end.Sub(now); err != nil || left <= 0 {
		return 0, true
	}
	return left, false
}

// Cleaner returns the controller that deletes tokens.
func Cleaner() engine.Controller {
	return engine.Controller{
		Name: "bootstrap-token-cleaner", Component: "token-cleaner", Queue: "token_cleaner", User: "system:serviceaccount:kube-system:token-cleaner", Workers: 1,
		Inputs: []engine.Input{{Resource: secrets, Keys: func(_ client.View, c client.Change) []engine.Key {
			if s, ok := tokenOf(c.New); ok {
				return []engine.Key{{Resource: secrets, Namespace: s.Namespace, Name: s.Name}}
			}
			return nil
		}}},
		Outputs: []engine.Output{{Resource: secrets}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			s, ok := tokenOf(view.Get(secrets, k.Namespace, k.Name))
			if !ok || s.DeletionTimestamp != nil {
				return engine.Plan{}, nil
			}
			left, over := remaining(s, now)
			if over {
				return engine.Plan{Writes: []engine.Write{engine.NewDelete(secrets, s, "").AsSeen(s)}}, nil
			}
			return engine.Plan{After: left}, nil
		},
	}
}

// sign returns the signature of content by a token, without the content.
func sign(content, id, secret string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
	}{"HS256", id})
	if err != nil {
		return "", fmt.Errorf("signature by bootstrap token %s: %w", id, err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	first := encode(header)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(first + "." + encode([]byte(content))))
	return first + ".." + encode(mac.Sum(nil)), nil
}

// signing is what a token signs with; ok false: it may not. The id that it says must be that of its name.
func signing(s *corev1.Secret, now time.Time) (id, secret string, left time.Duration, ok bool) {
	id, secret = string(s.Data[api.BootstrapTokenIDKey]), string(s.Data[api.BootstrapTokenSecretKey])
	left, over := remaining(s, now)
	ok = wellFormed(id) && s.Name == api.BootstrapTokenSecretPrefix+id && secret != "" && !over && string(s.Data[api.BootstrapTokenUsageSigningKey]) == "true"
	return id, secret, left, ok
}

// wellFormed says whether an id is six small letters and digits.
func wellFormed(id string) bool {
	return len(id) == 6 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
