package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestFairnessFollowsItsObjects: a server lets requests in by what is stored: answers name the flow schema, a new level is there at once and gone with its
// object, and pages and metrics tell of it.
func TestFairnessFollowsItsObjects(t *testing.T) {
	c := serveCluster(t)
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	exempt, err := client.FlowcontrolV1().FlowSchemas().Get(ctx, "exempt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	doer, err := rest.HTTPClientFor(c.config)
	if err != nil {
		t.Fatal(err)
	}
	eventually := func(what string, good func() bool) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(ctx, patience/1000, patience, true, func(context.Context) (bool, error) { return good(), nil }); err != nil {
			t.Fatal(what, err)
		}
	}
	eventually("answers name the stored flow schema", func() bool {
		resp, err := doer.Get(c.config.Host + "/version")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		defer resp.Body.Close()
		return types.UID(resp.Header.Get("X-Kubernetes-PF-FlowSchema-UID")) == exempt.UID && resp.Header.Get("X-Kubernetes-PF-PriorityLevel-UID") != ""
	})
	raw := func(path string) string {
		data, err := client.RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			t.Fatal(path, err)
		}
		return string(data)
	}
	const levels = "/debug/api_priority_and_fairness/dump_priority_levels"
	level, err := client.FlowcontrolV1().PriorityLevelConfigurations().Get(ctx, "workload-low", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mine := level.DeepCopy()
	mine.ObjectMeta = metav1.ObjectMeta{Name: "mine"}
	if _, err := client.FlowcontrolV1().PriorityLevelConfigurations().Create(ctx, mine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually("the new level is there", func() bool { return strings.Contains(raw(levels), "\nmine,") })
	if got := raw("/metrics"); !strings.Contains(got, `apiserver_flowcontrol_nominal_limit_seats{priority_level="mine"}`) {
		t.Error("no metric of the new level")
	}
	if err := client.FlowcontrolV1().PriorityLevelConfigurations().Delete(ctx, "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually("the level is gone", func() bool { return !strings.Contains(raw(levels), "\nmine,") })
}

// TestWithoutFairness leaves the limits of calls in flight, and no pages.
func TestWithoutFairness(t *testing.T) {
	c := serveClusterAs(t, func(cfg *Config) { *cfg.API.EnablePriorityAndFairness = false })
	doer, err := rest.HTTPClientFor(c.config)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/version": http.StatusOK, "/debug/api_priority_and_fairness/dump_queues": http.StatusNotFound} {
		resp, err := doer.Get(c.config.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, matched := resp.Header["X-Kubernetes-Pf-Flowschema-Uid"]; resp.StatusCode != want || matched {
			t.Errorf("%s: got %s, %v", path, resp.Status, resp.Header)
		}
	}
}

// TestOwnPartsAreCounted: what floe's own parts write shows in the metrics of priority and fairness, in the flow that upstream's parts have.
func TestOwnPartsAreCounted(t *testing.T) {
	c := serveCluster(t)
	k := kubernetes.NewForConfigOrDie(c.config)
	until(t, "requests of controllers", func() (bool, error) {
		text, err := k.RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
		const series = `apiserver_flowcontrol_dispatched_requests_total{flow_schema="kube-system-service-accounts",priority_level="workload-high"}`
		return err == nil && strings.Contains(string(text), series), err
	})
}
