package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func policy(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := LoadPolicy(writeFile(t, "policy.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPolicyRefused: with the file, the line and the field.
func TestPolicyRefused(t *testing.T) {
	const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
	for text, want := range map[string]string{
		head:                    ":1: rules: Required value: loaded illegal policy with 0 rules",
		head + "rules:\n- {}\n": ":4: rules[0].level: Required value",
		head + "rules:\n- level: None\n- level: All\n":                                 ":5: rules[1].level: Unsupported value: \"All\"",
		head + "rules:\n- level: None\n  verb: [get]\n":                                ":5: unknown field \"rules[0].verb\"",
		head + "rules:\n- level: None\n  nonResourceURLs: [healthz]\n":                 ":5: rules[0].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin",
		head + "rules:\n- level: None\n  nonResourceURLs: ['/a*b']\n":                  "wildcards '*' must be the final character",
		head + "rules:\n- level: None\n  nonResourceURLs: ['/a']\n  namespaces: [x]\n": "rules cannot apply to both",
		head + "rules:\n- level: None\n  resources:\n  - group: apps/v1\n":             ":6: rules[0].resources[0].group: Invalid value: \"apps/v1\"",
		head + "rules:\n- level: None\n  resources:\n  - resourceNames: [a]\n":         "using resourceNames requires at least one resource",
		head + "omitStages: [Begin]\nrules: [{level: None}]\n":                         ":3: omitStages[0]: Invalid value: \"Begin\": allowed stages are",
		"apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]\n":     `must be audit.k8s.io/v1 Policy`,
		"rules: [{level: None}]\n":                                                     `apiVersion "", kind ""`,
	} {
		path := writeFile(t, "p", text)
		if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s\ngot %v, want %q with the path", text, err, want)
		}
	}
}

func TestPolicyDecides(t *testing.T) {
	p := policy(t, `
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: [quiet]}
- {level: Request, userGroups: [g], omitManagedFields: false}
- {level: None, nonResourceURLs: ["/healthz*", "/version"]}
- {level: RequestResponse, resources: [{group: "", resources: ["pods", "*/scale", "configmaps/*"], resourceNames: []}]}
- {level: Metadata, resources: [{group: "", resources: [secrets], resourceNames: [one]}], omitStages: [Panic]}
- {level: Request, namespaces: [""], resources: [{group: "*", resources: ["*"]}], verbs: [delete]}
- {level: Metadata, resources: [{group: apps}]}
`)
	get := func(group, resource, part, namespace, name string) auth.Attributes {
		return auth.Attributes{Verb: "get", Group: group, Resource: resource, Subresource: part, Namespace: namespace, Name: name}
	}
	for _, c := range []struct {
		user  auth.User
		attrs auth.Attributes
		want  string
	}{
		{auth.User{Name: "quiet", Groups: []string{"g"}}, get("", "pods", "", "n", "a"), "None"},
		{auth.User{Groups: []string{"f", "g"}}, get("", "pods", "", "n", "a"), "Request"},
		{auth.User{}, auth.Attributes{Verb: "get", Path: "/healthz/ping"}, "None"},
		{auth.User{}, auth.Attributes{Verb: "get", Path: "/versions"}, "None"}, // of no rule
		{auth.User{}, get("", "pods", "", "n", "a"), "RequestResponse"},
		{auth.User{}, get("", "pods", "log", "n", "a"), "None"},
		{auth.User{}, get("", "replicationcontrollers", "scale", "n", "a"), "RequestResponse"},
		{auth.User{}, get("", "configmaps", "x", "n", "a"), "RequestResponse"},
		{auth.User{}, get("", "secrets", "", "n", "one"), "Metadata"},
		{auth.User{}, get("", "secrets", "", "n", "two"), "None"},
		{auth.User{}, auth.Attributes{Verb: "delete", Group: "x", Resource: "nodes", Name: "a"}, "Request"},
		{auth.User{}, auth.Attributes{Verb: "delete", Group: "x", Resource: "nodes", Name: "a", Namespace: "n"}, "None"},
		{auth.User{}, get("apps", "deployments", "status", "n", "a"), "Metadata"},
	} {
		if got := p.of(c.user, c.attrs); string(got.level) != c.want {
			t.Errorf("%+v of %+v: level %s, want %s", c.attrs, c.user, got.level, c.want)
		}
	}
	one := p.of(auth.User{}, get("", "secrets", "", "n", "one"))
	if !one.omits(auditv1.StagePanic) || !one.omits(auditv1.StageRequestReceived) || one.omits(auditv1.StageResponseComplete) || !one.unmanaged {
		t.Errorf("a rule's stages and the policy's: %+v", one)
	}
	if p.of(auth.User{Groups: []string{"g"}}, get("", "pods", "", "", "")).unmanaged {
		t.Error("a rule's omitManagedFields does not win")
	}
}

// taken keeps what it is given.
type taken struct {
	mu     sync.Mutex
	events []*auditv1.Event
	fails  bool
}

func (s *taken) take(events ...*auditv1.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return !s.fails
}

func trail(p *Policy, to ...sink) *Trail {
	t := &Trail{policy: p, clock: clock.RealClock{}, metrics: NewMetrics(), log: slog.New(slog.DiscardHandler), sinks: to, strict: make([]bool, len(to))}
	t.ended, t.stop = context.WithCancel(context.Background())
	return t
}

func count(t *testing.T, c interface{ Write(*dto.Metric) error }) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func request() *Request {
	return &Request{
		ID: "id", Received: at, User: auth.User{Name: "u", UID: "7", Groups: []string{"g", "h"}, Extra: map[string][]string{"k": {"v"}}},
		Attributes: auth.Attributes{Verb: "create", Version: "v1", Resource: "pods", Namespace: "n"}, URI: "/api/v1/namespaces/n/pods?x=y",
		UserAgent: "agent", SourceIPs: []string{"10.0.0.1"},
	}
}

// TestRecord holds the lines of one request as kube-apiserver writes them.
func TestRecord(t *testing.T) {
	var lines bytes.Buffer
	tr := trail(policy(t, "rules: [{level: RequestResponse, omitManagedFields: true}]"))
	tr.sinks, tr.strict = []sink{&logSink{trail: tr, out: &lines}}, []bool{false}
	ctx, r, ok := tr.Begin(t.Context(), request())
	if !ok || From(ctx) != r || r == nil {
		t.Fatalf("begin: %v %t", r, ok)
	}
	r.Decide(true, "because", nil)
	r.Decide(false, "not", nil)
	r.Annotate("plugin/x", "1")
	r.Impersonate(auth.User{Name: "other"}, "")
	r.Request(&metav1.ObjectMeta{Name: "p", UID: "u1"}, func() ([]byte, error) {
		return []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","managedFields":[{}]},"n":12345678901234567890}` + "\n"), nil
	})
	r.Started(201)
	r.Response(func() ([]byte, error) { return []byte(`{"items":[{"metadata":{"managedFields":[]}}]}`), nil })
	r.End(nil)
	var got []map[string]any
	for line := range strings.Lines(lines.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if one["stage"] == "ResponseComplete" {
			delete(one, "stageTimestamp")
		}
		got = append(got, one)
	}
	var want []map[string]any
	if err := json.Unmarshal([]byte(`[
{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"id","stage":"RequestReceived","requestURI":"/api/v1/namespaces/n/pods?x=y",
"verb":"create","user":{"username":"u","uid":"7","groups":["g","h"],"extra":{"k":["v"]}},"sourceIPs":["10.0.0.1"],"userAgent":"agent",
"objectRef":{"resource":"pods","namespace":"n","apiVersion":"v1"},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.678901Z"},
{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"id","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/n/pods?x=y",
"verb":"create","user":{"username":"u","uid":"7","groups":["g","h"],"extra":{"k":["v"]}},"impersonatedUser":{"username":"other"},"sourceIPs":["10.0.0.1"],"userAgent":"agent",
"objectRef":{"resource":"pods","namespace":"n","name":"p","uid":"u1","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},
"requestObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"n":12345678901234567890},"responseObject":{"items":[{"metadata":{}}]},
"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"because","plugin/x":"1"}}]`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := count(t, tr.metrics.events); n != 2 {
		t.Errorf("%v events counted", n)
	}
}

// TestStages of long, failed, panicked and silent requests.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		what string
		long bool
		do   func(*Record)
		want string
	}{
		{"short", false, func(r *Record) { r.Started(200); r.End(nil) }, "RequestReceived ResponseComplete:200"},
		{"long", true, func(r *Record) { r.Started(200); r.Started(500); r.End(nil) }, "RequestReceived ResponseStarted:200 ResponseComplete:200"},
		{"long, nothing sent", true, func(r *Record) { r.End(nil) }, "RequestReceived ResponseStarted:200 ResponseComplete:200"},
		{"panic", false, func(r *Record) { r.End("oh") }, "RequestReceived Panic:500"},
		{"refused", false, func(r *Record) {
			r.Status(&metav1.Status{Code: 403, Reason: "Forbidden"})
			r.Started(403)
			r.End(nil)
		}, "RequestReceived ResponseComplete:403"},
	} {
		to := &taken{}
		req := request()
		req.Long = c.long
		_, r, _ := trail(policy(t, "rules: [{level: Metadata}]"), to).Begin(t.Context(), req)
		c.do(r)
		var got []string
		for _, e := range to.events {
			text := string(e.Stage)
			if e.ResponseStatus != nil {
				text += ":" + http.StatusText(int(e.ResponseStatus.Code))
			}
			got = append(got, text)
			if e.RequestObject != nil || e.ResponseObject != nil {
				t.Errorf("%s: objects at the level Metadata", c.what)
			}
		}
		want := strings.NewReplacer("200", "OK", "500", "Internal Server Error", "403", "Forbidden").Replace(c.want)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", c.what, got, want)
		}
	}
}

// TestNothingWithoutAPolicy: no memory is spent.
func TestNothingWithoutAPolicy(t *testing.T) {
	var tr *Trail
	req := request()
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		_, r, ok := tr.Begin(ctx, req)
		r.Decide(ok, "", nil)
		r.Annotate("a", "b")
		r.Patch(nil)
		r.Started(200)
		r.End(nil)
		From(ctx).Decide(true, "", nil)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	got, err := Open(new(DefaultConfig()), Environment{})
	if got != nil || err != nil {
		t.Errorf("%v %v", got, err)
	}
}

// TestStrict refuses what cannot be told, the other modes go on.
func TestStrict(t *testing.T) {
	for _, strict := range []bool{true, false} {
		tr := trail(policy(t, "rules: [{level: Metadata}]"), &taken{fails: true})
		tr.strict[0] = strict
		_, r, ok := tr.Begin(t.Context(), request())
		if ok == strict || (r == nil) != strict {
			t.Errorf("strict %t: ok %t, record %v", strict, ok, r)
		}
		if n := count(t, tr.metrics.rejected); n != map[bool]float64{true: 1}[strict] {
			t.Errorf("strict %t: %v rejected", strict, n)
		}
	}
}

func TestUnauthenticated(t *testing.T) {
	to := &taken{}
	req := request()
	req.User = auth.User{}
	trail(policy(t, "rules: [{level: Metadata}]"), to).Unauthenticated(req, "Authentication failed, attempted: bearer")
	if len(to.events) != 1 || to.events[0].Stage != auditv1.StageResponseStarted || to.events[0].ResponseStatus.Code != 401 || to.events[0].User.Username != "" {
		t.Errorf("%+v", to.events)
	}
}

func TestTruncate(t *testing.T) {
	to := &taken{}
	tr := trail(policy(t, "rules: [{level: RequestResponse}]"))
	tr.sinks, tr.strict = []sink{&truncating{tr, to, Truncate{MaxEventSize: 1000, MaxBatchSize: 1 << 20}}}, []bool{false}
	_, r, _ := tr.Begin(t.Context(), request())
	r.Request(nil, func() ([]byte, error) { return []byte(`"` + strings.Repeat("x", 2000) + `"`), nil })
	r.End(nil)
	if len(to.events) != 2 || to.events[1].RequestObject != nil || to.events[1].Annotations["audit.k8s.io/truncated"] != "true" {
		t.Fatalf("%d events, the last %+v", len(to.events), to.events[len(to.events)-1])
	}
	r.Annotate("long", strings.Repeat("x", 2000))
	r.End(nil)
	if n := count(t, tr.metrics.errors.WithLabelValues("truncate")); n != 1 || len(to.events) != 2 {
		t.Errorf("%v lost, %d taken", n, len(to.events))
	}
}

// TestBatch sends what is full or has waited, and at the end what is left.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []int
		tr := trail(policy(t, "rules: [{level: Metadata}]"))
		b := newBatching(tr, func(_ context.Context, events []*auditv1.Event) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, len(events))
		}, Batch{BufferSize: 10, MaxSize: 3, MaxWait: metav1.Duration{Duration: 30 * time.Second}}, clock.RealClock{}, 1)
		for range 12 {
			b.take(&auditv1.Event{})
		}
		if n := count(t, tr.metrics.errors.WithLabelValues("buffered")); n != 2 {
			t.Errorf("%v lost of 12, with room for 10", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		synctest.Wait()
		if diff := cmp.Diff([]int{3, 3, 3}, sent); diff != "" {
			t.Error(diff)
		}
		time.Sleep(31 * time.Second) // of the bubble
		synctest.Wait()
		b.take(&auditv1.Event{})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]int{3, 3, 3, 1, 1}, sent); diff != "" {
			t.Error(diff)
		}
		b.take(&auditv1.Event{})
		if n := count(t, tr.metrics.errors.WithLabelValues("buffered")); n != 3 {
			t.Errorf("%v lost after the end", n)
		}
	})
}

