// Package bootstraptoken knows machines that join a cluster by the tokens that secrets hold for them.
//
// # Vocabulary
//
// A bootstrap token is ID.SECRET, of 6 and 16 letters and digits. The secret kube-system/bootstrap-token-ID, of type bootstrap.kubernetes.io/token, holds both
// halves, when the token ends, what it may be used for, and the groups of whoever shows it.
//
// # Laws
//
//   - What is not written as such a token, or whose secret does not say plainly that it is good for authentication, is nobody's: never an error, so that no
//     answer tells why.
//   - The secret half is compared in constant time.
//   - Groups begin with system:bootstrappers; a secret that names any other is not good at all.
//
// # What it leaves to others
//
// Secrets that have ended are removed by the controller tokencleaner; what the group may do is said by bootstrap policy.
package bootstraptoken

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

// Checker checks bootstrap tokens. It is safe for concurrent use.
type Checker struct {
	// Secret is one of kube-system, shared and not to be changed; nil: there is none.
	Secret func(name string) *corev1.Secret
	Clock  clock.PassiveClock
	Log    *slog.Logger
	group  *regexp.Regexp
}

// New returns a checker of the tokens in secrets.
func New(secret func(name string) *corev1.Secret, clk clock.PassiveClock, log *slog.Logger) *Checker {
	return &Checker{Secret: secret, Clock: clk, Log: log, group: regexp.MustCompile(bootstrapapi.BootstrapGroupPattern)}
}

// Check is an auth.TokenChecker of tokens for the API.
func (c *Checker) Check(_ context.Context, token string, _ []string) (auth.Identity, bool, error) {
	id, half, ok := split(token)
	if !ok {
		return auth.Identity{}, false, nil
	}
	secret := c.Secret(bootstrapapi.BootstrapTokenSecretPrefix + id)
	if secret == nil {
		return auth.Identity{}, false, nil
	}
	found, err := c.identity(secret, id, half)
	if err != nil {
		c.Log.Info("a bootstrap token is not good", "secret", secret.Namespace+"/"+secret.Name, "err", err)
		return auth.Identity{}, false, nil
	}
	return found, true, nil
}

// split takes a token apart; ok false: it is none. A regular expression would be slower for what has a given length.
func split(token string) (id, half string, ok bool) {
	id, half, _ = strings.Cut(token, ".")
	letters := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	}
	return id, half, len(id) == bootstrapapi.BootstrapTokenIDBytes && len(half) == bootstrapapi.BootstrapTokenSecretBytes && letters(id) && letters(half)
}

// identity is whose the token of a secret is, or why it is not good.
func (c *Checker) identity(secret *corev1.Secret, id, half string) (auth.Identity, error) {
	value := func(key string) string { return string(secret.Data[key]) }
	switch {
	case secret.DeletionTimestamp != nil:
		return auth.Identity{}, errors.New("is deleted and awaiting removal")
	case secret.Type != bootstrapapi.SecretTypeBootstrapToken || secret.Data == nil:
		return auth.Identity{}, fmt.Errorf("has invalid type, expected %s", bootstrapapi.SecretTypeBootstrapToken)
	case subtle.ConstantTimeCompare(secret.Data[bootstrapapi.BootstrapTokenSecretKey], []byte(half)) != 1:
		return auth.Identity{}, fmt.Errorf("has invalid value for key %s", bootstrapapi.BootstrapTokenSecretKey)
	case value(bootstrapapi.BootstrapTokenIDKey) != id:
		return auth.Identity{}, fmt.Errorf("has invalid value for key %s", bootstrapapi.BootstrapTokenIDKey)
	}
	found := auth.Identity{User: auth.User{Name: bootstrapapi.BootstrapUserPrefix + id, Groups: []string{bootstrapapi.BootstrapDefaultGroup}}}
	if text := value(bootstrapapi.BootstrapTokenExpirationKey); text != "" {
		end, err := time.Parse(time.RFC3339, text)
		if err != nil || !end.After(c.Clock.Now()) {
			return auth.Identity{}, fmt.Errorf("has expired: %s is %q", bootstrapapi.BootstrapTokenExpirationKey, text)
		}
		found.Until = end
	}
	if value(bootstrapapi.BootstrapTokenUsageAuthentication) != "true" {
		return auth.Identity{}, fmt.Errorf("not marked %s=true", bootstrapapi.BootstrapTokenUsageAuthentication)
	}
	if text := value(bootstrapapi.BootstrapTokenExtraGroupsKey); text != "" {
		for group := range strings.SplitSeq(text, ",") {
			if !c.group.MatchString(group) {
				return auth.Identity{}, fmt.Errorf("bootstrap group %q is invalid (must match %s)", group, bootstrapapi.BootstrapGroupPattern)
			}
			found.User.Groups = append(found.User.Groups, group)
		}
	}
	slices.Sort(found.User.Groups)
	found.User.Groups = slices.Compact(found.User.Groups)
	return found, nil
}
