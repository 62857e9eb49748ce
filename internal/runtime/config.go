package runtime

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"
)

// Config is all that New needs. Fields without a stated default are required.
type Config struct {
	// Root is the absolute path of the directory for images, layers and the containers' writable layers: DATA/images. It must lie
	// on a file system that overlayfs accepts as upper directory.
	Root string
	// State is the absolute path of the directory for what runs: DATA/run. Only root may enter it.
	State string
	// Passage is the absolute path of a directory that every user may pass through (and to which every user may pass), where the root file systems
	// of pods with user namespaces are mounted; default /run/floe-pods. Runtimes may share it.
	Passage string
	// ShimPath is the absolute path of the floe-shim executable. It must stay in place while any of its processes run.
	ShimPath string
	// RegistryConfigDir lists the directories, with colons between, that say where registries' content comes from (hosts.toml); "" means none.
	RegistryConfigDir string
	// CDISpecDirs lists the directories, with colons between, whose files tell of devices that requests may name; later ones count more. "" means
	// none: every such name is unknown.
	CDISpecDirs string
	// CgroupParent is the absolute cgroup path under which sandboxes go whose request names none; default "/floe". It is created in
	// every v1 hierarchy, or in the v2 one, when first needed.
	CgroupParent string
	// StreamAddress is the address, of the loopback, that the server behind streaming URLs listens on; default 127.0.0.1:0, a free port.
	// It listens from the first Exec, Attach or PortForward on. Its URLs work once, and only soon.
	StreamAddress string
	// Network attaches sandboxes that are not on the host's network.
	Network Network
	// PodCIDR is the range, or the ranges joined with commas, that Network takes addresses from; "" for one that does not say.
	PodCIDR string
	// Handlers are other OCI runtimes by the names that RuntimeClasses give them; nil for none.
	Handlers map[string]Handler
	// Pulls counts pulls of images; default metrics that nobody sees.
	Pulls *PullMetrics
	// Clock gives creation times and the deadlines of stops; default the real one.
	Clock clock.WithTicker
	// Random makes identifiers; default crypto/rand.
	Random io.Reader
	// Log takes what an operator should read; default slog.Default().
	Log *slog.Logger
	// Fault is called at named steps of operations; tests end the process, or a shim, there. nil, the default, does nothing.
	Fault func(step string)
	// Version is floe's own, as Version reports it; default "0.0.0".
	Version string
}

// Validate fills defaults in and checks the rest; its errors name field, value and what is allowed.
func (c *Config) Validate() error {
	if c.CgroupParent == "" {
		c.CgroupParent = "/floe"
	}
	if c.Passage == "" {
		c.Passage = "/run/floe-pods"
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Pulls == nil {
		c.Pulls = NewPullMetrics()
	}
	if c.Fault == nil {
		c.Fault = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Version == "" {
		c.Version = "0.0.0"
	}
	if c.StreamAddress == "" {
		c.StreamAddress = "127.0.0.1:0"
	}
	var errs []error
	if a, err := netip.ParseAddrPort(c.StreamAddress); err != nil || !a.Addr().IsLoopback() {
		errs = append(errs, fmt.Errorf("runtime config: StreamAddress %q must be an address and port of the loopback, such as 127.0.0.1:0", c.StreamAddress))
	}
	for _, p := range []struct{ field, value string }{
		{"Root", c.Root}, {"State", c.State}, {"ShimPath", c.ShimPath}, {"CgroupParent", c.CgroupParent}, {"Passage", c.Passage},
	} {
		if !filepath.IsAbs(p.value) || filepath.Clean(p.value) != p.value {
			errs = append(errs, fmt.Errorf("runtime config: %s %q must be a clean absolute path", p.field, p.value))
		}
	}
	if strings.ContainsAny(c.Root+c.State, "\n\x00") {
		errs = append(errs, fmt.Errorf("runtime config: Root %q and State %q must not contain line breaks", c.Root, c.State))
	}
	if c.Network == nil {
		errs = append(errs, errors.New("runtime config: Network is required"))
	}
	if err := checkHandlers(c.Handlers); err != nil {
		errs = append(errs, err)
	}
	if err := checkShim(c.ShimPath); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkShim says early, in words, what would otherwise fail the first pod.
func checkShim(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("runtime config: ShimPath: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o100 == 0:
		return fmt.Errorf("runtime config: ShimPath %q is not an executable file", path)
	}
	return nil
}