// TestBatchThatHangs is given up at the end, after a bounded time, and what it had is counted.
func TestBatchThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := trail(policy(t, "rules: [{level: Metadata}]"))
		b := newBatching(tr, func(ctx context.Context, events []*auditv1.Event) {
			<-ctx.Done()
			tr.lost(webhookPlugin, ctx.Err(), events...)
		}, Batch{BufferSize: 100, MaxSize: 1}, clock.RealClock{}, 2)
		for range 10 {
			b.take(&auditv1.Event{})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := b.run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != drainTime {
			t.Errorf("gave up after %s", took)
		}
		if n := count(t, tr.metrics.errors.WithLabelValues(webhookPlugin)) + count(t, tr.metrics.errors.WithLabelValues("buffered")); n != 10 {
			t.Errorf("%v of 10 counted as lost", n)
		}
	})
}

// collector is a real server that events are posted to. It refuses the first fails requests, by a code or by cutting the connection off.
type collector struct {
	mu    sync.Mutex
	fails int
	cut   bool
	got   []auditv1.EventList
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails > 0 {
		c.fails--
		if c.cut {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, "no", http.StatusTeapot)
		return
	}
	data, err := io.ReadAll(r.Body)
	var list auditv1.EventList
	if err = errors.Join(err, json.Unmarshal(data, &list)); err != nil || list.Kind != "EventList" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "what?", http.StatusBadRequest)
		return
	}
	c.got = append(c.got, list)
}

