package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// Drain is how long calls in flight have to end when a server of the pair does: whoever stops it has what it wanted.
const Drain = 50 * time.Millisecond

const (
	askTime  = 5 * time.Second
	maxPlace = 64 << 10 // bytes
)

// Server is the kube-apiserver of the pair: what its flags say that a floe server's do not.
type Server struct {
	// CertDir has apiserver.crt and apiserver.key, which are served unless --tls-cert-file names others; and where etcd is another program's, the server's
	// own directory, "floe".
	CertDir string
	// Choice is what runs.
	Choice Choice
}

// DefaultCertDir is kube-apiserver's.
const DefaultCertDir = "/var/run/kubernetes"

// DefaultConfig is the configuration to which flags are bound.
func DefaultConfig() cluster.Config {
	cfg := cluster.DefaultConfig()
	cfg.Node.Disabled, cfg.Scheduler.Disabled = true, true
	cfg.Controllers.Enabled = cluster.Housekeeping()
	return cfg
}

// Prepare sets in the configuration, to which the flags have been applied and which is not yet complete, what follows from the place of the store and from
// Choice.
func (s Server) Prepare(ctx context.Context, cfg *cluster.Config) (unsynced bool, err error) {
	if err := s.certificate(&cfg.Serving); err != nil {
		return false, err
	}
	if a, err := netip.ParseAddr(cfg.Network.AdvertiseAddress); err == nil && a.IsLoopback() {
		// kube-apiserver takes it, and then cannot write the endpoints of default/kubernetes.
		cfg.Network.AdvertiseAddress, cfg.Network.EndpointReconcilerType = "", "none"
	}
	s.Choice.apply(cfg)
	cfg.DataDir = filepath.Join(s.CertDir, "floe")
	for _, server := range cfg.Store.Etcd.Servers {
		place, ours, err := ask(ctx, server)
		if err != nil {
			return false, err
		}
		if ours {
			cfg.DataDir, cfg.Store.Etcd = place.Directory, cluster.Etcd{}
			return place.Unsynced, nil
		}
	}
	return false, nil
}

// certificate serves the pair in CertDir, as kube-apiserver does. Without one the certificate is of the server's own authority.
func (s Server) certificate(serving *cluster.Serving) error {
	if serving.TLSCertFile != "" || serving.TLSPrivateKeyFile != "" {
		return nil
	}
	cert, key := filepath.Join(s.CertDir, "apiserver.crt"), filepath.Join(s.CertDir, "apiserver.key")
	for _, file := range []string{cert, key} {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return fmt.Errorf("--cert-dir: %w", err)
		}
	}
	serving.TLSCertFile, serving.TLSPrivateKeyFile = cert, key
	return nil
}

// ask asks the etcd at a URL whether it is a Member, and where its store is.
func ask(ctx context.Context, server string) (place Place, ours bool, err error) {
	if !strings.HasPrefix(server, "http://") {
		return place, false, nil // no Member listens there
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+StorePath, nil)
	if err != nil {
		return place, false, fmt.Errorf("--etcd-servers: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return place, false, fmt.Errorf("--etcd-servers: %s does not answer: %w", server, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return place, false, nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxPlace)).Decode(&place); err != nil || !filepath.IsAbs(place.Directory) {
		return place, false, fmt.Errorf("--etcd-servers: %s%s: the answer is no place of a store (%v)", server, StorePath, err)
	}
	return place, true, nil
}

// Run is cluster.Run as the pair needs it.
func Run(ctx context.Context, env cluster.Environment, unsynced bool) error {
	env.Drain = Drain
	if unsynced {
		env.Files = pebble.Unsynced()
	}
	return cluster.Run(ctx, env)
}
