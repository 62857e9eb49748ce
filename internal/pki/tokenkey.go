package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TokenKey returns the PEM of the private key that signs tokens of service accounts: sa.key in dir, which is made (P-256, 0600) when it is not there. One that
// is there is not looked into: who signs says what is wrong with it.
func TokenKey(dir string) ([]byte, error) {
	file := filepath.Join(dir, "sa.key")
	data, err := os.ReadFile(file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key that signs tokens: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the key that signs tokens: %w", err)
	}
	data = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return data, WriteFile(file, data, 0o600)
}
