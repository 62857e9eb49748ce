package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHello is the README's promise: examples/hello from kubectl to answers, through a kill of floe, to nothing left.
func TestHello(t *testing.T) {
	c := newCluster(t)
	c.kubectl("apply", "-f", "../../examples/hello")
	c.kubectl("rollout", "status", "-n", "hello", "deployment/web", "--timeout=60s")
	addresses := c.pods("{.status.podIP}")
	if len(addresses) != 3 {
		t.Fatalf("pods have addresses %v, want three", addresses)
	}
	answers(c, addresses)

	if out := c.kubectl("get", "pods", "-n", "hello", "-o", "wide"); strings.Count(out, "1/1") != 3 || strings.Count(out, "Running") != 3 {
		t.Errorf("get pods -o wide:\n%s", out)
	}
	if out := c.kubectl("describe", "deployment", "-n", "hello", "web"); !strings.Contains(out, "3 available") || !strings.Contains(out, "ScalingReplicaSet") {
		t.Errorf("describe deployment:\n%s", out)
	}
	name := c.pods("{.metadata.name}")[0]
	if out := c.kubectl("describe", "pod", "-n", "hello", name); !strings.Contains(out, "Successfully assigned hello/"+name+" to one") || !strings.Contains(out, "Started") {
		t.Errorf("describe pod:\n%s", out)
	}
	if out := c.kubectl("logs", "-n", "hello", name); !strings.Contains(out, "8080") {
		t.Errorf("logs of %s: %q, want what the server said of its port", name, out)
	}

	t.Run("kill -9 of floe ends no container", func(t *testing.T) { survives(c, addresses) })
	t.Run("deletion is graceful and leaves nothing", func(t *testing.T) { leavesNothing(c) })
}

// pods prints a field of each pod of the example.
func (c *cluster) pods(field string) []string {
	c.t.Helper()
	return strings.Fields(c.kubectl("get", "pods", "-n", "hello", "-o", "jsonpath={range .items[*]}"+field+"{\"\\n\"}{end}"))
}

func answers(c *cluster, addresses []string) {
	c.t.Helper()
	for _, address := range addresses {
		c.eventually("an answer from "+address, func() error {
			_, err := get(c.t.Context(), address+":8080")
			return err
		})
	}
}

const containerIDs = "{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"

func survives(c *cluster, addresses []string) {
	before, processes := c.pods(containerIDs), podProcesses()
	c.end(unix.SIGKILL)
	answers(c, addresses)
	c.start()
	c.eventually("the pods are found again", func() error {
		out, err := c.try("rollout", "status", "-n", "hello", "deployment/web", "--timeout=5s")
		if err == nil && !strings.Contains(out, "successfully rolled out") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	answers(c, addresses)
	if after := c.pods(containerIDs); strings.Join(after, " ") != strings.Join(before, " ") {
		c.t.Errorf("containers and restart counts before the kill: %v, after: %v", before, after)
	}
	for _, pid := range processes {
		if !slices.Contains(podProcesses(), pid) {
			c.t.Errorf("process %s of a pod did not survive the kill of floe", pid)
		}
	}
	c.kubectl("scale", "-n", "hello", "deployment/web", "--replicas=4")
	c.kubectl("rollout", "status", "-n", "hello", "deployment/web", "--timeout=60s")
}

func leavesNothing(c *cluster) {
	c.kubectl("delete", "namespace", "hello", "--timeout=60s")
	c.eventually("no process of a pod is left", func() error {
		if pids := podProcesses(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
	if out := c.kubectl("get", "pods,deployments,replicasets,configmaps", "-A"); strings.Contains(out, "hello") {
		c.t.Errorf("after the namespace's deletion:\n%s", out)
	}
	_, err := get(context.WithoutCancel(c.t.Context()), "10.244.0.2:8080")
	if err == nil {
		c.t.Error("a deleted pod's address still answers")
	}
}
