package token

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
)

// Where others find out about the issuer of a cluster's tokens (OpenID Connect Discovery 1.0, RFC 7517), and for how many seconds what they find is good.
const (
	DiscoveryPath   = "/.well-known/openid-configuration"
	KeysPath        = "/openid/v1/jwks"
	DiscoveryMaxAge = 3600
)

// Discovery returns the two documents by which others can check the tokens of an issuer. keysURI is where they get the second; "": from host, a name or
// address with its port. The error says why an issuer of that name cannot be found: it must be an https URL.
func Discovery(issuer, keysURI, host string, keys []Key) (document, keySet []byte, err error) {
	at, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return nil, nil, errors.New("empty issuer URL")
	case err != nil:
		return nil, nil, err
	case at.Scheme != "https":
		return nil, nil, fmt.Errorf("issuer URL must use https scheme, got: %s", issuer)
	case at.RawQuery != "":
		return nil, nil, fmt.Errorf("issuer URL may not include a query, got: %s", issuer)
	case at.Fragment != "":
		return nil, nil, fmt.Errorf("issuer URL may not include a fragment, got: %s", issuer)
	}
	if keysURI == "" {
		keysURI = (&url.URL{Scheme: "https", Host: host, Path: KeysPath}).String()
	}
	if u, err := url.Parse(keysURI); err != nil {
		return nil, nil, err
	} else if u.Scheme != "https" {
		return nil, nil, fmt.Errorf("jwksURI requires https scheme, parsed as: %v", u)
	}
	found := provider{Issuer: issuer, KeysURI: keysURI, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"}}
	set := struct {
		Keys []webKey `json:"keys"`
	}{}
	for i := range keys {
		set.Keys = append(set.Keys, webKeyOf(&keys[i]))
		found.Algorithms = append(found.Algorithms, keys[i].Algorithm)
	}
	slices.Sort(found.Algorithms)
	found.Algorithms = slices.Compact(found.Algorithms)
	if document, err = json.Marshal(found); err != nil {
		return nil, nil, fmt.Errorf("the document of issuer %s: %w", issuer, err)
	}
	if keySet, err = json.Marshal(set); err != nil {
		return nil, nil, fmt.Errorf("the keys of issuer %s: %w", issuer, err)
	}
	return document, keySet, nil
}

// provider is an issuer, as OpenID Connect Discovery 1.0 section 3 has it; the cluster has no way to log in.
type provider struct {
	Issuer        string   `json:"issuer"`
	KeysURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// webKey is a key as RFC 7517 section 4 and RFC 7518 section 6 have it, with the fields in upstream's order.
type webKey struct {
	Use       string `json:"use"`
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Curve     string `json:"crv,omitempty"`
	Algorithm string `json:"alg"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

func webKeyOf(k *Key) webKey {
	w := webKey{Use: "sig", ID: k.ID, Algorithm: k.Algorithm}
	text := base64.RawURLEncoding.EncodeToString
	switch p := k.Public.(type) {
	case *rsa.PublicKey:
		w.Type, w.N, w.E = "RSA", text(p.N.Bytes()), text(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		w.Type, w.Curve = "EC", p.Params().Name
		if point, err := p.Bytes(); err == nil { // 4, then both numbers, each as long as the curve's
			w.X, w.Y = text(point[1:1+k.size]), text(point[1+k.size:])
		}
	}
	return w
}
