package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	legacyIssuer = "kubernetes/serviceaccount"
	leeway       = time.Minute // by which clocks may differ
	userPrefix   = "system:serviceaccount:"
	extraPrefix  = "authentication.kubernetes.io/"
	remarkPrefix = "authentication.k8s.io/" // of annotations of the audit trail
)

func userName(namespace, name string) string { return userPrefix + namespace + ":" + name }

// Objects are those that tokens are bound to. What it returns is shared and not to be changed; an error says why there is none.
type Objects interface {
	ServiceAccount(namespace, name string) (*corev1.ServiceAccount, error)
	Pod(namespace, name string) (*corev1.Pod, error)
	Secret(namespace, name string) (*corev1.Secret, error)
	Node(name string) (*corev1.Node, error)
}

// Config is what a Checker is made from. All fields but Mark and Metrics are needed.
type Config struct {
	Issuers   []string // whose tokens are taken
	Audiences []string // of the API
	Keys      Keys
	Objects   Objects
	Clock     clock.PassiveClock
	// Lookup: a secret's token is good only while the secret is there.
	Lookup bool
	// Mark labels a secret, whose token is used, with the day of that; it is waited for. It is asked once a day, and again as long as the secret has not got the
	// label. nil: nothing is marked.
	Mark    func(ctx context.Context, secret *corev1.Secret, label, day string)
	Metrics *Metrics // nil: nothing is counted
}

// Checker checks tokens. It is safe for concurrent use.
type Checker struct {
	Config
}

// NewChecker returns a checker.
func NewChecker(cfg Config) *Checker {
	return &Checker{cfg}
}

// Check is an auth.TokenChecker.
func (c *Checker) Check(ctx context.Context, token string, asked []string) (id auth.Identity, ok bool, err error) {
	p, err := parse(token)
	if err != nil || p.issuer != legacyIssuer && !slices.Contains(c.Issuers, p.issuer) {
		return auth.Identity{}, false, nil // for others to know
	}
	if err := c.verify(ctx, p); err != nil {
		return auth.Identity{}, false, err
	}
	var said claims
	if err := unmarshal(p.payload, &said); err != nil {
		return auth.Identity{}, false, err
	}
	if len(asked) == 0 {
		asked = c.Audiences
	}
	held := []string(said.Audience)
	var remarks *auth.Remarks
	if len(held) == 0 {
		held = c.Audiences
		remarks = remarks.Annotate(remarkPrefix+"legacy-token", said.Subject)
		c.Metrics.count(func(m *Metrics) prometheus.Counter { return m.legacy })
	}
	shared := slices.DeleteFunc(slices.Clone(held), func(a string) bool { return !slices.Contains(asked, a) })
	if len(shared) == 0 && len(c.Audiences) > 0 {
		return auth.Identity{}, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", held, asked)
	}
	id.Audiences = shared
	if said.Issuer == legacyIssuer {
		id.User, remarks, err = c.legacy(ctx, token, &said, remarks)
	} else {
		id.User, err = c.bound(&said)
		remarks = c.overdue(&said, remarks, err)
	}
	if err != nil {
		return auth.Identity{}, false, err
	}
	id.User.Remarks = remarks
	if said.Expiry != 0 {
		id.Until = said.Expiry.time().Add(leeway)
	}
	return id, true, nil
}

func (c *Checker) verify(ctx context.Context, p parts) error {
	keys := c.Keys.Find(ctx, p.keyID)
	if len(keys) == 0 {
		return errors.New("invalid signature, no keys found")
	}
	for i := range keys {
		if key := &keys[i]; key.Algorithm == p.algorithm && key.verify(p.signed, p.signature) {
			return nil
		}
	}
	return errSignature
}

var errSignature = errors.New("square/go-jose: error in cryptographic primitive") // the text that upstream's library has for it

// times says what is wrong with when a token is used.
func (said *claims) times(now time.Time) error {
	switch {
	case said.NotBefore != 0 && now.Add(leeway).Before(said.NotBefore.time()):
		return errors.New("service account token is not valid yet")
	case said.Expiry != 0 && now.Add(-leeway).After(said.Expiry.time()):
		return errors.New("service account token has expired")
	case said.IssuedAt != 0 && now.Add(leeway).Before(said.IssuedAt.time()):
		return errors.New("service account token is issued in the future")
	}
	return nil
}

