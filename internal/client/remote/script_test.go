package remote_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client/remote"
	"github.com/floe-k8s/floe/internal/kinds"
)

// frame is one event as a server writes it.
func frame(kind string, obj runtime.Object) string {
	gvk := corev1.SchemeGroupVersion.WithKind(strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1."))
	m := obj.(api.Message)
	object, err := api.Envelope(gvk, m.Size(), func(b []byte) error {
		_, err := m.MarshalToSizedBuffer(b)
		return err
	})
	if err != nil {
		panic(err)
	}
	return rawFrame(kind, object)
}

func rawFrame(kind string, object []byte) string {
	event := metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: object}}
	data, err := event.Marshal()
	if err != nil {
		panic(err)
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)))) + string(data)
}

// at is a config map of a revision; name "" makes a mark.
func at(rev, name string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: rev}}
	if name != "" {
		m.Name, m.Namespace, m.Data = name, "default", map[string]string{"rev": rev}
	}
	return m
}

func added(rev, name string) string   { return frame("ADDED", at(rev, name)) }
func changed(rev, name string) string { return frame("MODIFIED", at(rev, name)) }
func deleted(rev, name string) string { return frame("DELETED", at(rev, name)) }
func mark(rev string) string          { return frame("BOOKMARK", at(rev, "")) }

func gone() string {
	status := apierrors.NewResourceExpired("too old").Status()
	return frame("ERROR", &status)
}

// script is a server that answers each joint watch by the next step, and the last one for ever.
type script struct {
	t     *testing.T
	steps []step
	mu    sync.Mutex
	asked []string // guarded by mu: "after" of each watch
}

type step func(w io.Writer, ctx context.Context)

// say writes frames and then stays, or cut ends the answer in the middle of them.
func say(frames ...string) step {
	return func(w io.Writer, ctx context.Context) {
		_, _ = io.WriteString(w, strings.Join(frames, ""))
		w.(http.Flusher).Flush()
		<-ctx.Done()
	}
}

// cut leaves out the last n bytes of the frames and breaks the connection.
func cut(n int, frames ...string) step {
	return func(w io.Writer, _ context.Context) {
		text := strings.Join(frames, "")
		_, _ = io.WriteString(w, text[:len(text)-n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := min(len(s.asked), len(s.steps)-1)
	s.asked = append(s.asked, r.URL.Query().Get(joint.After))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	s.steps[n](w, r.Context())
}

// heard is a log that tests wait on.
type heard struct {
	slog.Handler
	records chan string
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	select {
	case h.records <- text:
	default:
	}
	return nil
}

// perform follows config maps of a server that does the steps.
func perform(t *testing.T, steps ...step) (*remote.Client, *script, <-chan string) {
	t.Helper()
	s := &script{t: t, steps: steps}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg := config(t, server, "admin", auth.Masters)
	cfg.Views = remote.Everything(configMaps)
	logged := make(chan string, 100)
	cfg.Log = slog.New(heard{slog.DiscardHandler, logged})
	return start(t, cfg), s, logged
}

// follow tells the changes after a revision until one of the object "end".
func follow(t *testing.T, c *remote.Client, after uint64) (told []string) {
	t.Helper()
	stream, err := c.Watch(t.Context(), configMaps, after, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		change, err := stream.Next(t.Context())
		if err != nil {
			return append(told, string(apierrors.ReasonForError(err)))
		}
		told = append(told, fmt.Sprintf("%s %s>%s@%d", change.Newest().GetName(), versionOf(change.Old), versionOf(change.New), change.Revision))
		if change.Newest().GetName() == "end" {
			return told
		}
	}
}

func versionOf(obj kinds.Object) string {
	if m, ok := obj.(*corev1.ConfigMap); ok {
		return m.Data["rev"]
	}
	return "-"
}

func shown(t *testing.T, c *remote.Client) string {
	t.Helper()
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprint(view.Revision(), ":")
	for obj := range view.List(configMaps, "") {
		out += " " + obj.GetName() + "@" + obj.GetResourceVersion()
	}
	return out
}
