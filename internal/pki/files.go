package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// WriteFile writes data to path whole or not at all: a temporary file beside it, synced, then renamed over it.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone after the rename; an error path leaves nothing
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := tmp.Chmod(mode); err != nil {
		tmp.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := tmp.Sync(); err != nil {
		tmp.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

// Kubeconfig is a kubeconfig file for the server at url, trusted by the authority in caPEM, as the client id. name is
// given to cluster, user and context. serverName is what the server's certificate must name; "": url's host.
func Kubeconfig(name, url, serverName string, caPEM []byte, id Identity) ([]byte, error) {
	return yaml.Marshal(clientcmdv1.Config{
		Kind:       "Config",
		APIVersion: "v1",
		Clusters: []clientcmdv1.NamedCluster{{Name: name, Cluster: clientcmdv1.Cluster{
			Server: url, TLSServerName: serverName, CertificateAuthorityData: caPEM,
		}}},
		AuthInfos: []clientcmdv1.NamedAuthInfo{{Name: name, AuthInfo: clientcmdv1.AuthInfo{
			ClientCertificateData: id.CertPEM, ClientKeyData: id.KeyPEM,
		}}},
		Contexts:       []clientcmdv1.NamedContext{{Name: name, Context: clientcmdv1.Context{Cluster: name, AuthInfo: name}}},
		CurrentContext: name,
	})
}

// ReadKubeconfig returns where the server of a kubeconfig file's current context is, and how to speak to it. It reads what Kubeconfig makes: data
// in the file, not names of other files.
func ReadKubeconfig(data []byte) (url string, config *tls.Config, err error) {
	var file clientcmdv1.Config
	if err := yaml.Unmarshal(data, &file); err != nil {
		return "", nil, fmt.Errorf("kubeconfig: %w", err)
	}
	for _, c := range file.Contexts {
		if c.Name != file.CurrentContext {
			continue
		}
		cluster := slices.IndexFunc(file.Clusters, func(n clientcmdv1.NamedCluster) bool { return n.Name == c.Context.Cluster })
		user := slices.IndexFunc(file.AuthInfos, func(n clientcmdv1.NamedAuthInfo) bool { return n.Name == c.Context.AuthInfo })
		if cluster < 0 || user < 0 {
			break
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(file.Clusters[cluster].Cluster.CertificateAuthorityData) {
			return "", nil, errors.New("kubeconfig: it holds no authority's certificate")
		}
		cert, err := tls.X509KeyPair(file.AuthInfos[user].AuthInfo.ClientCertificateData, file.AuthInfos[user].AuthInfo.ClientKeyData)
		if err != nil {
			return "", nil, fmt.Errorf("kubeconfig: %w", err)
		}
		at := file.Clusters[cluster].Cluster
		return at.Server, &tls.Config{RootCAs: pool, ServerName: at.TLSServerName, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
	}
	return "", nil, fmt.Errorf("kubeconfig: context %q is not whole", file.CurrentContext)
}
