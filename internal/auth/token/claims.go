package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/floe-k8s/floe/internal/auth"
)

// Ref names an object that a token is bound to.
type Ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// Bound is what the claim kubernetes.io says.
type Bound struct {
	Namespace string `json:"namespace,omitempty"`
	Node      *Ref   `json:"node,omitempty"`
	Pod       *Ref   `json:"pod,omitempty"`
	Secret    *Ref   `json:"secret,omitempty"`
	Account   Ref    `json:"serviceaccount"`
	WarnAfter date   `json:"warnafter,omitempty"`
}

// claims are all that is read of a token.
type claims struct {
	Audience  audiences `json:"aud,omitempty"`
	Expiry    date      `json:"exp,omitempty"`
	IssuedAt  date      `json:"iat,omitempty"`
	Issuer    string    `json:"iss,omitempty"`
	ID        string    `json:"jti,omitempty"`
	Bound     *Bound    `json:"kubernetes.io,omitempty"`
	NotBefore date      `json:"nbf,omitempty"`
	Subject   string    `json:"sub,omitempty"`

	// Of tokens that stand in secrets.
	LegacyNamespace string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	LegacySecret    string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	LegacyName      string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	LegacyUID       string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

// date is seconds since 1970; 0: not said.
type date int64

// UnmarshalJSON reads any number, as RFC 7519 section 2 allows fractions, which count for nothing.
func (d *date) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var f float64
	if err := json.Unmarshal(data, &f); err != nil {
		return errors.New("a date of the token is no number")
	}
	if math.Abs(f) > 1<<53 {
		return fmt.Errorf("a date of the token is out of range: %v", f)
	}
	*d = date(f)
	return nil
}

func (d date) time() time.Time { return time.Unix(int64(d), 0) }

// audiences are one string or a list of them.
type audiences []string

// UnmarshalJSON reads both forms.
func (a *audiences) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		*a = make([]string, 1)
		return json.Unmarshal(data, &(*a)[0])
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func unmarshal(payload []byte, into *claims) error {
	if err := json.Unmarshal(payload, into); err != nil {
		return errors.New("the claims of the token cannot be read")
	}
	return nil
}

var errMalformed = errors.New("the token is not made as one is")

// parts are a token's, decoded but not believed.
type parts struct {
	algorithm, keyID string
	issuer           string
	payload          []byte
	signed           []byte // what the signature is of
	signature        []byte
}

// parse takes a token apart. It reads nothing of one that is too long.
func parse(token string) (p parts, err error) {
	if len(token) > auth.MaxTokenLength || strings.Count(token, ".") != 2 {
		return p, errMalformed
	}
	end := strings.LastIndexByte(token, '.')
	header, body, _ := strings.Cut(token[:end], ".")
	decode := func(s string) []byte {
		data, failed := base64.RawURLEncoding.Strict().DecodeString(s)
		if failed != nil || len(data) == 0 || strings.ContainsAny(s, "\r\n") { // which the decoder would pass over
			err = errMalformed
		}
		return data
	}
	first, payload, signature := decode(header), decode(body), decode(token[end+1:])
	if err != nil {
		return p, err
	}
	var h struct {
		Algorithm string          `json:"alg"`
		KeyID     string          `json:"kid"`
		Critical  json.RawMessage `json:"crit"` // RFC 7515 section 4.1.11: what is critical and not understood is refused
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(first, &h) != nil || h.Critical != nil || json.Unmarshal(payload, &c) != nil {
		return p, errMalformed
	}
	return parts{h.Algorithm, h.KeyID, c.Issuer, payload, []byte(token[:end]), signature}, nil
}
