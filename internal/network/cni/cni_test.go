package cni

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime"
	"github.com/floe-k8s/floe/test/alone"
)

func TestMain(m *testing.M) {
	if alone.Inside() != "" {
		os.Exit(m.Run())
	}
	os.Exit(alone.Again("cni"))
}

// plugin writes each call down, "COMMAND id ifname netns args", with its configuration beside, and fails when a file fail-COMMAND is there.
const plugin = `#!/bin/sh
cd "${0%/*}/../calls"
cat > "config-$CNI_COMMAND"
[ "$CNI_COMMAND" = VERSION ] || echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS" >> calls
if [ -e "fail-$CNI_COMMAND" ]; then
	echo '{"cniVersion":"1.1.0","code":50,"msg":"told to fail"}'
	exit 1
fi
case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' ;;
ADD) echo '{"cniVersion":"1.1.0","interfaces":[{"name":"host0"},{"name":"eth0","sandbox":"'"$CNI_NETNS"'"}],
	"ips":[{"address":"192.0.2.1/24","interface":0},{"address":"10.1.2.3/24","interface":1},{"address":"fd00::3/64","interface":1}]}' ;;
esac
`

const configuration = `{"cniVersion":"1.1.0","name":"tested","plugins":[{"type":"tested","capabilities":{"portMappings":true,"bandwidth":true}}]}`

// bed is a node with the plug-in.
type bed struct {
	*testing.T
	dir string
	cfg Config
	pod runtime.PodNetwork
	*Network
}

func newBed(t *testing.T) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{T: t, dir: dir, cfg: Config{
		ConfDir: filepath.Join(dir, "conf"), BinDirs: []string{filepath.Join(dir, "absent"), filepath.Join(dir, "bin")}, State: filepath.Join(dir, "state"),
	}}
	for _, d := range []string{"conf", "bin", "calls"} {
		b.must(os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	b.write("bin/tested", plugin)
	b.write("conf/10-tested.conflist", configuration)
	b.write("conf/20-other.conf", `{"cniVersion":"1.0.0","name":"other","type":"not-there"}`)
	b.pod = runtime.PodNetwork{ID: strings.Repeat("a", 64), Namespace: "default", Name: "web", UID: "u1", NetNSPath: b.namespace()}
	b.restart()
	return b
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bed) write(name, content string) {
	b.Helper()
	b.must(os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o755))
}

// restart makes the network anew, as a floe that starts.
func (b *bed) restart() {
	b.Helper()
	n, err := New(b.cfg)
	b.must(err)
	b.Network = n
}

// namespace makes a network namespace, held by a mount.
func (b *bed) namespace() string {
	b.Helper()
	path := filepath.Join(b.dir, "netns")
	b.must(os.WriteFile(path, nil, 0o600))
	made := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // for good: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		made <- err
	}()
	b.must(<-made)
	b.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

// calls lists the commands that the plug-in got since the last time, and the last one's whole line.
func (b *bed) calls() (commands []string, last string) {
	b.Helper()
	path := filepath.Join(b.dir, "calls", "calls")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ""
	}
	b.must(err)
	b.must(os.Remove(path))
	for line := range strings.Lines(string(data)) {
		command, _, _ := strings.Cut(line, " ")
		commands, last = append(commands, command), strings.TrimSpace(line)
	}
	return commands, last
}

func (b *bed) called(want ...string) {
	b.Helper()
	if got, _ := b.calls(); !slices.Equal(got, want) {
		b.Errorf("the plug-in was called for %v, want %v", got, want)
	}
}

// left fails the test when a record or a cached result is there.
func (b *bed) left() {
	b.Helper()
	records, _ := filepath.Glob(filepath.Join(b.cfg.State, "*.json"))
	results, _ := filepath.Glob(filepath.Join(b.cfg.State, "results", "results", "*"))
	if len(records)+len(results) > 0 {
		b.Errorf("left: %v %v", records, results)
	}
}

func TestAttachAndDetach(t *testing.T) {
	b := newBed(t)
	b.pod.PortMappings = []*runtimeapi.PortMapping{{HostPort: 8080, ContainerPort: 80, HostIp: "127.0.0.1"}, {ContainerPort: 81}}
	b.pod.Annotations = map[string]string{"kubernetes.io/ingress-bandwidth": "1M"}
	addresses, err := b.Attach(t.Context(), b.pod)
	b.must(err)
	if want := []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::3")}; !slices.Equal(addresses, want) {
		t.Errorf("addresses %v, want %v", addresses, want)
	}
	_, line := b.calls()
	want := "ADD " + b.pod.ID + " eth0 " + b.pod.NetNSPath + " IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=" +
		b.pod.ID + ";K8S_POD_UID=u1"
	if line != want {
		t.Errorf("called as\n%s, want\n%s", line, want)
	}
	given, err := os.ReadFile(filepath.Join(b.dir, "calls", "config-ADD"))
	b.must(err)
	for _, part := range []string{
		`"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"}]`, `"ingressRate":1000000`, `"ingressBurst":4294967295`,
	} {
		if !strings.Contains(string(given), part) {
			t.Errorf("no %s in %s", part, given)
		}
	}
	ns, err := netns.GetFromPath(b.pod.NetNSPath)
	b.must(err)
	defer ns.Close()
	in, err := netlink.NewHandleAt(ns)
	b.must(err)
	defer in.Close()
	lo, err := in.LinkByName("lo")
	b.must(err)
	if lo.Attrs().Flags&unix.IFF_UP == 0 {
		t.Error("the loopback is down")
	}
	b.must(b.Detach(t.Context(), b.pod.ID))
	b.must(b.Detach(t.Context(), b.pod.ID)) // once more is no error, and no call
	b.called("DEL")
	b.left()
}

