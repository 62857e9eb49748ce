package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// logFolder is where the log lies in the data directory.
const logFolder = "log"

// through is how etcd is reached; nil: as the configuration says. openLog opens the cluster's log: in etcd when servers are named, else in the directory dir. The revisions of a new one begin above base.
func (e Environment) openLog(dir string, base store.Revision, codec store.Codec, through *egress.Selector) (store.Log, error) {
	if len(e.Config.Store.Etcd.Servers) == 0 {
		return e.openLocal(dir, base, codec)
	}
	config, err := e.Config.Store.Etcd.tls()
	if err != nil {
		return nil, err
	}
	if through == nil {
		if through, err = egress.Read(e.Config.API.EgressSelectorConfigFile, egress.NewMetrics(), e.Clock); err != nil {
			return nil, fmt.Errorf("api.egressSelectorConfigFile: %w", err)
		}
	}
	log, err := etcd.Open(etcd.Options{
		Endpoints: e.Config.Store.Etcd.Servers, TLS: config, Dial: through.To(egress.Etcd), Clock: e.Clock, Log: e.Log, Base: base, Codec: codec, History: e.Config.Store.HistoryAge.Duration,
	})
	if err != nil {
		return nil, err
	}
	return log, nil
}

func (e Environment) openLocal(dir string, base store.Revision, codec store.Codec) (*pebble.Log, error) {
	return pebble.Open(pebble.Options{
		Dir: dir, FS: e.Files, Clock: e.Clock, Log: e.Log, Base: base, Codec: codec,
		History: pebble.History{Age: e.Config.Store.HistoryAge.Duration, Bytes: e.Config.Store.HistoryBytes.Value()},
		Space:   pebble.Space{Free: e.Config.Store.MinFreeBytes.Value()},
	})
}

// tls is how the members are trusted and the server shows itself; nil: in the clear.
func (e Etcd) tls() (*tls.Config, error) {
	if e.CAFile == "" && e.CertFile == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		pem, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, fmt.Errorf("store.etcd.caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("store.etcd.caFile: %s holds no certificate", e.CAFile)
		}
	}
	if e.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("store.etcd.certFile: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}
