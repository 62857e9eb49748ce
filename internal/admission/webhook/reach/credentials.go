package reach

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"
)

// Credentials say as whom the server calls webhooks: the users of a kubeconfig file, by the hosts that they are for (upstream's WebhookAdmissionConfiguration). A user
// goes by the name
//
//	host:port, *.suffix:port      then, for port 443,
//	host, *.suffix                then
//	*
//
// of which the first that is there is taken, and else the user of the current context. nil: nobody. They are only read.
type Credentials struct{ config *clientcmdapi.Config }

// ReadCredentials reads a kubeconfig file.
func ReadCredentials(file string) (*Credentials, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: file}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig file %s: %w", file, err)
	}
	return &Credentials{&config}, nil
}

// user is whom the server is to a host, which has its port; nil: nobody.
func (c *Credentials) user(host string) *clientcmdapi.AuthInfo {
	if c == nil {
		return nil
	}
	names := suffixes(host)
	if bare, port, err := net.SplitHostPort(host); err == nil && port == "443" {
		names = append(names, suffixes(bare)...)
	}
	for _, name := range append(names, "*") {
		if user, ok := c.config.AuthInfos[name]; ok {
			return user
		}
	}
	if current, ok := c.config.Contexts[c.config.CurrentContext]; ok {
		return c.config.AuthInfos[current.AuthInfo]
	}
	return nil
}

// suffixes are the names that mean a host, from itself to the shortest.
func suffixes(host string) []string {
	names, rest := []string{host}, host
	for {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return names
		}
		names, rest = append(names, "*."+after), after
	}
}

// of is how to be the user that host knows.
func (c *Credentials) of(host string) (*transport.Config, error) {
	config := &rest.Config{UserAgent: userAgent}
	user := c.user(host)
	if user == nil {
		return config.TransportConfig()
	}
	config.BearerToken, config.BearerTokenFile = user.Token, user.TokenFile
	if user.Impersonate != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user.Impersonate, UID: user.ImpersonateUID, Groups: user.ImpersonateGroups, Extra: user.ImpersonateUserExtra}
	}
	config.CertFile, config.CertData, config.KeyFile, config.KeyData = user.ClientCertificate, user.ClientCertificateData, user.ClientKey, user.ClientKeyData
	config.Username, config.Password = user.Username, user.Password
	if user.Exec != nil {
		config.ExecProvider = user.Exec.DeepCopy()
	}
	if user.AuthProvider != nil {
		return nil, errors.New("auth provider not supported")
	}
	return config.TransportConfig()
}

// identify lets a transport be the user that host knows. Where a redirection leads elsewhere, it is nobody: tokens are for the host alone.
func (c *Credentials) identify(host string, to *http.Transport) (http.RoundTripper, error) {
	as, err := c.of(host)
	if err != nil {
		return nil, err
	}
	own, err := transport.TLSConfigFor(as)
	if err != nil {
		return nil, err
	}
	if own != nil {
		to.TLSClientConfig.Certificates, to.TLSClientConfig.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}
	known, err := transport.HTTPWrappersForConfig(as, to)
	if err != nil {
		return nil, err
	}
	return identity{host, known, to}, nil
}

// identity is a transport that is somebody to one host.
type identity struct {
	host          string
	known, nobody http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (i identity) RoundTrip(req *http.Request) (*http.Response, error) {
	if hostOf(req.URL.String()) != i.host {
		return i.nobody.RoundTrip(req)
	}
	return i.known.RoundTrip(req)
}
