// Package pki makes and keeps the cluster's authority, and the certificates and kubeconfig files that come from it.
//
// # Vocabulary
//
// The authority is the one key that signs everything in a cluster: ca.crt and ca.key in the data directory; only by whom servers of aggregated APIs know this
// one is signed by another, front-proxy-ca.crt and front-proxy-ca.key. A leaf is a certificate
// that it signed, for a server (names and addresses) or a client (a user name as common name, groups as organizations). An
// identity is a leaf with its key.
//
// # Laws
//
//   - ca.key, front-proxy-ca.key, and sa.key that signs tokens, are readable by their owner only (0600), are never logged, and are written whole or not at all.
//   - An authority that is there is used as it is; one that is damaged, half there or expired stops the start with the file's name. It is
//     never replaced silently: every client out there trusts it.
//   - Leaves live in memory, and are made anew at each start and after two thirds of their lives (Renewed). The one that stands on disk, in the
//     administrator's kubeconfig file, is written again then: nothing on disk but the authority expires while a server runs.
//
// # What it leaves to others
//
// Who a certificate's user is allowed to be is said by auth.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/utils/clock"
)

// Lifetimes, and how far back a certificate begins so that machines whose clocks differ a little accept it.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	backdate      = 5 * time.Minute
)

// Authority signs leaves. It is safe for concurrent use.
type Authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	clock clock.PassiveClock
}

// Identity is a leaf and its key in PEM.
type Identity struct {
	CertPEM, KeyPEM []byte
}

// Open reads the authority in dir (ca.crt, ca.key), or makes one when neither file is there.
func Open(dir string, clk clock.PassiveClock) (*Authority, error) {
	return open(dir, "ca", "kubernetes", clk)
}

// OpenFrontProxy is Open for the authority of front proxies, which the cluster's servers of aggregated APIs believe when they are told of users: an authority of
// its own (front-proxy-ca.crt, front-proxy-ca.key), since who has a certificate of it can be anybody.
func OpenFrontProxy(dir string, clk clock.PassiveClock) (*Authority, error) {
	return open(dir, "front-proxy-ca", "front-proxy-ca", clk)
}

func open(dir, file, name string, clk clock.PassiveClock) (*Authority, error) {
	certFile, keyFile := filepath.Join(dir, file+".crt"), filepath.Join(dir, file+".key")
	certPEM, certErr := os.ReadFile(certFile)
	keyPEM, keyErr := os.ReadFile(keyFile)
	switch {
	case errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		return create(certFile, keyFile, name, clk)
	case certErr != nil:
		return nil, fmt.Errorf("certificate authority: %w (restore it from a backup, or move %s away to make a new authority that no present client trusts)", certErr, keyFile)
	case keyErr != nil:
		return nil, fmt.Errorf("certificate authority: %w (restore it from a backup, or move %s away to make a new authority that no present client trusts)", keyErr, certFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s, %s: %w", certFile, keyFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("certificate authority %s: the key is a %T, want ECDSA", keyFile, pair.PrivateKey)
	}
	a := &Authority{cert: pair.Leaf, key: key, clock: clk}
	return a, a.check(certFile)
}

func (a *Authority) check(file string) error {
	now := a.clock.Now()
	switch {
	case !a.cert.IsCA:
		return fmt.Errorf("certificate authority %s: the certificate is not an authority's", file)
	case now.After(a.cert.NotAfter):
		return fmt.Errorf("certificate authority %s: expired on %s", file, a.cert.NotAfter.Format(time.RFC3339))
	case now.Before(a.cert.NotBefore):
		return fmt.Errorf("certificate authority %s: not valid before %s; is this machine's clock right?", file, a.cert.NotBefore.Format(time.RFC3339))
	}
	return nil
}

func create(certFile, keyFile, name string, clk clock.PassiveClock) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	tmpl, err := template(clk, name, nil, authorityLife)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority back: %w", err)
	}
	id, err := encode(der, key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return nil, err
	}
	// The key first: a certificate without its key is the one half that Open could mistake for a lost authority.
	if err := WriteFile(keyFile, id.KeyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := WriteFile(certFile, id.CertPEM, 0o644); err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, clock: clk}, nil
}

// CertPEM is the authority's certificate, which clients trust.
func (a *Authority) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Certificate is the same, shared and not to be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pool is a pool that holds just the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Server makes an identity for a server known by names and addresses.
func (a *Authority) Server(name string, names []string, addresses []net.IP) (Identity, error) {
	tmpl, err := template(a.clock, name, nil, leafLife)
	if err != nil {
		return Identity{}, err
	}
	tmpl.DNSNames, tmpl.IPAddresses = names, addresses
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.sign(tmpl)
}

// Client makes an identity for a user in groups.
func (a *Authority) Client(user string, groups ...string) (Identity, error) {
	tmpl, err := template(a.clock, user, groups, leafLife)
	if err != nil {
		return Identity{}, err
	}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(tmpl)
}

// NotAfter is when the authority ends, and all that it signed with it.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Certify signs a certificate for a key that others hold, and returns it in DER. All but the serial number, which it chooses and sets, is tmpl's.
func (a *Authority) Certify(tmpl *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	var err error
	if tmpl.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", tmpl.Subject.CommonName, err)
	}
	return der, nil
}

func serial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	return n, nil
}

func (a *Authority) sign(tmpl *x509.Certificate) (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("making a key for %s: %w", tmpl.Subject.CommonName, err)
	}
	if tmpl.NotAfter.After(a.cert.NotAfter) {
		tmpl.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Identity{}, fmt.Errorf("signing a certificate for %s: %w", tmpl.Subject.CommonName, err)
	}
	return encode(der, key)
}

func template(clk clock.PassiveClock, name string, groups []string, life time.Duration) (*x509.Certificate, error) {
	number, err := serial()
	if err != nil {
		return nil, err
	}
	now := clk.Now().UTC()
	return &x509.Certificate{
		SerialNumber: number,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

func encode(der []byte, key *ecdsa.PrivateKey) (Identity, error) {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Identity{}, fmt.Errorf("encoding a key: %w", err)
	}
	return Identity{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// TLS is the identity as crypto/tls takes it.
func (id Identity) TLS() (tls.Certificate, error) { return tls.X509KeyPair(id.CertPEM, id.KeyPEM) }