// bound is the user of a token that is bound to objects.
func (c *Checker) bound(said *claims) (auth.User, error) {
	now := c.Clock.Now()
	if err := said.times(now); err != nil {
		return auth.User{}, err
	}
	if said.Bound == nil {
		said.Bound = &Bound{}
	}
	b := said.Bound
	account, err := c.Objects.ServiceAccount(b.Namespace, b.Account.Name)
	switch {
	case err != nil:
		return auth.User{}, err
	case string(account.UID) != b.Account.UID:
		return auth.User{}, fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, b.Account.UID)
	case gone(account, now):
		return auth.User{}, fmt.Errorf("service account %s/%s has been deleted", b.Namespace, b.Account.Name)
	}
	if b.Secret != nil {
		secret, err := c.Objects.Secret(b.Namespace, b.Secret.Name)
		if err := holds("secret", "secret", secret, err, b.Secret, now); err != nil {
			return auth.User{}, err
		}
	}
	if b.Pod != nil {
		pod, err := c.Objects.Pod(b.Namespace, b.Pod.Name)
		if err := holds("pod", "pod", pod, err, b.Pod, now); err != nil {
			return auth.User{}, err
		}
	}
	if b.Node != nil && b.Pod == nil { // a pod's token only says where the pod was
		node, err := c.Objects.Node(b.Node.Name)
		if err := holds("node", "node", node, err, b.Node, now); err != nil {
			return auth.User{}, err
		}
	}
	return user(b, said.ID), nil
}

// overdue adds that a pod's token is used later than it was to be renewed, which only the extension of its life allows.
func (c *Checker) overdue(said *claims, remarks *auth.Remarks, refused error) *auth.Remarks {
	if refused != nil || said.Bound.WarnAfter == 0 {
		return remarks
	}
	now, after := c.Clock.Now(), said.Bound.WarnAfter.time()
	if !now.After(after) {
		c.Metrics.count(func(m *Metrics) prometheus.Counter { return m.fresh })
		return remarks
	}
	c.Metrics.count(func(m *Metrics) prometheus.Counter { return m.stale })
	return remarks.Annotate(remarkPrefix+"stale-token", fmt.Sprintf("subject: %s, seconds after warning threshold: %d", said.Subject, now.Unix()-after.Unix()))
}

// holds says why a token that is bound to obj is not good; failed says why there is no obj.
func holds(kind, claim string, obj metav1.Object, failed error, want *Ref, now time.Time) error {
	switch {
	case failed != nil:
		return errInvalidated
	case string(obj.GetUID()) != want.UID:
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, obj.GetUID(), claim, want.UID)
	case gone(obj, now):
		return errInvalidated
	}
	return nil
}

var errInvalidated = errors.New("service account token has been invalidated")

// gone says whether obj has been deleted for longer than clocks may differ.
func gone(obj metav1.Object, now time.Time) bool {
	at := obj.GetDeletionTimestamp()
	return at != nil && at.Time.Before(now.Add(-leeway))
}

// user is who a bound token is of.
func user(b *Bound, id string) auth.User {
	u := accountUser(b.Namespace, b.Account.Name, b.Account.UID)
	extra := func(name, value string) {
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		u.Extra[extraPrefix+name] = []string{value}
	}
	if b.Pod != nil && b.Pod.Name != "" && b.Pod.UID != "" {
		extra("pod-name", b.Pod.Name)
		extra("pod-uid", b.Pod.UID)
	}
	if id != "" {
		extra("credential-id", "JTI="+id)
	}
	if b.Node != nil && b.Node.Name != "" {
		extra("node-name", b.Node.Name)
		if b.Node.UID != "" {
			extra("node-uid", b.Node.UID)
		}
	}
	return u
}

func accountUser(namespace, name, uid string) auth.User {
	return auth.User{
		Name: userName(namespace, name), UID: uid,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, auth.Authenticated},
	}
}
