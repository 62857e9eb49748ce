package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- level: RequestResponse
  resources: [{group: "", resources: [configmaps, "configmaps/*"]}]
- level: Metadata
  verbs: [create]
- level: Metadata
  nonResourceURLs: ["/version"]
`

// TestAuditTrail: what clients and floe's own parts do is in the log, with objects, decisions and refusals.
func TestAuditTrail(t *testing.T) {
	dir := t.TempDir()
	log, policy := filepath.Join(dir, "audit.log"), filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &servedCluster{env: alone(filepath.Join(dir, "data"))}
	c.env.Config.API.Audit.PolicyFile, c.env.Config.API.Audit.Log.Path = policy, log
	c.env.Config.Controllers.Enabled = []string{"*", "-root-ca-certificate-publisher-controller"} // or the first config map is its
	c.start(t)
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	work(t, client, c.config)
	c.stop()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var events []auditv1.Event
	for line := range strings.Lines(string(data)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	checkTrail(t, events)
}

// work does something of each sort.
func work(t *testing.T, client *kubernetes.Clientset, config *rest.Config) {
	t.Helper()
	ctx := t.Context()
	maps := client.CoreV1().ConfigMaps("default")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{})
	must(err)
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("again: %v", err)
	}
	_, err = maps.Patch(ctx, "a", types.MergePatchType, []byte(`{"data":{"k":"w"}}`), metav1.PatchOptions{})
	must(err)
	_, err = maps.List(ctx, metav1.ListOptions{})
	must(err)
	watching, err := maps.Watch(ctx, metav1.ListOptions{})
	must(err)
	watching.Stop()
	background := metav1.DeletePropagationBackground
	must(maps.Delete(ctx, "a", metav1.DeleteOptions{PropagationPolicy: &background}))
	anonymous, err := kubernetes.NewForConfig(rest.AnonymousClientConfig(config))
	must(err)
	if _, err := anonymous.CoreV1().ConfigMaps("default").Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("anonymous: %v", err)
	}
	forged := rest.AnonymousClientConfig(config)
	forged.BearerToken = "forged"
	stranger, err := kubernetes.NewForConfig(forged)
	must(err)
	if _, err := stranger.CoreV1().ConfigMaps("default").Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsUnauthorized(err) {
		t.Fatalf("a forged token: %v", err)
	}
	_, err = client.Discovery().ServerVersion()
	must(err)
}

func checkTrail(t *testing.T, events []auditv1.Event) {
	t.Helper()
	find := func(what string, match func(*auditv1.Event) bool) *auditv1.Event {
		t.Helper()
		if i := slices.IndexFunc(events, func(e auditv1.Event) bool { return match(&e) }); i >= 0 {
			return &events[i]
		}
		t.Errorf("%s: is not in the trail of %d events", what, len(events))
		return &auditv1.Event{}
	}
	done := func(verb string, code int32) func(*auditv1.Event) bool {
		return func(e *auditv1.Event) bool {
			return e.Stage == auditv1.StageResponseComplete && e.Verb == verb && e.ObjectRef != nil && e.ObjectRef.Resource == "configmaps" && e.ObjectRef.Namespace == "default" &&
				e.ResponseStatus.Code == code
		}
	}
	body := func(data []byte) string { return string(data) }
	created := find("a create", done("create", 201))
	if created.RequestObject == nil || created.ResponseObject == nil || created.ObjectRef.Name != "a" {
		t.Fatalf("a create: %+v", created)
	}
	if got := body(created.RequestObject.Raw); got != `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}}` {
		t.Errorf("a create sent %s", got)
	}
	if got := body(created.ResponseObject.Raw); !strings.Contains(got, `"uid":`) || strings.Contains(got, "managedFields") {
		t.Errorf("a create got %s", got)
	}
	if created.User.Username != "kubernetes-admin" || created.Annotations["authorization.k8s.io/decision"] != "allow" || !slices.Equal(created.SourceIPs, []string{"127.0.0.1"}) ||
		created.RequestURI != "/api/v1/namespaces/default/configmaps" || created.UserAgent == "" {
		t.Errorf("a create: %+v", created)
	}
	find("its beginning", func(e *auditv1.Event) bool {
		return e.AuditID == created.AuditID && e.Stage == auditv1.StageRequestReceived
	})
	again := find("a refused create", done("create", 409))
	if again.ResponseStatus == nil || again.ResponseStatus.Reason != metav1.StatusReasonAlreadyExists || again.ResponseObject == nil {
		t.Errorf("a refused create: %+v", again)
	}
	patched := find("a patch", done("patch", 200))
	if patched.RequestObject == nil || body(patched.RequestObject.Raw) != `{"data":{"k":"w"}}` {
		t.Errorf("a patch: %+v", patched)
	}
	listed := find("a list", done("list", 200))
	if listed.ResponseObject == nil || !strings.Contains(body(listed.ResponseObject.Raw), `"kind":"ConfigMapList"`) {
		t.Errorf("a list: %+v", listed)
	}
	find("the beginning of a watch", func(e *auditv1.Event) bool { return e.Verb == "watch" && e.Stage == auditv1.StageResponseStarted })
	deleted := find("a deletion", done("delete", 200))
	if deleted.RequestObject == nil || body(deleted.RequestObject.Raw) != `{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/__internal","propagationPolicy":"Background"}` || deleted.ResponseStatus.Status != "Success" {
		t.Errorf("a deletion: %+v", deleted)
	}
	forbidden := find("a forbidden get", done("get", http.StatusForbidden))
	if forbidden.Annotations["authorization.k8s.io/decision"] != "forbid" || forbidden.User.Username != "system:anonymous" {
		t.Errorf("a forbidden get: %+v", forbidden)
	}
	unknown := find("a forged token", func(e *auditv1.Event) bool { return e.ResponseStatus != nil && e.ResponseStatus.Code == 401 })
	if unknown.Stage != auditv1.StageResponseStarted || unknown.ResponseStatus == nil || unknown.ResponseStatus.Message != "Authentication failed, attempted: bearer" {
		t.Errorf("a forged token: %+v", unknown)
	}
	find("a page", func(e *auditv1.Event) bool {
		return e.RequestURI == "/version" && e.ObjectRef == nil && e.Verb == "get"
	})
	own := find("the work of floe's own controllers", func(e *auditv1.Event) bool {
		return strings.HasPrefix(e.User.Username, "system:") && e.User.Username != "system:anonymous" && e.Verb == "create" && e.Stage == auditv1.StageResponseComplete
	})
	if own.RequestObject != nil || own.ObjectRef == nil || own.RequestURI == "" {
		t.Errorf("a controller's request: %+v", own)
	}
}

// TestAuditPolicyStopsTheStart: with file, line and field.
func TestAuditPolicyStopsTheStart(t *testing.T) {
	env := alone(filepath.Join(t.TempDir(), "data"))
	path := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(path, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Some\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env.Config.API.Audit.PolicyFile = path
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Run(ctx, env); err == nil || !strings.Contains(err.Error(), path+":4: rules[0].level") {
		t.Errorf("got %v", errors.Join(err, io.EOF))
	}
}
