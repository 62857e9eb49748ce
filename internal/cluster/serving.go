package cluster

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	cliflag "k8s.io/component-base/cli/flag"
)

// Serving says how clients' connections to the API are made. Its fields are kube-apiserver's flags.
type Serving struct {
	// TLSCertFile and TLSPrivateKeyFile hold the certificate, with its authorities after it, and its key. They are read again when they change.
	// Default: a certificate of the cluster's authority for this host's names and addresses.
	TLSCertFile       string `json:"tlsCertFile,omitempty"`
	TLSPrivateKeyFile string `json:"tlsPrivateKeyFile,omitempty"`
	// TLSSNICertKeys are further certificates, for clients that ask for their names: "CERTFILE,KEYFILE" or "CERTFILE,KEYFILE:NAME,NAME".
	TLSSNICertKeys []string `json:"tlsSNICertKeys,omitempty"`
	// TLSCipherSuites are the suites of TLS 1.2 that are offered, by their names in crypto/tls. Default: Go's.
	TLSCipherSuites []string `json:"tlsCipherSuites,omitempty"`
	// TLSMinVersion is VersionTLS12 or VersionTLS13 (VersionTLS10 and 11 if need be). Default VersionTLS12.
	TLSMinVersion string `json:"tlsMinVersion,omitempty"`
	// TLSCurvePreferences are the key exchanges that are offered, by their numbers in crypto/tls. Default: Go's.
	TLSCurvePreferences []int32 `json:"tlsCurvePreferences,omitempty"`
	// DisableHTTP2Serving leaves HTTP/1.1 only.
	DisableHTTP2Serving bool `json:"disableHTTP2Serving,omitempty"`
	// PermitPortSharing sets SO_REUSEPORT on the API's port, PermitAddressSharing SO_REUSEADDR.
	PermitPortSharing    bool `json:"permitPortSharing,omitempty"`
	PermitAddressSharing bool `json:"permitAddressSharing,omitempty"`
}

// ownName is what floe's own clients ask for where others get a certificate that is not of the cluster's authority.
const ownName = "kubernetes.floe.internal"

// ownCertificate says that the certificate which clients get is another than the authority's.
func (v *Serving) ownCertificate() bool { return v.TLSCertFile != "" || len(v.TLSSNICertKeys) > 0 }

func (v *Serving) validate() (errs []error) {
	if (v.TLSCertFile == "") != (v.TLSPrivateKeyFile == "") {
		errs = append(errs, fmt.Errorf("serving: tlsCertFile %q and tlsPrivateKeyFile %q: must be given together", v.TLSCertFile, v.TLSPrivateKeyFile))
	}
	if _, err := cliflag.TLSCipherSuites(v.TLSCipherSuites); err != nil {
		errs = append(errs, fmt.Errorf("serving.tlsCipherSuites: %s: %w; must be of %s, or (insecure) %s", strings.Join(v.TLSCipherSuites, ","), err,
			strings.Join(cliflag.PreferredTLSCipherNames(), ", "), strings.Join(cliflag.InsecureTLSCipherNames(), ", ")))
	}
	if _, err := cliflag.TLSVersion(v.TLSMinVersion); err != nil {
		errs = append(errs, fmt.Errorf("serving.tlsMinVersion: %q: %w; must be one of %s", v.TLSMinVersion, err, strings.Join(cliflag.TLSPossibleVersions(), ", ")))
	}
	if _, err := cliflag.TLSCurvePreferences(v.TLSCurvePreferences); err != nil {
		errs = append(errs, fmt.Errorf("serving.tlsCurvePreferences: %v: %w", v.TLSCurvePreferences, err))
	}
	for _, text := range v.TLSSNICertKeys {
		var pair cliflag.NamedCertKey
		if err := pair.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("serving.tlsSNICertKeys: %q: %w; must be CERTFILE,KEYFILE, or CERTFILE,KEYFILE:NAMES", text, err))
		}
	}
	return errs
}

// tls is the server's side of TLS. own, which may change, is served where the files that v names are not for the name that a client asks for. v is valid.
func (v *Serving) tls(own func() *tls.Certificate, log *slog.Logger) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, ClientAuth: tls.RequestClientCert}
	if v.DisableHTTP2Serving {
		config.NextProtos = config.NextProtos[1:]
	}
	var err error
	if v.TLSMinVersion != "" {
		if config.MinVersion, err = cliflag.TLSVersion(v.TLSMinVersion); err != nil {
			return nil, err
		}
	}
	if config.CipherSuites, err = cliflag.TLSCipherSuites(v.TLSCipherSuites); err != nil {
		return nil, err
	}
	if config.CurvePreferences, err = cliflag.TLSCurvePreferences(v.TLSCurvePreferences); err != nil {
		return nil, err
	}
	for _, suite := range config.CipherSuites {
		for name, insecure := range cliflag.InsecureTLSCiphers() {
			if suite == insecure {
				log.Warn("an insecure cipher suite is offered", "suite", name)
			}
		}
	}
	if !v.ownCertificate() {
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own(), nil }
		return config, nil
	}
	list, err := v.certificates(own, log)
	if err != nil {
		return nil, err
	}
	config.GetCertificate = list.choose
	return config, nil
}

// socket sets what the API's listening socket permits to share.
func (v *Serving) socket(_, address string, conn syscall.RawConn) (err error) {
	set := func(name string, option int, on bool) {
		if !on {
			return
		}
		failed := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1) })
		if failed != nil {
			err = failed
		}
		if err != nil {
			err = fmt.Errorf("%s on %s: %w", name, address, err)
		}
	}
	if set("SO_REUSEPORT", unix.SO_REUSEPORT, v.PermitPortSharing); err == nil {
		set("SO_REUSEADDR", unix.SO_REUSEADDR, v.PermitAddressSharing)
	}
	return err
}
