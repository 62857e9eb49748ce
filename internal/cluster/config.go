package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/runtime/cdi"
)

// KubernetesVersion is the version of the Kubernetes API that floe serves.
const KubernetesVersion = "v1.36.3"

// The configuration file's type.
const (
	ConfigAPIVersion = "config.floe.dev/v1alpha1"
	ConfigKind       = "ServerConfiguration"
)

// Config is all that a server is told. The flags of `floe server` are bound to its fields, and the configuration file has the
// same fields by their JSON names; a flag that is given wins over the file.
type Config struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`

	// DataDir holds everything the server keeps. Default /var/lib/floe.
	DataDir string `json:"dataDir,omitempty"`
	// BindAddress is the address that the API listens on; 0.0.0.0 or :: means all. Default 0.0.0.0.
	BindAddress string `json:"bindAddress,omitempty"`
	// SecurePort is the API's port, 0 to 65535; 0 takes a free one. Default 6443.
	SecurePort int `json:"securePort"`
	// WriteKubeconfig is where a copy of the administrator's kubeconfig file goes, 0600. Empty: only DataDir/admin.kubeconfig.
	WriteKubeconfig string  `json:"writeKubeconfig,omitempty"`
	Store           Store   `json:"store,omitempty"`
	Serving         Serving `json:"serving,omitempty"`
	API             API     `json:"api,omitempty"`
	// Authentication says who users are.
	Authentication Authentication `json:"authentication,omitempty"`
	// Aggregation says how requests are led to servers that API services name.
	Aggregation Aggregation `json:"aggregation,omitempty"`
	Network     Network     `json:"network,omitempty"`
	Controllers Controllers `json:"controllers,omitempty"`
	Scheduler   Scheduler   `json:"scheduler,omitempty"`
	Logging     Logging     `json:"logging,omitempty"`
	Node        Node        `json:"node,omitempty"`
	// Simulation adds nodes that do not exist.
	Simulation Simulation `json:"simulation,omitempty"`
}

// Store says where the cluster's state lies and how much of its past is kept.
type Store struct {
	// Etcd holds the state when it names servers; else DataDir/log does, on this machine.
	Etcd Etcd `json:"etcd,omitempty"`
	// EncryptionProviderConfig is an apiserver.config.k8s.io/v1 EncryptionConfiguration. Empty: values are stored as they are.
	EncryptionProviderConfig string `json:"encryptionProviderConfig,omitempty"`
	// EncryptionProviderConfigAutomaticReload reads it again when it changes.
	EncryptionProviderConfigAutomaticReload bool `json:"encryptionProviderConfigAutomaticReload,omitempty"`
	// HistoryAge is how long versions that were replaced are kept. Default 1h, with etcd 10m.
	HistoryAge metav1.Duration `json:"historyAge,omitempty"`
	// HistoryBytes is how many bytes of them are kept at most. etcd has its own quota. Default 256Mi.
	HistoryBytes resource.Quantity `json:"historyBytes,omitempty"`
	// MinFreeBytes is what is kept free on the disk of DataDir/log: below it only deletions are taken. Default 128Mi.
	MinFreeBytes resource.Quantity `json:"minFreeBytes,omitempty"`
}

// Etcd says how etcd is reached. Its fields are kube-apiserver's flags.
type Etcd struct {
	// Servers are the members' client URLs, such as https://10.0.0.1:2379. Empty: etcd is not used.
	Servers []string `json:"servers,omitempty"`
	// CAFile is the authority of the members' certificates; CertFile and KeyFile are the server's own certificate for them.
	CAFile   string `json:"caFile,omitempty"`
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
}

// Logging says what the server's log looks like.
type Logging struct {
	// Format is text or json. Default text.
	Format string `json:"format,omitempty"`
	// Verbosity 0 shows information; each step more shows one level of debug more. Default 0.
	Verbosity int `json:"verbosity,omitempty"`
	// VModule shows more of some files of the sources: PATTERN=N,... where PATTERN matches a file's name without folder and ".go". Text only. Default "".
	VModule string `json:"vmodule,omitempty"`
}

// Node says how the server runs pods itself.
type Node struct {
	// Disabled leaves pods to other nodes.
	Disabled bool `json:"disabled,omitempty"`
	// Name is the Node object's name. Default the host name, in lower case.
	Name string `json:"name,omitempty"`
	// Port is where the node's own API listens, 0 to 65535; 0 takes a free one. Default 10250.
	Port int `json:"port"`
	// PodCIDR is the range that pods on this node get addresses from, a part of the network's ClusterCIDR. Default its first 256 addresses.
	PodCIDR string `json:"podCIDR,omitempty"`
	// RootDir holds the pods' files. Default /var/lib/kubelet.
	RootDir string `json:"rootDir,omitempty"`
	// LogDir holds the containers' logs. Default /var/log/pods.
	LogDir string `json:"logDir,omitempty"`
	// CgroupRoot is the cgroup that all pods stand below. Default /floe.
	CgroupRoot string `json:"cgroupRoot,omitempty"`
	// RegistryConfigDir lists directories, with colons between, that say where the content of registries comes from, with which certificates: in each a
	// directory for a registry with hosts.toml, as containerd has them. Absent ones say nothing. Default /etc/containerd/certs.d:/etc/docker/certs.d.
	RegistryConfigDir string `json:"registryConfigDir,omitempty"`
	// CNIConfDir is where network configurations of CNI are; their plug-ins, in CNIBinDir, then attach pods in place of the built-in network. Default
	// none: the built-in network. CNIBinDir lists directories with colons between. Default /opt/cni/bin.
	CNIConfDir string `json:"cniConfDir,omitempty"`
	CNIBinDir  string `json:"cniBinDir,omitempty"`
	// RuntimeHandlers are other OCI runtimes for pods whose RuntimeClass has that handler, each as NAME=PATH of the program. Default none.
	RuntimeHandlers []string `json:"runtimeHandlers,omitempty"`
	// CDISpecDirs lists directories, with colons between, whose files tell of devices that pods may have by name (the Container Device Interface).
	// Default /etc/cdi:/var/run/cdi.
	CDISpecDirs string `json:"cdiSpecDirs,omitempty"`
	// ImageArchives is a directory of archives of images that are loaded when the server starts. Default DATA-DIR/archives.
	ImageArchives string `json:"imageArchives,omitempty"`
}

// DefaultRegistryConfigDir is where containerd and Docker look too.
const DefaultRegistryConfigDir = "/etc/containerd/certs.d:/etc/docker/certs.d"

// DefaultConfig is what a server does that is told nothing.
func DefaultConfig() Config {
	return Config{
		DataDir: "/var/lib/floe", BindAddress: "0.0.0.0", SecurePort: 6443,
		Logging: Logging{Format: "text"}, API: defaultAPI(), Authentication: defaultAuthentication(), Aggregation: defaultAggregation(), Network: defaultNetwork(), Controllers: defaultControllers(),
		Node: Node{
			Port: 10250, RootDir: "/var/lib/kubelet", LogDir: "/var/log/pods", CgroupRoot: "/floe",
			RegistryConfigDir: DefaultRegistryConfigDir, CNIBinDir: "/opt/cni/bin", CDISpecDirs: cdi.DefaultDirs,
		},
	}
}

// LoadFile reads the file over c: fields that it does not name keep their value. An unknown field is an error.
func (c *Config) LoadFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	loaded := *c
	loaded.APIVersion, loaded.Kind = "", ""
	if err := yaml.UnmarshalStrict(data, &loaded); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	if loaded.APIVersion != ConfigAPIVersion || loaded.Kind != ConfigKind {
		return fmt.Errorf("--config %s: apiVersion %q, kind %q: want apiVersion %q, kind %q",
			path, loaded.APIVersion, loaded.Kind, ConfigAPIVersion, ConfigKind)
	}
	*c = loaded
	return nil
}

// Complete fills in what is taken from the host, then reports every field that is out of range, with its value and what is allowed.
func (c *Config) Complete() error {
	if c.Node.Name == "" && !c.Node.Disabled {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("node.name: %w", err)
		}
		c.Node.Name = strings.ToLower(name)
	}
	if c.Node.PodCIDR == "" {
		c.Node.PodCIDR = c.Network.firstPods()
	}
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s: %v: must be %s", field, value, want))
	}
	for field, port := range map[string]int{"securePort": c.SecurePort, "node.port": c.Node.Port} {
		if port < 0 || port > 65535 {
			bad(field, port, "a port from 0 to 65535")
		}
	}
	if _, err := netip.ParseAddr(c.BindAddress); err != nil {
		bad("bindAddress", fmt.Sprintf("%q", c.BindAddress), "an IP address, such as 0.0.0.0 or 127.0.0.1")
	}
	for field, path := range map[string]*string{"dataDir": &c.DataDir, "node.rootDir": &c.Node.RootDir, "node.logDir": &c.Node.LogDir} {
		abs, err := filepath.Abs(*path)
		if err != nil || *path == "" {
			bad(field, fmt.Sprintf("%q", *path), "a directory")
		}
		*path = abs
	}
	if c.Logging.Format != "text" && c.Logging.Format != "json" {
		bad("logging.format", fmt.Sprintf("%q", c.Logging.Format), "text or json")
	}
	if _, err := observe.ParseModules(c.Logging.VModule); err != nil {
		errs = append(errs, fmt.Errorf("logging.vmodule: %w", err))
	} else if c.Logging.VModule != "" && c.Logging.Format != observe.FormatText {
		bad("logging.vmodule", fmt.Sprintf("%q", c.Logging.VModule), "empty: only supported for text log format")
	}
	errs = append(errs, c.Serving.validate()...)
	errs = append(errs, c.Store.validate()...)
	errs = append(errs, c.API.validate(all.Kinds())...)
	errs = append(errs, c.Authentication.validate()...)
	errs = append(errs, c.Aggregation.validate()...)
	errs = append(errs, c.Network.validate()...)
	errs = append(errs, c.Controllers.validate()...)
	if _, err := c.Controllers.ranges(&c.Network); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.Simulation.validate()...)
	if !c.Node.Disabled {
		errs = append(errs, c.Node.validate(&c.Network)...)
	}
	return errors.Join(errs...)
}

func (s *Store) validate() (errs []error) {
	if s.EncryptionProviderConfigAutomaticReload && s.EncryptionProviderConfig == "" {
		errs = append(errs, errors.New("store.encryptionProviderConfigAutomaticReload: true: must be set with store.encryptionProviderConfig"))
	}
	for field, text := range map[string]string{"store.historyAge": s.HistoryAge.Duration.String(), "store.historyBytes": s.HistoryBytes.String(), "store.minFreeBytes": s.MinFreeBytes.String()} {
		if strings.HasPrefix(text, "-") {
			errs = append(errs, fmt.Errorf("%s: %s: must not be negative", field, text))
		}
	}
	for _, server := range s.Etcd.Servers {
		if u, err := url.Parse(server); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("store.etcd.servers: %q: must be a URL such as https://127.0.0.1:2379", server))
		}
	}
	if (s.Etcd.CertFile == "") != (s.Etcd.KeyFile == "") {
		errs = append(errs, fmt.Errorf("store.etcd: certFile %q and keyFile %q: must be given together", s.Etcd.CertFile, s.Etcd.KeyFile))
	}
	return errs
}

func (n *Node) validate(network *Network) (errs []error) {
	if msgs := utilvalidation.IsDNS1123Subdomain(n.Name); len(msgs) > 0 {
		errs = append(errs, fmt.Errorf("node.name: %q: %s", n.Name, msgs[0]))
	}
	prefix, err := netip.ParsePrefix(n.PodCIDR)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() > 30 || prefix.Masked() != prefix {
		errs = append(errs, fmt.Errorf("node.podCIDR: %q: must be an IPv4 range of at least four addresses, such as 10.244.0.0/24", n.PodCIDR))
	} else if !network.forPods(prefix) {
		errs = append(errs, fmt.Errorf("node.podCIDR: %s: must lie in network.clusterCIDR, which is %s", prefix, strings.Join(network.ClusterCIDR, ",")))
	}
	if !strings.HasPrefix(n.CgroupRoot, "/") {
		errs = append(errs, fmt.Errorf("node.cgroupRoot: %q: must begin with /", n.CgroupRoot))
	}
	return errs
}
