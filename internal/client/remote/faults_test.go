package remote_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client/remote"
)

// TestWhatServersDo tries watches that go wrong. Each ends with the object "end", and the changes up to it are seen once and in order.
func TestWhatServersDo(t *testing.T) {
	garbage := func(frames ...string) []step {
		return []step{say(added("3", "a"), mark("5")), say(frames...), say(added("9", "end"), mark("9"))}
	}
	whole := []string{"end ->9@9"}
	for _, c := range []struct {
		name  string
		steps []step
		told  []string
		asked string // what the watches began after
		says  string // in the log
	}{
		{"it breaks in the middle of a frame", []step{
			say(added("3", "a"), mark("5")), cut(3, changed("6", "a"), mark("6"), changed("7", "a")), say(changed("7", "a"), added("8", "end"), mark("8")),
		}, []string{"a 3>6@6", "a 6>7@7", "end ->8@8"}, " 5 6", "unexpected EOF"},
		{"it breaks before the mark, so that nothing of the transaction was shown", []step{
			say(added("3", "a"), mark("5")), cut(0, changed("6", "a"), deleted("7", "a")), say(changed("6", "a"), deleted("7", "a"), added("8", "end"), mark("8")),
		}, []string{"a 3>6@6", "a 6>-@7", "end ->8@8"}, " 5 5", ""},
		{"it breaks while the state is loaded", []step{
			cut(9, added("3", "a"), mark("5")), say(added("3", "a"), mark("5")), say(added("8", "end"), mark("8")),
		}, []string{"end ->8@8"}, "  5", ""},
		{"it is quiet, and its mark goes on", []step{
			say(added("3", "a"), mark("5")), cut(0, mark("60")), say(added("61", "end"), mark("61")),
		}, []string{"end ->61@61"}, " 5 60", ""},
		{"a state repeats objects and takes some back", []step{
			say(added("3", "a"), added("4", "b"), changed("5", "a"), deleted("6", "b"), mark("7")), say(changed("8", "a"), added("9", "end"), mark("9")),
		}, []string{"a 5>8@8", "end ->9@9"}, " 7", ""},
		{"no frame", garbage("GET / HTTP/1.1 and so on"), whole, " 5 5", "a frame of"},
		{"an empty frame", garbage("\x00\x00\x00\x00"), whole, " 5 5", "a frame of 0 bytes"},
		{"a frame that is no event", garbage("\x00\x00\x00\x03abc"), whole, " 5 5", "no event"},
		{"an event without an object", garbage(rawFrame("ADDED", nil)), whole, " 5 5", "no object in protobuf"},
		{"an event in JSON", garbage(rawFrame("ADDED", []byte(`{"kind":"ConfigMap"}`))), whole, " 5 5", "no object in protobuf"},
		{"an event of no type", garbage(frame("RENAMED", at("6", "a"))), whole, " 5 5", `type "RENAMED"`},
		{"a kind that was not asked for", garbage(frame("ADDED", &corev1.Secret{ObjectMeta: at("6", "a").ObjectMeta})), whole, " 5 5", "a Secret of v1, which was not asked for"},
		{"an object without a name", garbage(frame("ADDED", at("6", "")), mark("6")), whole, " 5 5", `a ConfigMap named "" in ""`},
		{"an object without a revision", garbage(added("", "b")), whole, " 5 5", `the resourceVersion ""`},
		{"a damaged object", garbage(rawFrame("ADDED", []byte("k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x02\x0a\x7f"))), whole, " 5 5", "a damaged ConfigMap"},
		{"a change from the past", garbage(changed("5", "a"), mark("6")), whole, " 5 5", "at revision 5 after 5"},
		{"changes out of order", garbage(changed("7", "a"), added("6", "b"), mark("7")), whole, " 5 5", "at revision 6 after 7"},
		{"a mark before its changes", garbage(changed("7", "a"), mark("6")), whole, " 5 5", "before the mark 6"},
		{"a mark from the past", garbage(mark("4")), whole, " 5 5", "has been at 5"},
		{"an error that is none", garbage(frame("ERROR", at("6", "a"))), whole, " 5 5", "no Status but ConfigMap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, s, logged := perform(t, c.steps...)
			if _, err := client.View(t.Context()); err != nil { // the state is loaded; more may have come by now
				t.Fatal(err)
			}
			loaded, err := strconv.ParseUint(strings.Fields(c.asked)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(follow(t, client, loaded), ", "); got != strings.Join(c.told, ", ") {
				t.Errorf("told %s\nwant %s", got, strings.Join(c.told, ", "))
			}
			s.mu.Lock()
			asked := strings.Join(s.asked, " ")
			s.mu.Unlock()
			if asked != c.asked {
				t.Errorf("watches began after %q, want %q", asked, c.asked)
			}
			for found := c.says == ""; !found; {
				select {
				case text := <-logged:
					found = strings.Contains(text, c.says)
				default:
					t.Fatalf("the log does not say %q", c.says)
				}
			}
		})
	}
}

