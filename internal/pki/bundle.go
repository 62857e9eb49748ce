package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// bundlePause is how often a bundle's file is looked at, at most: those who use one do so with each request.
const bundlePause = time.Second

// Bundle is the certificates of authorities in a PEM file, which is read again when it changes, and some that are always among them. While the file cannot be
// read, its last content holds. It is safe for concurrent use.
type Bundle struct {
	file   string
	always []*x509.Certificate
	clock  clock.PassiveClock
	log    *slog.Logger
	looked atomic.Int64 // when the file was looked at last, in nanoseconds; whoever sets it looks
	now    atomic.Pointer[bundled]
}

// bundled is one content. It is immutable.
type bundled struct {
	time  time.Time
	size  int64
	certs []*x509.Certificate // of the file
	pool  *x509.CertPool
}

// OpenBundle reads a file.
func OpenBundle(file string, always []*x509.Certificate, clk clock.PassiveClock, log *slog.Logger) (*Bundle, error) {
	b := &Bundle{file: file, always: always, clock: clk, log: log}
	b.looked.Store(clk.Now().UnixNano())
	return b, b.load()
}

// Certificates are those that the file holds now.
func (b *Bundle) Certificates() []*x509.Certificate { return b.now.Load().certs }

// Pool is all of them. It stays the same pool until they change.
func (b *Bundle) Pool() *x509.CertPool {
	last, now := b.looked.Load(), b.clock.Now().UnixNano()
	if now-last >= int64(bundlePause) && b.looked.CompareAndSwap(last, now) {
		if err := b.load(); err != nil {
			b.log.Warn("authorities cannot be read again, and those before hold", "file", b.file, "err", err)
		}
	}
	return b.now.Load().pool
}

func (b *Bundle) load() error {
	info, err := os.Stat(b.file)
	if err != nil {
		return err
	}
	if old := b.now.Load(); old != nil && old.time.Equal(info.ModTime()) && old.size == info.Size() {
		return nil
	}
	data, err := os.ReadFile(b.file)
	if err != nil {
		return err
	}
	certs, err := ParseCertificates(data)
	if err != nil {
		return fmt.Errorf("%s: %w", b.file, err)
	}
	next := &bundled{time: info.ModTime(), size: info.Size(), certs: certs, pool: x509.NewCertPool()}
	for _, list := range [][]*x509.Certificate{b.always, certs} {
		for _, c := range list {
			next.pool.AddCert(c)
		}
	}
	b.now.Store(next)
	return nil
}

// ParseCertificates reads all certificates of a PEM file, of which there must be one. Blocks of other types are passed over.
func ParseCertificates(data []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("data does not contain any valid RSA or ECDSA certificates")
	}
	return list, nil
}
