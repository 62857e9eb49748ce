package cluster

import (
	"bytes"
	"context"
	"time"

	"github.com/floe-k8s/floe/internal/pki"
)

const (
	adminName       = "kubernetes-admin"
	kubeconfigEvery = time.Hour // between two looks whether the administrator's certificate is another; a third of its life is left then
)

// Administrator is how the cluster's administrator reaches the API: what admin.kubeconfig says.
type Administrator struct {
	URL        string       // on this machine
	ServerName string       // that the API's certificate must name; empty: URL's host
	Authority  []byte       // PEM of the certificate that the API's comes from
	Identity   pki.Identity // of the administrator, for a year
}

// kubeconfigs are the files that are the administrator's way in. They are used by one goroutine.
type kubeconfigs struct {
	files   []string
	own     *pki.Renewed
	content func(pki.Identity) ([]byte, error)
	written []byte // the certificate (PEM) that is in the files
}

// writeKubeconfigs makes the files, and what keeps them good.
func (s *server) writeKubeconfigs() (*kubeconfigs, error) {
	own, err := s.renewer(adminName, func() (pki.Identity, error) { return s.authority.Client(adminName, "system:masters") })
	if err != nil {
		return nil, err
	}
	name := ""
	if s.Config.Serving.ownCertificate() {
		name = ownName // the authority in the file knows nothing of the certificate that others get
	}
	s.admin = Administrator{URL: s.localURL(), ServerName: name, Authority: s.authority.CertPEM(), Identity: own.Identity()}
	k := &kubeconfigs{files: []string{s.dir.join(adminKubeconfig)}, own: own, content: func(id pki.Identity) ([]byte, error) {
		return pki.Kubeconfig("floe", s.localURL(), name, s.authority.CertPEM(), id)
	}}
	if copied := s.Config.WriteKubeconfig; copied != "" {
		k.files = append(k.files, copied)
	}
	return k, k.write()
}

// write writes the files, unless they hold the newest certificate.
func (k *kubeconfigs) write() error {
	id := k.own.Identity()
	if bytes.Equal(id.CertPEM, k.written) {
		return nil
	}
	data, err := k.content(id)
	if err != nil {
		return err
	}
	for _, file := range k.files {
		if err := pki.WriteFile(file, data, 0o600); err != nil {
			return err
		}
	}
	k.written = id.CertPEM
	return nil
}

// keepKubeconfigs writes the files again when their certificate is renewed, until ctx ends.
func (s *server) keepKubeconfigs(k *kubeconfigs) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		return s.repeat(ctx, kubeconfigEvery, func() {
			if err := k.write(); err != nil {
				s.Log.Error("the administrator's kubeconfig file cannot be written with its new certificate, and is tried again", "again", kubeconfigEvery, "err", err)
			}
		})
	}
}
