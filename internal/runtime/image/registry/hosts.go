package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Capability is a set of what a host is trusted with.
type Capability uint8

// The capabilities that hosts.toml names.
const (
	Pull Capability = 1 << iota
	Resolve
	Push

	allCapabilities = Pull | Resolve | Push
)

// Host is a server that has a registry's content.
type Host struct {
	// Root is the root of its API: scheme, host and path, mostly https://HOST/v2.
	Root url.URL
	// Can is what it is trusted with.
	Can Capability
	// Header goes with every request to it.
	Header http.Header
	// CA are files of authorities besides the system's; Client are pairs of files with certificate and key, the second empty when both are in
	// the first.
	CA     []string
	Client [][2]string
	// SkipVerify leaves its certificate unchecked; nil when nothing was said.
	SkipVerify *bool
	// DialTimeout bounds the making of a connection; 0 means 30 s.
	DialTimeout time.Duration
	// Proxy is the server that requests go through; nil when the environment decides.
	Proxy *url.URL
}

func (h *Host) tlsConfigured() bool { return h.CA != nil || h.Client != nil || h.SkipVerify != nil }

// hostsOf lists where the content of a registry comes from, the first to ask first: what its directory below root says, or else the registry itself.
// root may be several, with colons between; an empty one has no directories. plain means that a registry about which nothing is said is asked without TLS.
func hostsOf(root, registry string, plain bool) ([]Host, error) {
	hosts := []Host{{}}
	dir, err := hostDir(root, registry)
	if err == nil && dir != "" {
		hosts, err = readHostDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("hosts of registry %s: %w", registry, err)
	}
	for i := range hosts {
		if hosts[i].Root.Host == "" {
			hosts[i].setDefault(registry, plain)
		}
	}
	return hosts, nil
}

// hostDir finds the directory that speaks of a registry: HOST_PORT_, HOST:PORT or _default; "" when there is none.
func hostDir(root, registry string) (string, error) {
	if root == "" {
		return "", nil
	}
	// The name comes from whoever wrote the image's name.
	if registry != filepath.Base(registry) || registry == "." || registry == ".." {
		return "", fmt.Errorf("%q is no name of a registry", registry)
	}
	names := []string{registry, "_default"}
	if at := strings.LastIndex(registry, ":"); at > 0 {
		names = slices.Insert(names, 0, registry[:at]+"_"+registry[at+1:]+"_")
	}
	for _, root := range filepath.SplitList(root) {
		for _, name := range names {
			_, err := os.Stat(filepath.Join(root, name))
			if err == nil {
				return filepath.Join(root, name), nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return "", nil
}

// readHostDir reads hosts.toml, or else the certificates that lie there as Docker has them.
func readHostDir(dir string) ([]Host, error) {
	name := filepath.Join(dir, "hosts.toml")
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() == 0) {
		return certificateDir(dir)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxHostsFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", name, info.Size(), maxHostsFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	hosts, err := parseHosts(dir, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return hosts, nil
}

// maxHostsFile bounds hosts.toml, in bytes.
const maxHostsFile = 1 << 20

// certificateDir is the registry itself with Docker's certificate files: *.crt are authorities, *.cert and *.key pairs for the client.
func certificateDir(dir string) ([]Host, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var host Host
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case ".crt":
			host.CA = append(host.CA, file)
		case ".cert":
			key := strings.TrimSuffix(file, ".cert") + ".key"
			if _, err := os.Stat(key); err != nil {
				return nil, fmt.Errorf("certificate %s: its key: %w", file, err)
			}
			host.Client = append(host.Client, [2]string{file, key})
		}
	}
	return []Host{host}, nil
}

// setDefault makes the host that of the registry itself.
func (h *Host) setDefault(registry string, plain bool) {
	h.Root = url.URL{Scheme: "https", Host: registry, Path: "/v2"}
	h.Can = allCapabilities
	_, port, err := net.SplitHostPort(registry)
	switch {
	case registry == "docker.io":
		h.Root.Host = "registry-1.docker.io"
	case plain:
		h.Root.Scheme = "http"
	case isLocal(registry) && err == nil && port == "80":
		h.Root.Scheme = "http"
	case isLocal(registry):
		// What answers on this machine may have any certificate, or, on a port that tells nothing, none: with TLS first, then without.
		if err == nil && port != "443" {
			h.Root.Scheme = "http"
		}
		if h.SkipVerify == nil {
			yes := true
			h.SkipVerify = &yes
		}
	}
}

// ambiguous says that the host is to be tried with TLS first although its address says http: something about TLS was configured for it.
func (h *Host) ambiguous() bool {
	return h.Root.Scheme == "http" && h.tlsConfigured() && h.Root.Port() != "80"
}

// isLocal says whether a registry's address is on this machine.
func isLocal(registry string) bool {
	name := registry
	if host, _, err := net.SplitHostPort(registry); err == nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || (ip != nil && ip.IsLoopback())
}

// rootOf reads the address of a host in hosts.toml.
func rootOf(server string, overridePath bool) (url.URL, error) {
	if !strings.HasPrefix(server, "http") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return url.URL{}, fmt.Errorf("server %q: %w", server, err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return url.URL{}, fmt.Errorf("server %q: it must be [http://|https://]HOST[:PORT][/PATH]", server)
	}
	root := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Path != "" {
		root.Path = path.Clean(u.Path)
	}
	if !overridePath && !strings.HasSuffix(root.Path, "/v2") {
		root.Path = strings.TrimSuffix(root.Path, "/") + "/v2"
	}
	return root, nil
}
