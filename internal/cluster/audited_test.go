package cluster

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestAuditTellsOfOthers: the trail has who acts as whom, those too who may not, what plug-ins say of a request, and by which credential its user is known.
func TestAuditTellsOfOthers(t *testing.T) {
	dir := t.TempDir()
	log, policy := filepath.Join(dir, "audit.log"), filepath.Join(dir, "policy.yaml")
	const rules = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  omitStages: [RequestReceived]\n  resources: [{group: \"\", resources: [secrets, pods]}]\n"
	if err := os.WriteFile(policy, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &servedCluster{env: alone(filepath.Join(dir, "data"))}
	c.env.Config.API.Audit.PolicyFile, c.env.Config.API.Audit.Log.Path = policy, log
	c.start(t)
	as := func(name string) *kubernetes.Clientset {
		config := rest.CopyConfig(c.config)
		config.Impersonate.UserName = name
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	other := as("other")
	if _, err := other.CoreV1().Secrets("default").Get(t.Context(), "by-other", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("as another: %v", err)
	}
	admin := as("")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) { // the default account is not there yet
			return false, nil
		}
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	checkOthers(t, log)
}

func checkOthers(t *testing.T, log string) {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	acted, said := false, false
	for line := range strings.Lines(string(data)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch {
		case e.ObjectRef.Name == "by-other":
			acted = true
			if e.User.Username != "kubernetes-admin" || e.ImpersonatedUser == nil || e.ImpersonatedUser.Username != "other" || e.ResponseStatus.Code != 403 {
				t.Errorf("as another: %s", line)
			}
			if id := e.User.Extra["authentication.kubernetes.io/credential-id"]; len(id) != 1 || !strings.HasPrefix(id[0], "X509SHA256=") {
				t.Errorf("the credential: %v", id)
			}
		case e.ObjectRef.Resource == "pods" && e.Verb == "create" && e.ResponseStatus.Code == 201:
			said = true
			if got := e.Annotations["pod-security.kubernetes.io/enforce-policy"]; got != "privileged:latest" {
				t.Errorf("a pod: %s", line)
			}
		}
	}
	if !acted || !said {
		t.Errorf("the trail lacks the user who acts as another (%t) or the pod (%t):\n%s", acted, said, data)
	}
}
