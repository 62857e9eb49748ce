package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// plain speaks HTTP as curl does.
type plain struct {
	*testing.T
	server string
	client *http.Client
}

// ask sends a body, unless it is "", and returns the answer's status and body.
func (p plain) ask(method, path, body string, header ...string) (int, []byte) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, p.server+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err = firstOf(err, resp.Body.Close()); err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, data
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// make creates an object.
func (p plain) make(path, body string) {
	p.Helper()
	if code, data := p.ask(http.MethodPost, path, body); code != http.StatusCreated {
		p.Fatalf("%s: %d %s", path, code, data)
	}
}

func (p plain) pods() []corev1.Pod {
	p.Helper()
	_, data := p.ask(http.MethodGet, "/api/v1/namespaces/default/pods", "")
	var list corev1.PodList
	if err := json.Unmarshal(data, &list); err != nil {
		p.Fatal(err)
	}
	return list.Items
}

func podOf(name, scheduler, cpu string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"schedulerName":%q,"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":%q}}}]}}`, name, scheduler, cpu)
}

// TestSchedulersBesideEachOther runs the scheduler as a file configures it, and one made of a list and a binding, as a shell script with curl would be.
func TestSchedulersBesideEachOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scheduler.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("profiles:\n- schedulerName: default-scheduler\n- schedulerName: packed\n  pluginConfig:\n  - name: NodeResourcesFit\n    args: {scoringStrategy: {type: MostAllocated}}\n")
	c := serveClusterAs(t, func(cfg *Config) { cfg.Scheduler.ConfigFile = file })
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		t.Fatal(err)
	}
	p := plain{t, c.config.Host, &http.Client{Transport: transport}}
	for _, node := range []string{"a", "b"} {
		p.make("/api/v1/nodes", fmt.Sprintf(`{"metadata":{"name":%q}}`, node))
		status := `{"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"20"},"capacity":{"cpu":"2","memory":"4Gi","pods":"20"},"conditions":[{"type":"Ready","status":"True"}]}}`
		if code, data := p.ask(http.MethodPatch, "/api/v1/nodes/"+node+"/status", status, "Content-Type", "application/merge-patch+json"); code != http.StatusOK {
			t.Fatalf("node %s: %d %s", node, code, data)
		}
	}
	until(t, "the nodes to lose the taint of those that are not ready", func() (bool, error) {
		_, data := p.ask(http.MethodGet, "/api/v1/nodes", "")
		return !bytes.Contains(data, []byte("node.kubernetes.io/not-ready")), nil
	})
	for i := range 4 {
		p.make("/api/v1/namespaces/default/pods", podOf(fmt.Sprint("packed-", i), "packed", "100m"))
		p.make("/api/v1/namespaces/default/pods", podOf(fmt.Sprint("scripted-", i), "script", "100m"))
	}
	p.make("/api/v1/namespaces/default/pods", podOf("large", "default-scheduler", "3"))
	for i, pod := range p.pods() { // the script
		if pod.Spec.SchedulerName == "script" && pod.Spec.NodeName == "" {
			binding := fmt.Sprintf(`{"metadata":{"name":%q},"target":{"kind":"Node","name":%q}}`, pod.Name, []string{"a", "b"}[i%2])
			p.make("/api/v1/namespaces/default/pods/"+pod.Name+"/binding", binding)
		}
	}
	until(t, "all pods but one to have a node", func() (bool, error) {
		bound := 0
		for _, pod := range p.pods() {
			if pod.Spec.NodeName != "" {
				bound++
			}
		}
		return bound == 8, nil
	})
	where := map[string]bool{}
	for _, pod := range p.pods() {
		if pod.Spec.SchedulerName == "packed" {
			where[pod.Spec.NodeName] = true
		}
	}
	if len(where) != 1 {
		t.Errorf("packed pods are on nodes %v, want all on one", where)
	}
	p.why()
	write("profiles:\n- plugins:\n    filter:\n      enabled: [{name: Nobody}]\n")
	env := alone(t.TempDir())
	env.Config.Scheduler.ConfigFile = file
	if err := Run(t.Context(), env); err == nil || !strings.Contains(err.Error(), file+`:6: profiles[0].plugins.filter.enabled[0].name: Not found: "Nobody"`) {
		t.Errorf("a file with a mistake: %v", err)
	}
}

// why asks about the pod that fits nowhere, as who may and who may not.
func (p plain) why() {
	p.Helper()
	path := wire.WhyPath + "?pod=large"
	until(p.T, "the scheduler to know why", func() (bool, error) {
		code, data := p.ask(http.MethodGet, path, "")
		return code == http.StatusOK && bytes.Contains(data, []byte(`"help":"cpu: 1`)) && bytes.Contains(data, []byte(`"state":"waits for a change that may help it"`)), nil
	})
	for query, want := range map[string]int{path: http.StatusForbidden, wire.WhyPath: http.StatusBadRequest} {
		if code, data := p.ask(http.MethodGet, query, "", "Impersonate-User", "nobody"); code != want {
			p.Errorf("%s as nobody: %d %s, want %d", query, code, data, want)
		}
	}
	if code, data := p.ask(http.MethodGet, wire.WhyPath+"?pod=none", ""); code != http.StatusNotFound {
		p.Errorf("why of no pod: %d %s", code, data)
	}
	_, data := p.ask(http.MethodGet, "/metrics", "")
	for _, want := range []string{`scheduler_schedule_attempts_total{profile="packed",result="scheduled"} 4`, `scheduler_pending_pods{queue="unschedulable"} 1`,
		"scheduler_pod_scheduling_sli_duration_seconds_count", `scheduler_queue_incoming_pods_total{event="UnschedulablePodAdd",queue="active"}`} {
		if !bytes.Contains(data, []byte(want)) {
			p.Errorf("/metrics lacks %s", want)
		}
	}
}
