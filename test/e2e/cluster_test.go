package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait on a real machine.
const patience = 60 * time.Second

// cluster is one floe server of the test's own.
type cluster struct {
	t      *testing.T
	dir    string
	server *exec.Cmd
	log    bytes.Buffer // written by the server's process while it runs; read after it has ended
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	config := fmt.Sprintf(`apiVersion: config.floe.dev/v1alpha1
kind: ServerConfiguration
dataDir: %[1]s/data
securePort: 0
node: {name: one, port: 0, rootDir: %[1]s/kubelet, logDir: %[1]s/logs, cgroupRoot: %[2]s}
`, c.dir, cgroupRoot())
	if err := os.WriteFile(c.path("floe.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.mustRun(program(), "images", "build-self", "--data-dir", c.path("data"))
	c.start()
	t.Cleanup(func() {
		c.end(unix.SIGTERM)
		if t.Failed() {
			c.clear()
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", c.log.String())
		}
	})
	return c
}

// clear ends what a failed test left, so that its directory can be removed.
func (c *cluster) clear() {
	if err := sweep(); err != nil {
		c.t.Logf("left behind: %v", err)
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	lines := strings.Split(string(mounts), "\n")
	slices.Reverse(lines) // what was mounted last lies on top
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], c.dir) {
			_ = unix.Unmount(fields[1], unix.MNT_DETACH) // the namespace ends with the tests
		}
	}
}

func (c *cluster) path(elem string) string { return filepath.Join(c.dir, elem) }

// start starts the server and waits until the API is ready.
func (c *cluster) start() {
	c.t.Helper()
	c.server = exec.Command(program(), "server", "--config", c.path("floe.yaml"))
	c.server.Stdout, c.server.Stderr = &c.log, &c.log
	if err := c.server.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.eventually("the API is ready", func() error {
		_, err := c.try("get", "--raw", "/readyz")
		return err
	})
}

// end sends the server a signal and waits for its end.
func (c *cluster) end(sig unix.Signal) {
	if c.server == nil {
		return
	}
	_ = c.server.Process.Signal(sig)
	_ = c.server.Wait()
	c.server = nil
}

func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.path("data/admin.kubeconfig"))
	return cmd
}

// try runs kubectl and returns what it printed; its error holds what it complained of.
func (c *cluster) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	return c.output(c.command(ctx, program(), append([]string{"kubectl"}, args...)...))
}

func (c *cluster) output(cmd *exec.Cmd) (string, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:], " "), err, complaint.String())
	}
	return out.String(), nil
}

// kubectl runs kubectl, which must succeed.
func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *cluster) mustRun(name string, args ...string) {
	c.t.Helper()
	if _, err := c.output(c.command(c.t.Context(), name, args...)); err != nil {
		c.t.Fatal(err)
	}
}

// eventually tries until check succeeds or patience ends.
func (c *cluster) eventually(what string, check func() error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("%s: not within %s: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// get fetches a page from a pod.
func get(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", address, resp.Status)
	}
	return body.String(), nil
}
