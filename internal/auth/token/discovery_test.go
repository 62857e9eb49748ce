package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// TestDiscovery: the documents, byte for byte as upstream's go-jose writes them.
func TestDiscovery(t *testing.T) {
	point, err := hex.DecodeString("04" + // the curve's base point (SEC 2, 2.4.2), uncompressed
		"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := NewKey(public)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := NewKey(&rsa.PublicKey{N: big.NewInt(0xABCDEF), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	ec.ID, rs.ID = "one", "two"
	document, keys, err := Discovery("https://me", "", "10.0.0.1:6443", []Key{rs, ec})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"issuer":"https://me","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],` +
		`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]}`; string(document) != want {
		t.Errorf("got  %s\nwant %s", document, want)
	}
	if want := `{"keys":[{"use":"sig","kty":"RSA","kid":"two","alg":"RS256","n":"q83v","e":"AQAB"},{"use":"sig","kty":"EC","kid":"one","crv":"P-256","alg":"ES256",` +
		`"x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}`; string(keys) != want {
		t.Errorf("got  %s\nwant %s", keys, want)
	}
}

// TestNoDiscovery: only an https URL without query and fragment can be found.
func TestNoDiscovery(t *testing.T) {
	for _, c := range []struct{ issuer, keys, want string }{
		{"", "", "empty issuer URL"},
		{"me", "", "issuer URL must use https scheme, got: me"},
		{"http://me", "", "issuer URL must use https scheme, got: http://me"},
		{"https://me?a=b", "", "issuer URL may not include a query"},
		{"https://me#a", "", "issuer URL may not include a fragment"},
		{"https://me%zz", "", "invalid URL escape"},
		{"https://me", "http://keys", "jwksURI requires https scheme, parsed as: http://keys"},
		{"https://me", "://", "missing protocol scheme"},
	} {
		if _, _, err := Discovery(c.issuer, c.keys, "host", nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("issuer %q, keys %q: got %v, want %q", c.issuer, c.keys, err, c.want)
		}
	}
}