// TestGoneInTheMiddle: the client loads the state anew and takes the difference; streams from before end as expired.
func TestGoneInTheMiddle(t *testing.T) {
	for name, second := range map[string]step{
		"as an event": say(changed("6", "c"), mark("6"), gone()),
		"as an answer": func(w io.Writer, _ context.Context) {
			status := apierrors.NewResourceExpired("too old").Status()
			body := frame("ERROR", &status)
			w.(http.ResponseWriter).WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, body) // no Status in this form: the code alone says it
		},
	} {
		t.Run(name, func(t *testing.T) {
			more := make(chan struct{})
			c, _, _ := perform(t, say(added("3", "a"), added("4", "b"), added("5", "c"), mark("5")), second,
				say(added("3", "a"), added("40", "b"), added("41", "d"), mark("50")),
				func(w io.Writer, ctx context.Context) {
					<-more
					say(added("51", "end"), mark("51"))(w, ctx)
				})
			first, err := c.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			was := first.Get(configMaps, "default", "a")
			told := follow(t, c, first.Revision())
			if got := told[len(told)-1]; got != string(metav1.StatusReasonExpired) {
				t.Errorf("the stream from before: %v", told)
			}
			if got, want := shown(t, c), "50: a@3 b@40 d@41"; got != want {
				t.Errorf("a new view shows %s, want %s", got, want)
			}
			view, err := c.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if now := view.Get(configMaps, "default", "a"); now != was {
				t.Error("what did not change is another object")
			}
			close(more)
			if got := strings.Join(follow(t, c, view.Revision()), ", "); got != "end ->51@51" {
				t.Errorf("then it tells %s", got)
			}
		})
	}
}

// TestSlowServer: a frame that comes in drops is one frame.
func TestSlowServer(t *testing.T) {
	c, _, _ := perform(t, say(mark("5")), func(w io.Writer, ctx context.Context) {
		for _, b := range []byte(added("6", "end") + mark("6")) {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
		<-ctx.Done()
	})
	first, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(follow(t, c, first.Revision()), ", "); got != "end ->6@6" {
		t.Errorf("told %s", got)
	}
}

// TestSilentServer: one that says nothing for three marks is left for another connection.
func TestSilentServer(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	s := &script{t: t, steps: []step{say(mark("5")), say(mark("6")), say(added("7", "end"), mark("7"))}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg := config(t, server, "admin", auth.Masters)
	cfg.Views, cfg.Clock = remote.Everything(configMaps), clk
	logged := make(chan string, 100)
	cfg.Log = slog.New(heard{slog.DiscardHandler, logged})
	c := start(t, cfg)
	first, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(t.Context(), configMaps, first.Revision(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan error, 1)
	go func() {
		_, err := stream.Next(t.Context())
		came <- err
	}()
	for done := false; !done; {
		select {
		case err := <-came:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
			clk.Step(joint.MarkEvery / 10)
		}
	}
	if text := <-logged; !strings.Contains(text, "said nothing for 45s") {
		t.Errorf("the log says %s", text)
	}
}

// TestServerThatRestarts: a client outlives its server, and sees what was written meanwhile.
func TestServerThatRestarts(t *testing.T) {
	s := serve(t)
	cfg := config(t, s.Server, "admin", auth.Masters)
	cfg.Views = remote.Everything(configMaps)
	c := start(t, cfg)
	first, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address, handler := s.Listener.Addr().String(), s.Config.Handler
	create := func(name string) {
		t.Helper()
		req := api.Request{User: auth.User{Name: "admin", Groups: []string{auth.Masters}}, Kind: s.API.Kind(configMaps), Namespace: "default"}
		if _, err := s.API.Create(t.Context(), req, configMap(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "end"} {
		s.CloseClientConnections()
		s.Server.Close()
		create(name)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, ErrorLog: s.Config.ErrorLog}, EnableHTTP2: true}
		s.Server.StartTLS()
	}
	told := follow(t, c, first.Revision())
	if len(told) != 3 || !strings.HasPrefix(told[0], "a ") || !strings.HasPrefix(told[1], "b ") {
		t.Errorf("told %v", told)
	}
}
