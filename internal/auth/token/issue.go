package token

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Wish is what a token shall say.
type Wish struct {
	Bound
	Audiences []string
	Now       time.Time
	Life      time.Duration
	// WarnAfter is when use of the token is to be noted as late, from Now; 0: never.
	WarnAfter time.Duration
}

// Issuer makes tokens. It is safe for concurrent use.
type Issuer struct {
	name   string
	signer Signing
}

// NewIssuer returns the issuer of a name, which its tokens carry.
func NewIssuer(name string, signer Signing) *Issuer { return &Issuer{name, signer} }

// Issue returns a token, and its id.
func (i *Issuer) Issue(ctx context.Context, w Wish) (token, id string, err error) {
	bound := w.Bound
	if w.WarnAfter != 0 {
		bound.WarnAfter = date(w.Now.Add(w.WarnAfter).Unix())
	}
	now := date(w.Now.Unix())
	c := claims{
		Audience: w.Audiences, Expiry: date(w.Now.Add(w.Life).Unix()), IssuedAt: now, NotBefore: now, Issuer: i.name, ID: uuid.NewString(),
		Subject: userName(bound.Namespace, bound.Account.Name), Bound: &bound,
	}
	token, err = i.sign(ctx, c)
	return token, c.ID, err
}

// IssueLegacy returns the token that a secret of an account holds. It does not end by itself.
func (i *Issuer) IssueLegacy(ctx context.Context, namespace string, account Ref, secret string) (string, error) {
	return i.sign(ctx, claims{
		Issuer: legacyIssuer, Subject: userName(namespace, account.Name),
		LegacyNamespace: namespace, LegacyName: account.Name, LegacyUID: account.UID, LegacySecret: secret,
	})
}

func (i *Issuer) sign(ctx context.Context, c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", c.Subject, err)
	}
	return i.signer.Sign(ctx, payload)
}
