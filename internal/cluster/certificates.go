package cluster

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	cliflag "k8s.io/component-base/cli/flag"
)

// certificates are what the API can show itself with. They are chosen as kube-apiserver does: by a name that was given for one, then by a name that stands
// in one, then by the same with a * for the first label; without a name by the address that was dialled; else the default. An earlier one comes first.
type certificates struct {
	own  func() *tls.Certificate // of the cluster's authority; also the default when there is no other
	main *keyPair                // nil: own
	more []*keyPair
}

// keyPair is a certificate in two files. It is safe for concurrent use.
type keyPair struct {
	certFile, keyFile string
	names             []string // that it was given for; nil: those that stand in it
	log               *slog.Logger

	mu   sync.Mutex
	seen [2]stamp         // guarded by mu: of the files that were looked at last, whole or not
	cert *tls.Certificate // guarded by mu: the last whole one; nil before open
}

// stamp tells one content of a file from the next.
type stamp struct {
	time time.Time
	size int64
}

func stampOf(file string) (stamp, error) {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

func (v *Serving) certificates(own func() *tls.Certificate, log *slog.Logger) (*certificates, error) {
	list := &certificates{own: own}
	open := func(certFile, keyFile string, names []string) (*keyPair, error) {
		pair := &keyPair{certFile: certFile, keyFile: keyFile, names: names, log: log}
		if err := pair.load(); err != nil {
			return nil, err
		}
		return pair, nil
	}
	var err error
	if v.TLSCertFile != "" {
		if list.main, err = open(v.TLSCertFile, v.TLSPrivateKeyFile, nil); err != nil {
			return nil, fmt.Errorf("serving.tlsCertFile: %w", err)
		}
	}
	for _, text := range v.TLSSNICertKeys {
		var named cliflag.NamedCertKey
		if err := named.Set(text); err != nil {
			return nil, fmt.Errorf("serving.tlsSNICertKeys: %q: %w", text, err)
		}
		pair, err := open(named.CertFile, named.KeyFile, named.Names)
		if err != nil {
			return nil, fmt.Errorf("serving.tlsSNICertKeys: %w", err)
		}
		list.more = append(list.more, pair)
	}
	return list, nil
}

// choose is tls.Config's GetCertificate.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimRight(hello.ServerName, "."))
	if name == ownName {
		return c.own(), nil
	}
	candidates := []string{name}
	if _, rest, ok := strings.Cut(name, "."); ok {
		candidates = append(candidates, "*."+rest)
	}
	if name == "" {
		host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
		if err != nil {
			return nil, fmt.Errorf("the address that a client dialled: %w", err)
		}
		candidates = []string{host}
	}
	for _, name := range candidates {
		if cert := c.named(name); cert != nil {
			return cert, nil
		}
	}
	if c.main == nil {
		return c.own(), nil
	}
	return c.main.current(), nil
}

// named is the first certificate for a name; nil: there is none.
func (c *certificates) named(name string) (within *tls.Certificate) {
	for _, pair := range c.more {
		for _, given := range pair.names {
			if strings.EqualFold(given, name) {
				return pair.current()
			}
		}
		if cert := pair.current(); within == nil && len(pair.names) == 0 && names(cert, name) {
			within = cert
		}
	}
	return within
}

// names says whether a name stands in a certificate. Addresses that stand there are not looked at, as upstream.
func names(cert *tls.Certificate, name string) bool {
	if common := cert.Leaf.Subject.CommonName; strings.EqualFold(common, name) && net.ParseIP(common) == nil &&
		(common == "*" || len(validation.IsDNS1123Subdomain(strings.TrimPrefix(common, "*."))) == 0) {
		return true
	}
	for _, one := range cert.Leaf.DNSNames {
		if strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

// current is the certificate as the files have it now. While they do not go together, such as between the writing of one and of the other, it is the one
// before.
func (k *keyPair) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.loadLocked(); err != nil {
		k.log.Warn("a certificate cannot be read again, and the one before is served", "file", k.certFile, "err", err)
	}
	return k.cert
}

func (k *keyPair) load() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loadLocked()
}

// loadLocked reads the files if they are others than last time.
func (k *keyPair) loadLocked() error {
	var now [2]stamp
	for i, file := range [...]string{k.certFile, k.keyFile} {
		var err error
		if now[i], err = stampOf(file); err != nil {
			if k.cert != nil && k.seen == now {
				return nil // it was said
			}
			k.seen = now
			return err
		}
	}
	if now == k.seen {
		return nil
	}
	k.seen = now
	cert, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", k.certFile, k.keyFile, err)
	}
	k.cert = &cert
	return nil
}
