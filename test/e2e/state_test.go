package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// TestState is docs/state.md on a machine that runs pods: what an object has been, a snapshot, and the move to etcd and back, through all of
// which containers go on.
func TestState(t *testing.T) {
	c := newCluster(t)
	c.kubectl("apply", "-f", "../../examples/hello")
	c.kubectl("rollout", "status", "-n", "hello", "deployment/web", "--timeout=60s")
	c.kubectl("label", "-n", "hello", "deployment/web", "tier=front")
	before := c.pods(containerIDs)

	history := c.floe("history", "deployments.apps/hello/web")
	for _, want := range []string{"kubernetes-admin\n    created\n", "because of deployment hello/web@", `+ metadata.labels`, `"front"`} {
		if !strings.Contains(history, want) {
			t.Errorf("history lacks %q:\n%s", want, history)
		}
	}
	c.floe("snapshot", "save", c.path("snapshot"))
	if out := c.floe("snapshot", "verify", c.path("snapshot")); !regexp.MustCompile(`/registry/deployments +1 `).MatchString(out) {
		t.Errorf("verify:\n%s", out)
	}

	member := etcdtest.Start(t, 1, etcdtest.NoFsync)
	c.kubectl("annotate", "-n", "hello", "deployment/web", "later=true")
	c.end(unix.SIGTERM)
	c.floe("snapshot", "restore", "--config", c.path("floe.yaml"), "--etcd-servers", member.Endpoints()[0], c.path("snapshot"))
	c.configure("store: {etcd: {servers: [" + member.Endpoints()[0] + "]}}\n")
	c.start()
	same(c, "on etcd", before)
	if out := c.kubectl("get", "deployment", "-n", "hello", "web", "-o", "jsonpath={.metadata.labels.tier}{.metadata.annotations.later}"); out != "front" {
		t.Errorf("the deployment as it was when it was saved: got %q, want front", out)
	}
	c.kubectl("scale", "-n", "hello", "deployment/web", "--replicas=2")
	c.kubectl("rollout", "status", "-n", "hello", "deployment/web", "--timeout=60s")
	before = c.pods(containerIDs)

	t.Run("a member that is away for a while is waited for", func(t *testing.T) {
		member.Kill(0)
		member.Restart(0)
		c.eventually("the API writes again", func() error {
			_, err := c.try("label", "-n", "hello", "deployment/web", "--overwrite", "tier=back")
			return err
		})
	})
	c.floe("snapshot", "save", c.path("asked")) // of the server, which knows where the state is
	c.end(unix.SIGTERM)
	c.floe("snapshot", "save", "--config", c.path("floe.yaml"), c.path("back"))
	c.configure("")
	c.floe("snapshot", "restore", "--config", c.path("floe.yaml"), c.path("back"))
	c.start()
	same(c, "back on the embedded log", before)
	c.kubectl("delete", "namespace", "hello", "--timeout=60s")
}

// floe runs another command of the program, which must succeed.
func (c *cluster) floe(args ...string) string {
	c.t.Helper()
	if args[0] == "history" || args[1] != "restore" && !strings.Contains(strings.Join(args, " "), "--config") {
		args = append(args, "--data-dir", c.path("data"))
	}
	out, err := c.output(c.command(c.t.Context(), program(), args...))
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// configure adds lines to the configuration that the cluster began with; "" takes them away.
func (c *cluster) configure(lines string) {
	c.t.Helper()
	data, err := os.ReadFile(c.path("floe.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	begin, _, _ := strings.Cut(string(data), "store: ")
	if err := os.WriteFile(c.path("floe.yaml"), []byte(begin+lines), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// same holds the containers and their restart counts against what they were.
func same(c *cluster, when string, before []string) {
	c.t.Helper()
	c.kubectl("rollout", "status", "-n", "hello", "deployment/web", "--timeout=60s")
	if after := c.pods(containerIDs); strings.Join(after, " ") != strings.Join(before, " ") {
		c.t.Errorf("%s: containers and restart counts %v, before %v", when, after, before)
	}
}
