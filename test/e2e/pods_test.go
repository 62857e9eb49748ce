package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// podManifests are pods that each show one way in which a pod's life goes.
const podManifests = `
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {kind: job}}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: "floe.dev/self:v1", args: [echo, prepared]}]
  containers:
    - name: main
      image: floe.dev/self:v1
      args: [echo, "$(GREETING) from $(NAME) on $(NODE), $(NONE)"]
      env:
        - {name: GREETING, valueFrom: {configMapKeyRef: {name: words, key: greeting}}}
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
---
apiVersion: v1
kind: Pod
metadata: {name: fails}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "floe.dev/self:v1", args: [fail, --code, "3"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  containers: [{name: main, image: "floe.dev/self:v1", args: [fail]}]
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "floe.dev/self:v1", args: [burn, --memory, "200000000"], resources: {limits: {memory: 32Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: absent}
spec:
  containers: [{name: main, image: "127.0.0.1:1/nothing:v1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  containers: [{name: main, image: "example.com/nothing:v1", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  containers: [{name: main, image: "floe.dev/self:v1", args: [sleep, 1h], livenessProbe: {tcpSocket: {port: 80}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: talks}
spec:
  containers:
    - {name: writer, image: "floe.dev/self:v1", args: [serve, --port, "8080"], volumeMounts: [{name: shared, mountPath: /shared}]}
    - {name: idle, image: "floe.dev/self:v1", args: [sleep, 1h]}
  volumes: [{name: shared, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: mapped}
spec:
  hostUsers: false
  restartPolicy: Never
  containers: [{name: main, image: "floe.dev/self:v1", args: [fill, "9", /shared/new], volumeMounts: [{name: shared, mountPath: /shared}]}]
  volumes: [{name: shared, emptyDir: {}}]
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: strange}
handler: strange
---
apiVersion: v1
kind: Pod
metadata: {name: strange}
spec:
  runtimeClassName: strange
  containers: [{name: main, image: "floe.dev/self:v1", args: [sleep, 1h]}]
`

// TestPodsLives runs pods that end, fail, crash, take too much, cannot begin, and are refused, and holds what users see of each.
func TestPodsLives(t *testing.T) {
	c := newCluster(t)
	file := c.path("pods.yaml")
	if err := os.WriteFile(file, []byte(podManifests), 0o600); err != nil {
		t.Fatal(err)
	}
	c.kubectl("apply", "-f", file)
	for _, w := range []struct{ pod, field, want string }{
		{"once", "{.status.phase}", "Succeeded"},
		{"once", "{.status.initContainerStatuses[0].state.terminated.reason}", "Completed"},
		{"fails", "{.status.phase} {.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}", "Failed Error 3"},
		{"crashes", "{.status.phase} {.status.containerStatuses[0].state.waiting.reason}", "Running CrashLoopBackOff"},
		{"greedy", "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}", "OOMKilled 137"},
		{"absent", "{.status.phase} {.status.containerStatuses[0].state.waiting.reason}", "Pending ErrImagePull"},
		{"never", "{.status.containerStatuses[0].state.waiting.reason}", "ErrImageNeverPull"},
		{"probed", "{.status.phase} {.status.reason}", "Failed UnsupportedPodFeature"},
		{"mapped", "{.status.phase}", "Succeeded"},
		{"strange", "{.status.phase}", "Pending"},
		{"talks", "{.status.phase} {.status.containerStatuses[*].ready}", "Running true true"},
	} {
		c.eventually(fmt.Sprintf("pod %s: %s", w.pod, w.want), func() error {
			got, err := c.try("get", "pod", w.pod, "-o", "jsonpath="+w.field)
			if err == nil && got != w.want {
				err = fmt.Errorf("it is %q", got)
			}
			return err
		})
	}
	t.Run("logs", func(t *testing.T) { podLogs(t, c) })
	t.Run("descriptions", func(t *testing.T) {
		for pod, want := range map[string]string{
			"crashes": "Back-off restarting failed container main in pod crashes_default",
			"absent":  "connect: connection refused",
			"never":   `Container image "example.com/nothing:v1" is not present with pull policy of Never`,
			"probed":  "spec.containers[0].livenessProbe",
			"strange": `no runtime for "strange" is configured`,
		} {
			c.eventually("what is said of "+pod, func() error {
				out, err := c.try("describe", "pod", pod)
				if err == nil && !strings.Contains(out, want) {
					err = fmt.Errorf("%q is not in:\n%s", want, out)
				}
				return err
			})
		}
	})
	t.Run("table", func(t *testing.T) {
		out := c.kubectl("get", "pods", "--no-headers")
		for _, want := range []string{"once 0/1 Completed", "greedy 0/1 OOMKilled", "crashes 0/1 CrashLoopBackOff", "talks 2/2 Running", "probed 0/1 UnsupportedPodFeature"} {
			found := false
			for line := range strings.Lines(out) {
				found = found || strings.HasPrefix(strings.Join(strings.Fields(line), " "), want)
			}
			if !found {
				t.Errorf("%q is not among:\n%s", want, out)
			}
		}
	})
	t.Run("deletion", func(t *testing.T) {
		c.kubectl("delete", "pods", "--all", "--timeout=60s")
		if pids := podProcesses(); len(pids) > 0 {
			t.Errorf("processes %v are left", pids)
		}
	})
}

func podLogs(t *testing.T, c *cluster) {
	if got, want := c.kubectl("logs", "once"), "hello from once on one, $(NONE)\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if got := c.kubectl("logs", "once", "-c", "first"); got != "prepared\n" {
		t.Errorf("the init container's log is %q", got)
	}
	if got := c.kubectl("logs", "crashes", "--previous"); !strings.Contains(got, "failing with code 1") {
		t.Errorf("the log of the attempt before is %q", got)
	}
	if _, err := c.try("logs", "absent"); err == nil || !strings.Contains(err.Error(), "is waiting to start: trying and failing to pull image") {
		t.Errorf("logs of what never began: %v", err)
	}
	if _, err := c.try("logs", "once", "-c", "none"); err == nil || !strings.Contains(err.Error(), "container none is not valid for pod once") {
		t.Errorf("logs of no container: %v", err)
	}
	follow := c.command(t.Context(), program(), "kubectl", "logs", "-f", "talks", "-c", "writer")
	out, err := follow.StdoutPipe()
	if err == nil {
		err = follow.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, "8080") {
		t.Errorf("followed: %q, %v", line, err)
	}
	if err := follow.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = follow.Wait() // it was killed
}
