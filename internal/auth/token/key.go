package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	// The hashes of the algorithms.
	_ "crypto/sha512"
)

// Key is a public key that signatures are checked with. It is immutable.
type Key struct {
	ID        string
	Algorithm string // RS256, ES256, ES384 or ES512; "": none that tokens are signed with
	Public    crypto.PublicKey
	// Hidden: signatures by it are still good, but it makes no more of them, and others are not told of it.
	Hidden bool
	hash   crypto.Hash
	size   int // of half an ECDSA signature, in bytes
}

// NewKey returns the key of an *rsa.PublicKey or *ecdsa.PublicKey.
func NewKey(public crypto.PublicKey) (Key, error) {
	k := Key{Public: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		k.Algorithm, k.hash = "RS256", crypto.SHA256
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			k.Algorithm, k.hash, k.size = "ES256", crypto.SHA256, 32
		case elliptic.P384():
			k.Algorithm, k.hash, k.size = "ES384", crypto.SHA384, 48
		case elliptic.P521():
			k.Algorithm, k.hash, k.size = "ES512", crypto.SHA512, 66
		default:
			return Key{}, errors.New("unknown private key curve, must be 256, 384, or 521")
		}
	default:
		return Key{}, fmt.Errorf("unknown key type %T, must be RSA or ECDSA", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("failed to serialize public key to DER format: %w", err)
	}
	sum := sha256.Sum256(der)
	k.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}

// verify says whether signature is the key's of signed.
func (k *Key) verify(signed, signature []byte) bool {
	h := k.hash.New()
	h.Write(signed)
	digest := h.Sum(nil)
	switch p := k.Public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, k.hash, digest, signature) == nil
	case *ecdsa.PublicKey: // RFC 7518 section 3.4: the two numbers, each as long as the curve's
		if len(signature) != 2*k.size {
			return false
		}
		return ecdsa.Verify(p, digest, new(big.Int).SetBytes(signature[:k.size]), new(big.Int).SetBytes(signature[k.size:]))
	}
	return false
}

// Signing makes the token of a payload, signed. It must be safe for concurrent use.
type Signing interface {
	Sign(ctx context.Context, payload []byte) (string, error)
}

var _ Signing = (*Signer)(nil)

// Signer signs tokens with a private key. It is safe for concurrent use.
type Signer struct {
	Key
	private crypto.Signer
	header  string // of every token, encoded
}

// NewSigner returns the signer of an *rsa.PrivateKey or *ecdsa.PrivateKey.
func NewSigner(private crypto.PrivateKey) (*Signer, error) {
	s, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("unknown private key type %T, must be *rsa.PrivateKey or *ecdsa.PrivateKey", private)
	}
	key, err := NewKey(s.Public())
	if err != nil {
		return nil, err
	}
	header := fmt.Sprintf(`{"alg":%q,"kid":%q}`, key.Algorithm, key.ID)
	return &Signer{Key: key, private: s, header: base64.RawURLEncoding.EncodeToString([]byte(header))}, nil
}

// Sign implements Signing. It asks nobody.
func (s *Signer) Sign(_ context.Context, payload []byte) (string, error) {
	signed := s.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	h := s.hash.New()
	h.Write([]byte(signed))
	digest := h.Sum(nil)
	var signature []byte
	switch p := s.private.(type) {
	case *ecdsa.PrivateKey:
		a, b, err := ecdsa.Sign(rand.Reader, p, digest)
		if err != nil {
			return "", err
		}
		signature = make([]byte, 2*s.size)
		a.FillBytes(signature[:s.size])
		b.FillBytes(signature[s.size:])
	default:
		var err error
		if signature, err = s.private.Sign(rand.Reader, digest, s.hash); err != nil {
			return "", err
		}
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// ParseSigner reads the first private key of a PEM file: PKCS #1, PKCS #8 or SEC 1.
func ParseSigner(data []byte) (*Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if private := privateKey(block); private != nil {
			return NewSigner(private)
		}
	}
	return nil, errors.New("data does not contain a valid RSA or ECDSA private key")
}

// ParseKeys reads all keys of a PEM file: public ones, certificates' and those of private keys. Blocks of other types are passed over.
func ParseKeys(data []byte) ([]Key, error) {
	var list []Key
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		public := publicKey(block)
		if public == nil {
			continue
		}
		key, err := NewKey(public)
		if err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	if len(list) == 0 {
		return nil, errors.New("data does not contain any valid RSA or ECDSA public keys")
	}
	return list, nil
}

// privateKey is the block's; nil: it is none of a kind that signs tokens.
func privateKey(block *pem.Block) crypto.PrivateKey {
	switch block.Type {
	case "RSA PRIVATE KEY":
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key
		}
	case "EC PRIVATE KEY":
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key
		}
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil
		}
		switch key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey:
			return key
		}
	}
	return nil
}

func publicKey(block *pem.Block) crypto.PublicKey {
	if private := privateKey(block); private != nil {
		return private.(crypto.Signer).Public()
	}
	var key any
	if pkix, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		key = pkix
	} else if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
		key = cert.PublicKey
	} else if pkcs1, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		key = pkcs1
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return key
	}
	return nil
}
