package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// collector takes spans over gRPC, as any OpenTelemetry collector does.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	address string

	mu       sync.Mutex
	spans    []*tracev1.Span
	services []string
}

func openCollector(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server, ended := &collector{address: listener.Addr().String()}, grpc.NewServer(), make(chan error, 1)
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export implements collectorv1.TraceServiceServer.
func (c *collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range req.ResourceSpans {
		for _, attr := range of.Resource.Attributes {
			if attr.Key == "service.name" {
				c.services = append(c.services, attr.Value.GetStringValue())
			}
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// find is the span of a name in a trace; "" is any.
func (c *collector) find(t *testing.T, trace, name string) *tracev1.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, s := range c.spans {
		if trace == "" || hex.EncodeToString(s.TraceId) == trace {
			if s.Name == name {
				return s
			}
			names = append(names, s.Name)
		}
	}
	t.Fatalf("no span %q in trace %q, which has %q", name, trace, names)
	return nil
}

func attribute(s *tracev1.Span, key string) string {
	for _, attr := range s.Attributes {
		if attr.Key == key {
			return attr.Value.GetStringValue()
		}
	}
	return ""
}

// asking sends a traceparent with every request.
type asking struct {
	http.RoundTripper
	parent string
}

func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", a.parent)
	return a.RoundTripper.RoundTrip(r)
}

// hookServer admits everything and keeps the traceparents that it is sent.
func hookServer(t *testing.T) (server *httptest.Server, parents func() []string) {
	var mu sync.Mutex
	var got []string
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		got = append(got, r.Header.Get("Traceparent"))
		mu.Unlock()
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func tracingFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tracing.yaml")
	if err := os.WriteFile(path, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The traces that clients have begun: one is trusted.
const (
	joined = "0af7651916cd43dd8448eb211c80319c"
	linked = "1af7651916cd43dd8448eb211c80319c"
)

// TestTracing: a real collector gets the spans of a write, in the trace that a trusted client has begun, which a webhook is told of, too; who is not trusted begins
// a trace of their own. The last spans arrive when the server ends.
func TestTracing(t *testing.T) {
	ours := map[string]string{"traced": "yes"}
	to := openCollector(t)
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	c.env.Config.API.TracingConfigFile = tracingFile(t, "endpoint: "+to.address+"\nsamplingRatePerMillion: 1000000\n")
	c.start(t)
	hook, parents := hookServer(t)
	with := func(config *rest.Config, trace string) *kubernetes.Clientset {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return asking{next, "00-" + trace + "-b7ad6b7169203331-01"}
		})
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	admin, anonymous := with(rest.CopyConfig(c.config), joined), with(rest.AnonymousClientConfig(c.config), linked)
	hooked(t, admin, hook, ours)
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a", Labels: ours}}, metav1.CreateOptions{})
		return len(parents()) > 0, err // until the configuration is known
	})
	if err != nil {
		t.Fatal(err)
	}
	watching, err := admin.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{}) // what is told is not held back
	if err != nil {
		t.Fatal(err)
	}
	if first := <-watching.ResultChan(); first.Type != watch.Added {
		t.Errorf("watched %v", first)
	}
	watching.Stop()
	if _, err := anonymous.Discovery().ServerVersion(); err != nil {
		t.Fatal(err)
	}
	c.stop()
	checkSpans(t, to, parents()[0])
}

// hooked has a webhook see what is made with some labels.
func hooked(t *testing.T, client kubernetes.Interface, server *httptest.Server, ours map[string]string) {
	t.Helper()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	url, none := server.URL+"/admit", registrationv1.SideEffectClassNone
	_, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &registrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks"},
		Webhooks: []registrationv1.ValidatingWebhook{{
			Name: "hook.example.com", ClientConfig: registrationv1.WebhookClientConfig{URL: &url, CABundle: bundle}, SideEffects: &none,
			AdmissionReviewVersions: []string{"v1"}, Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{"CREATE"}, Rule: registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: ours}, // controllers make config maps, too
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func checkSpans(t *testing.T, to *collector, parent string) {
	t.Helper()
	const write = "POST /api/v1/namespaces/{:namespace}/configmaps"
	called := to.find(t, joined, "HTTP POST")
	if want := fmt.Sprintf("00-%s-%s-01", joined, hex.EncodeToString(called.SpanId)); parent != want {
		t.Errorf("the webhook was sent the traceparent %q, want %q", parent, want)
	}
	byID := map[string]*tracev1.Span{}
	for _, s := range to.spans {
		byID[string(s.SpanId)] = s
	}
	var way []string
	on := map[string]*tracev1.Span{}
	for s := called; s != nil; s = byID[string(s.ParentSpanId)] {
		way, on[s.Name] = append(way, s.Name), s
	}
	if got, want := strings.Join(way, " < "), "HTTP POST < Call validating webhook < Validating admission < Create < "+write; got != want {
		t.Fatalf("the call of the webhook stands in %s, want %s", got, want)
	}
	root, create := on[write], on["Create"]
	if got := attribute(root, "http.target"); got != "/api/v1/namespaces/default/configmaps" || attribute(root, "audit-id") == "" || root.Kind != tracev1.Span_SPAN_KIND_SERVER {
		t.Errorf("the request: %v", root)
	}
	for key, want := range map[string]string{"verb": "POST", "scope": "resource", "resource": "configmaps", "namespace": "default", "api-version": "v1", "client": "127.0.0.1"} {
		if got := attribute(create, key); got != want {
			t.Errorf("Create: %s is %q, want %q", key, got, want)
		}
	}
	commit := to.find(t, joined, "Commit")
	if len(commit.Events) != 1 || commit.Events[0].Name != "Synced" || !strings.HasPrefix(attribute(commit, "key"), "/registry/") {
		t.Errorf("the commit: %v", commit)
	}
	for _, name := range []string{"priorityandfairness", "authorization", "Mutating admission", "SerializeObject"} {
		to.find(t, joined, name)
	}
	for _, s := range to.spans {
		if hex.EncodeToString(s.TraceId) == linked {
			t.Errorf("an anonymous user has joined a trace: %v", s)
		}
	}
	own := to.find(t, "", "GET")
	if len(own.Links) != 1 || hex.EncodeToString(own.Links[0].TraceId) != linked {
		t.Errorf("an anonymous request is not linked to its trace: %v", own)
	}
	if len(to.services) == 0 || to.services[0] != "apiserver" {
		t.Errorf("services: %q", to.services)
	}
}

// TestTracingConfigurationStopsTheStart: with file, line and field.
func TestTracingConfigurationStopsTheStart(t *testing.T) {
	for text, want := range map[string]string{
		"samplingRatePerMillion: -1\n":                            ":3: samplingRatePerMillion: Invalid value: -1: sampling rate must be positive",
		"samplingRatePerMillion: 1000001\n":                       ":3: samplingRatePerMillion: Invalid value: 1000001: sampling rate per million must be less than or equal to one million",
		"samplingRatePerMillion: 1\nendpoint: http://localhost\n": ":4: endpoint: Invalid value: \"http://localhost\": unsupported scheme: http.  Options are none, dns, unix, or unix-abstract.",
		"endPoint: a\n": `:3: unknown field "endPoint"`,
	} {
		env := alone(filepath.Join(t.TempDir(), "data"))
		env.Config.API.TracingConfigFile = tracingFile(t, text)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := Run(ctx, env)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "api.tracingConfigFile: "+env.Config.API.TracingConfigFile+want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