// TestRestarts has the network made anew between calls, and its configuration changed meanwhile.
func TestRestarts(t *testing.T) {
	b := newBed(t)
	first, err := b.Attach(t.Context(), b.pod)
	b.must(err)
	b.restart()
	b.write("conf/00-new.conflist", `{"cniVersion":"1.1.0","name":"new","plugins":[{"type":"not-there"}]}`)
	again, err := b.Attach(t.Context(), b.pod)
	b.must(err)
	if !slices.Equal(first, again) {
		t.Errorf("addresses %v, before the restart %v", again, first)
	}
	b.write("calls/fail-CHECK", "")
	if _, err := b.Attach(t.Context(), b.pod); err == nil || !strings.Contains(err.Error(), "told to fail") {
		t.Errorf("a sandbox that lost its network: %v", err)
	}
	b.must(unix.Unmount(b.pod.NetNSPath, unix.MNT_DETACH)) // as after a restart of the machine
	b.must(b.Detach(t.Context(), b.pod.ID))
	b.called("ADD", "CHECK", "CHECK", "DEL")
	b.left()
}

// TestCrashedAdd has an ADD that failed, and then a DEL, neither of which is forgotten.
func TestCrashedAdd(t *testing.T) {
	b := newBed(t)
	b.write("calls/fail-ADD", "")
	b.write("calls/fail-DEL", "")
	if _, err := b.Attach(t.Context(), b.pod); err == nil || !strings.Contains(err.Error(), "pod default/web: network: tested: ADD") {
		t.Errorf("an ADD that fails: %v", err)
	}
	if err := b.Detach(t.Context(), b.pod.ID); err == nil {
		t.Error("a DEL that fails is none")
	}
	b.calls()
	b.restart()
	b.must(os.Remove(filepath.Join(b.dir, "calls", "fail-DEL")))
	b.must(b.Collect(t.Context(), []string{strings.Repeat("b", 64)}))
	b.called("DEL", "GC")
	given, err := os.ReadFile(filepath.Join(b.dir, "calls", "config-GC"))
	b.must(err)
	if !strings.Contains(string(given), strings.Repeat("b", 64)) || strings.Contains(string(given), b.pod.ID) {
		t.Errorf("valid attachments: %s", given)
	}
	b.left()
}

func TestReady(t *testing.T) {
	b := newBed(t)
	b.must(b.Ready(t.Context()))
	b.called("STATUS")
	b.write("calls/fail-STATUS", "")
	if err := b.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "told to fail") {
		t.Errorf("a plug-in that is not ready: %v", err)
	}
	b.must(os.RemoveAll(b.cfg.ConfDir))
	if err := b.Ready(t.Context()); !errors.Is(err, ErrNoConfiguration) || !strings.Contains(err.Error(), b.cfg.ConfDir) {
		t.Errorf("without a configuration: %v", err)
	}
	if _, err := b.Attach(t.Context(), b.pod); !errors.Is(err, ErrNoConfiguration) {
		t.Errorf("attach without a configuration: %v", err)
	}
	b.must(b.Collect(t.Context(), nil))
	b.left()
}

// TestSingleConfiguration has a network of one plug-in in the older form, of a version without STATUS and GC.
func TestSingleConfiguration(t *testing.T) {
	b := newBed(t)
	b.write("conf/05-single.conf", `{"cniVersion":"0.4.0","name":"single","type":"tested"}`)
	b.must(b.Ready(t.Context()))
	_, err := b.Attach(t.Context(), b.pod)
	b.must(err)
	b.must(b.Collect(t.Context(), nil))
	b.called("ADD", "DEL")
	b.left()
}

func TestBandwidthThatIsNone(t *testing.T) {
	b := newBed(t)
	for _, value := range []string{"fast", "-1", "0"} {
		b.pod.Annotations = map[string]string{egressAnnotation: value}
		if _, err := b.Attach(t.Context(), b.pod); err == nil || !strings.Contains(err.Error(), egressAnnotation) {
			t.Errorf("%q: %v", value, err)
		}
	}
	b.called()
	b.left()
}
