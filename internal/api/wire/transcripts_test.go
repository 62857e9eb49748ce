package wire_test

import (
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	policies "github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/bootstrap"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

// differencesFile lists the requests of the transcripts that floe does not answer as upstream does, word for word. The list may only shrink: what is
// missing in it fails, and what is no longer needed does, too. Its comments, lines that begin with #, stand first and say why something differs. With -differences it is written anew, and the answers that differ go to the folder that it names.
const differencesFile = "testdata/differences.txt"

var differences = flag.String("differences", "", "write the list of differences anew, and both answers of each to this folder")

// TestTranscripts sends what upstream's server was asked, and compares the whole answers.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../../../test/peers/recorded/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	known, reasons := listed(t, differencesFile)
	p := newPeer(t, "ServiceAccount") // as upstream's, which had no controller of service accounts
	var found []string
	total := 0
	for _, file := range files {
		blocks, err := transcript.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range blocks {
			total++
			r := exchange.Parse(b.Input)
			name := strings.TrimSpace(fmt.Sprintf("%s %d: %s", strings.TrimSuffix(filepath.Base(file), ".txt"), i+1, strings.ReplaceAll(r.String(), "\n", " ")))
			got := p.answer(t, r)
			if got == b.Answer {
				continue
			}
			found = append(found, name)
			p.keep(t, name, b.Answer, got)
			if !known[name] && *differences == "" {
				t.Errorf("%s: floe answers\n%s\nupstream\n%s", name, got, b.Answer)
			}
			delete(known, name)
		}
	}
	t.Logf("%d of %d answers are upstream's", total-len(found), total)
	if *differences != "" {
		if err := os.WriteFile(differencesFile, []byte(reasons+strings.Join(append(found, ""), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name := range known {
		t.Errorf("%s: the answer is upstream's now: take it off the list", name)
	}
}

// peer is a floe that is asked what upstream was.
type peer struct {
	*served
	clock  *hurried
	memory transcript.Memory
}

// hurried is a clock whose time passes when somebody asked waits for it.
type hurried struct {
	*clocktesting.FakeClock
	waits chan time.Duration
}

func (c *hurried) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := c.FakeClock.AfterFunc(d, f)
	c.waits <- d
	return t
}

func (c *hurried) NewTimer(d time.Duration) clock.Timer {
	t := c.FakeClock.NewTimer(d)
	c.waits <- d
	return &hurriedTimer{t, c}
}

func (c *hurried) After(d time.Duration) <-chan time.Time {
	over := c.FakeClock.After(d)
	c.waits <- d
	return over
}

// hurriedTimer is a timer whose waits are told of, each time that it is set.
type hurriedTimer struct {
	clock.Timer
	clock *hurried
}

func (t *hurriedTimer) Reset(d time.Duration) bool {
	was := t.Timer.Reset(d)
	t.clock.waits <- d
	return was
}

// recorded is about when upstream was asked: tables show how long ago something was.
var recorded = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// byCertificate is byHeader where the administrator comes with a certificate, as upstream's does.
func byCertificate(r *http.Request) (auth.User, bool, error) {
	user, ok, err := byHeader(r)
	if user.Name == "bob" {
		user.Groups = append([]string{"team"}, user.Groups...) // upstream's list of tokens has it
	}
	if r.Header.Get("X-User") == "" {
		user.Extra = map[string][]string{"authentication.kubernetes.io/credential-id": {"X509SHA256=" + strings.Repeat("0", 64)}}
	}
	return user, ok, err
}

func newPeer(t *testing.T, without ...string) *peer {
	t.Helper()
	p := &peer{served: &served{Cluster: apitest.New(t)}}
	p.Clock.SetTime(recorded)
	p.clock = &hurried{p.Clock, make(chan time.Duration)}
	chained(t, p.Cluster, p.clock, without)
	p.API.Clock = p.clock
	handler := wire.New(wire.Config{
		API: p.API, Authenticator: byCertificate, Clock: p.clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
		Gather: prometheus.NewRegistry(), Documents: []wire.Document{{Path: token.DiscoveryPath, Read: blank}, {Path: token.KeysPath, Read: blank}},
		Flags: func() map[string]string { return nil }, Statusz: true,
		Build: wire.Build{Commit: "$Format:%H$", Date: "1970-01-01T00:00:00Z"}, // as upstream's own build without a stamp
	})
	handler.SetReady()
	p.Server = httptest.NewServer(handler)
	t.Cleanup(p.Server.Close)
	services, ok := allocation.NewRange(netip.MustParsePrefix("10.96.0.0/16")) // upstream's where it was asked
	if !ok {
		t.Fatal("no range")
	}
	begin := bootstrap.New(bootstrap.Config{
		Client: inprocess.New(p.API, apitest.Administrator()), Clock: p.Clock, Log: observe.Discard(), Policy: policies.Objects(), Ranges: []allocation.Range{services},
		Served: handler.Served(), Address: netip.MustParseAddr("127.0.0.1"), Port: 6443, Host: "peer", Instance: "i",
	})
	if err := begin.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// pagesKept is longer than the state is kept of which a list's first page was.
const pagesKept = 6 * time.Minute

func (p *peer) answer(t *testing.T, r exchange.Request) string {
	t.Helper()
	switch r.Method {
	case "COMPACT":
		p.compact(t)
		return "compacted\n"
	case "SETTLE":
		p.Clock.Step(settled)
		return "settled\n"
	case "AWAIT":
		p.await(t, r)
		return "awaited\n"
	}
	req, err := p.memory.Request(t.Context(), p.URL, r)
	if err != nil {
		t.Fatal(err)
	}
	text, seen, err := p.send(r, req)
	if err != nil {
		t.Fatal(err)
	}
	p.memory.Note(r, seen)
	return text
}

// await asks for a path until the answer has the text of r.
func (p *peer) await(t *testing.T, r exchange.Request) {
	t.Helper()
	for range awaited {
		resp := p.served.send(t, "GET "+r.Path)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), r.Header[transcript.Until]) {
			return
		}
	}
	t.Errorf("%s: %q is not there", r.Path, r.Header[transcript.Until])
}

// settled is about as long as upstream is given: what is made before and after is of different seconds.
const settled = 2 * time.Second

// awaited is how often await asks, some seconds of work.
const awaited = 10_000

// compact forgets all that is not current. Of upstream's pages the rest is gone then as well; here it goes in time. A log keeps what its newest record
// replaced: that is one of nobody's.
func (p *peer) compact(t *testing.T) {
	t.Helper()
	c, res := inprocess.New(p.API, apitest.Administrator()), corev1.SchemeGroupVersion.WithResource("configmaps")
	newest := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "newest", Namespace: metav1.NamespacePublic}}
	if _, err := c.Create(t.Context(), res, newest, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), res, newest.Namespace, newest.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Log.Compact(t.Context(), p.API.Store.Snapshot().Revision()); err != nil {
		t.Fatal(err)
	}
	p.Clock.Step(pagesKept)
	// Watches go on from what the table still has of the past, which is more than the log. Of events it has to forget that too, or
	// there is nothing to refuse: upstream watches those in its log.
	events := p.API.Kind(corev1.SchemeGroupVersion.WithResource("events"))
	for _, c := range api.Collections([]*kinds.Kind{events}) {
		if err := p.API.Store.Adopt([]string{c.Prefix}, []store.Collection{c}); err != nil {
			t.Fatal(err)
		}
	}
}

// send lets the time pass for which somebody waits before there is an answer.
func (p *peer) send(r exchange.Request, req *http.Request) (text string, seen transcript.Seen, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var resp *http.Response
		if resp, err = p.Client().Do(req); err == nil {
			text, seen, err = transcript.Answer(r, resp)
		}
	}()
	for {
		select {
		case <-done:
			return text, seen, err
		case d := <-p.clock.waits:
			p.Clock.Step(d)
		}
	}
}

// keep writes both answers side by side for a reader.
func (p *peer) keep(t *testing.T, name, want, got string) {
	if *differences == "" {
		return
	}
	file := filepath.Join(*differences, strings.NewReplacer(" ", "-", "/", "_", ":", "").Replace(name[:min(len(name), 60)]))
	if err := os.WriteFile(file, []byte(name+"\n==== upstream\n"+want+"==== floe\n"+got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// blank is a document that says nothing.
func blank() ([]byte, int) { return nil, token.DiscoveryMaxAge }