func TestWebhook(t *testing.T) {
	for _, c := range []struct {
		fails int
		cut   bool
		want  bool
	}{{0, false, true}, {4, false, true}, {4, true, true}, {5, false, false}} {
		to := &collector{fails: c.fails, cut: c.cut}
		server := httptest.NewTLSServer(to)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		file := writeFile(t, "kubeconfig", `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"`+server.URL+`/path","insecure-skip-tls-verify":true}}],
"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`)
		tr := trail(policy(t, "rules: [{level: Metadata}]"))
		hook, err := newWebhook(tr, &WebhookConfig{ConfigFile: file, InitialBackoff: metav1.Duration{Duration: time.Microsecond}},
			Environment{Clock: clock.RealClock{}, Chance: func() float64 { return 0.5 }})
		if err != nil {
			t.Fatal(err)
		}
		if got := hook.take(&auditv1.Event{AuditID: "1"}, &auditv1.Event{AuditID: "2"}); got != c.want {
			t.Errorf("%+v: taken %t", c, got)
		}
		if c.want && (len(to.got) != 1 || len(to.got[0].Items) != 2 || to.got[0].Items[1].AuditID != "2") {
			t.Errorf("%+v: the server got %+v", c, to.got)
		}
		if n := count(t, tr.metrics.errors.WithLabelValues("webhook")); (n == 0) != c.want {
			t.Errorf("%+v: %v lost", c, n)
		}
		server.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	good := writeFile(t, "policy", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n")
	env := Environment{Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(), Chance: func() float64 { return 0 }}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.PolicyFile = "/none" }, "audit.policyFile: audit policy: open /none"},
		{func(c *Config) { c.Log.Path = "/dev/null/x/y" }, "audit.log.path: "},
		{func(c *Config) { c.Webhook.ConfigFile = "/none" }, "audit.webhook.configFile: /none"},
		{func(c *Config) { c.Webhook.ConfigFile = good }, "audit.webhook.configFile: " + good},
	} {
		cfg := DefaultConfig()
		cfg.PolicyFile = good
		c.change(&cfg)
		if _, err := Open(&cfg, env); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	cfg := DefaultConfig()
	cfg.Log.Path, cfg.Webhook.ConfigFile = "-", "x"
	if errs := cfg.Validate(); len(errs) != 0 {
		t.Error(errs)
	}
	cfg.Log.Mode, cfg.Log.Format, cfg.Log.Version, cfg.Log.MaxAge, cfg.Webhook.Batch.MaxSize = "x", "x", "v2", -1, 0
	if errs := cfg.Validate(); len(errs) != 5 {
		t.Error(errs)
	}
}

func TestLegacy(t *testing.T) {
	e := &auditv1.Event{RequestReceivedTimestamp: metav1.NewMicroTime(at), AuditID: "id", Stage: auditv1.StageRequestReceived, Verb: "get", RequestURI: "/x"}
	e.User.Username, e.User.Groups = "u", []string{"a", "b"}
	want := `2026-01-02T03:04:05.678901Z AUDIT: id="id" stage="RequestReceived" ip="<unknown>" method="get" user="u" groups="\"a\",\"b\"" as="<self>" asgroups="<lookup>" user-agent="" namespace="<none>" uri="/x" response="<deferred>"`
	if got := legacy(e); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
