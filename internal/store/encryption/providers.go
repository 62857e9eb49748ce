package encryption

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"
)

// provider seals values with one key. It is safe for concurrent use.
type provider interface {
	// seal returns what stands after the prefix.
	seal(key string, plain []byte) ([]byte, error)
	// open returns what seal was given for the same key; stale: it should be sealed anew.
	open(key string, sealed []byte) (plain []byte, stale bool, err error)
}

// marker begins every sealed value.
const marker = "k8s:enc:"

var (
	errShort   = errors.New("the stored data was shorter than the required size")
	errSealed  = errors.New("identity transformer tried to read encrypted data")
	errPadding = errors.New("invalid padding on input")
	errForged  = errors.New("output array was not authenticated: another key, another object, or changed")
)

// identity leaves values as they are.
type identity struct{}

func (identity) seal(_ string, plain []byte) ([]byte, error) { return plain, nil }

func (identity) open(_ string, stored []byte) ([]byte, bool, error) {
	if bytes.HasPrefix(stored, []byte(marker)) {
		return nil, false, errSealed
	}
	return stored, false, nil
}

// gcm is AES-GCM with a random nonce, bound to the object's key.
type gcm struct{ aead cipher.AEAD }

func newGCM(secret []byte) (*gcm, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &gcm{aead}, err
}

func (g *gcm) seal(key string, plain []byte) ([]byte, error) {
	return g.append(make([]byte, 0, g.aead.NonceSize()+len(plain)+g.aead.Overhead()), key, plain), nil
}

// append appends nonce and sealed value to dst.
func (g *gcm) append(dst []byte, key string, plain []byte) []byte {
	nonce := make([]byte, g.aead.NonceSize())
	random(nonce)
	return g.aead.Seal(append(dst, nonce...), nonce, plain, []byte(key))
}

func (g *gcm) open(key string, sealed []byte) ([]byte, bool, error) {
	n := g.aead.NonceSize()
	if len(sealed) < n {
		return nil, false, errShort
	}
	plain, err := g.aead.Open(nil, sealed[:n], sealed[n:], []byte(key))
	if err != nil {
		return nil, false, errForged
	}
	return plain, false, nil
}

// cbc is AES-CBC with PKCS #7 padding. Nothing tells that a value was changed.
type cbc struct{ block cipher.Block }

func newCBC(secret []byte) (*cbc, error) {
	block, err := aes.NewCipher(secret)
	return &cbc{block}, err
}

func (c *cbc) seal(_ string, plain []byte) ([]byte, error) {
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, aes.BlockSize, aes.BlockSize+len(plain)+padding)
	random(out)
	out = append(append(out, plain...), bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(c.block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out, nil
}

func (c *cbc) open(_ string, sealed []byte) ([]byte, bool, error) {
	if len(sealed) < 2*aes.BlockSize {
		return nil, false, errShort
	}
	if len(sealed)%aes.BlockSize != 0 {
		return nil, false, errors.New("the stored data is not a multiple of the block size")
	}
	out := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(c.block, sealed[:aes.BlockSize]).CryptBlocks(out, sealed[aes.BlockSize:])
	n := int(out[len(out)-1])
	if n == 0 || n > aes.BlockSize || subtle.ConstantTimeCompare(out[len(out)-n:], bytes.Repeat([]byte{byte(n)}, n)) != 1 {
		return nil, false, errPadding
	}
	return out[:len(out)-n], false, nil
}

const boxNonce = 24

// box is NaCl's secretbox.
type box struct{ secret [32]byte }

func (b *box) seal(_ string, plain []byte) ([]byte, error) {
	var nonce [boxNonce]byte
	random(nonce[:])
	return secretbox.Seal(append(make([]byte, 0, boxNonce+secretbox.Overhead+len(plain)), nonce[:]...), plain, &nonce, &b.secret), nil
}

func (b *box) open(_ string, sealed []byte) ([]byte, bool, error) {
	if len(sealed) < boxNonce+secretbox.Overhead {
		return nil, false, errShort
	}
	plain, ok := secretbox.Open(nil, sealed[boxNonce:], (*[boxNonce]byte)(sealed), &b.secret)
	if !ok {
		return nil, false, errForged
	}
	return plain, false, nil
}

// random fills b from the system's source, which does not fail.
func random(b []byte) { _, _ = rand.Read(b) }
