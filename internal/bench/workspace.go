package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workspace is the place on the server that one scenario works in: its namespace, and the workers' connections.
type workspace struct {
	Options
	media    string // media type of requests and answers
	sessions []*session
	own      bool // the namespace was made here
}

// setupWorkers is how many workers prepare and clean up; so many keep a server busy without drowning it.
const setupWorkers = 16

// openWorkspace connects and makes the namespace. The caller closes it, after an error too unless it got nil.
func openWorkspace(ctx context.Context, o Options) (*workspace, error) {
	media, err := mediaTypeOf(o.Encoding)
	if err != nil {
		return nil, err
	}
	w := &workspace{Options: o, media: media}
	for i := range max(o.Clients, setupWorkers) {
		client := &http.Client{}
		if o.Target != nil {
			if client, err = o.Target.connect(); err != nil {
				return nil, err
			}
		}
		w.sessions = append(w.sessions, &session{target: o.Target, client: client, timeout: o.Timeout, number: i})
	}
	if o.Target == nil {
		return w, nil
	}
	if err := w.prepareNamespace(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Target, err), w.close(ctx))
	}
	return w, nil
}

// prepareNamespace makes the namespace unless one is given, and in it the service account that pods need where no controller makes it.
func (w *workspace) prepareNamespace(ctx context.Context) error {
	if w.Namespace == "" {
		w.Namespace = "floe-bench-" + w.RunID
		body, err := encode(mediaJSON, corev1.SchemeGroupVersion, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}})
		if err != nil {
			return err
		}
		if _, err := w.sessions[0].do(ctx, request{method: "POST", path: "/api/v1/namespaces", contentType: mediaJSON, accept: mediaJSON, body: body}); err != nil {
			return fmt.Errorf("make namespace %s: %w", w.Namespace, err)
		}
		w.own = true
	}
	account := []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`)
	path := "/api/v1/namespaces/" + w.Namespace + "/serviceaccounts"
	_, err := w.sessions[0].do(ctx, request{method: "POST", path: path, contentType: mediaJSON, accept: mediaJSON, body: account})
	// It is there already, or this server has none.
	if err == nil || isStatus(err, http.StatusConflict) || isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusMethodNotAllowed) {
		return nil
	}
	return fmt.Errorf("make service account %s/default: %w", w.Namespace, err)
}

// close removes the namespace that was made here, and closes the connections. What was in it has been removed before: there may be no
// controller that would.
func (w *workspace) close(ctx context.Context) error {
	var err error
	if w.own {
		if _, err = w.sessions[0].do(ctx, request{method: "DELETE", path: "/api/v1/namespaces/" + w.Namespace, accept: mediaJSON}); err != nil {
			err = fmt.Errorf("remove namespace %s: %w", w.Namespace, err)
		}
	}
	for _, s := range w.sessions {
		s.client.CloseIdleConnections()
	}
	return err
}

// collection is the path of a kind's objects, of those in the run's namespace if it has namespaces.
func (w *workspace) collection(kind resourceKind) string { return kind.in(w.Namespace) }

// in is the path of a kind's objects in a namespace.
func (kind resourceKind) in(namespace string) string {
	root := "/apis/" + kind.version.String()
	if kind.version.Group == "" {
		root = "/api/" + kind.version.Version
	}
	if kind.cluster {
		return root + "/" + kind.name
	}
	return root + "/namespaces/" + url.PathEscape(namespace) + "/" + kind.name
}

// creator is the operation that makes object i of a kind.
func (w *workspace) creator(kind resourceKind) (operation, error) {
	raw, err := encode(w.media, kind.version, kind.example(&w.Options))
	if err != nil {
		return nil, err
	}
	t, err := newTemplate(raw, w.prefix())
	if err != nil {
		return nil, err
	}
	path := w.collection(kind)
	return func(ctx context.Context, s *session, i int) error {
		s.body = t.number(i, s.body)
		// Once begun it is waited for, also after an interrupt: a call that is cut off may still succeed, behind the back of cleaning up.
		_, err := s.do(context.WithoutCancel(ctx), request{method: "POST", path: path, contentType: w.media, accept: w.media, gzip: w.Gzip, body: s.body})
		return err
	}, nil
}

// fill makes objects 0 to n-1 of a kind.
func (w *workspace) fill(ctx context.Context, kind resourceKind, n int) error {
	w.OnProgress(fmt.Sprintf("making %d %s", n, kind.name))
	create, err := w.creator(kind)
	if err != nil {
		return err
	}
	out, err := load{clock: w.Clock, sessions: w.sessions[:setupWorkers], count: n}.run(ctx, create)
	return failFirst("make "+kind.name, out, err)
}

// remove deletes objects 0 to n-1 of a kind, those that are there. With a grace period of "" the objects' own holds.
func (w *workspace) remove(ctx context.Context, kind resourceKind, n int, grace string) error {
	if n == 0 {
		return nil
	}
	w.OnProgress(fmt.Sprintf("removing %d %s", n, kind.name))
	query := ""
	if grace != "" {
		query = "?gracePeriodSeconds=" + grace
	}
	out, err := load{clock: w.Clock, sessions: w.sessions[:setupWorkers], count: n}.run(ctx, func(ctx context.Context, s *session, i int) error {
		path := strings.Join([]string{w.collection(kind), "/", name(w.prefix(), i), query}, "")
		_, err := s.do(ctx, request{method: "DELETE", path: path, accept: w.media})
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		return err
	})
	return failFirst("remove "+kind.name, out, err)
}

// version asks the server for its version; the first call of a run, so that a server that is not there is told as such.
func (w *workspace) version(ctx context.Context) (string, error) {
	raw, err := w.sessions[0].do(ctx, request{method: "GET", path: "/version", accept: mediaJSON})
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(raw), `"gitVersion"`)
	parts := strings.SplitN(rest, `"`, 3)
	if !found || len(parts) < 3 {
		return "", errors.Join(errGarbage, fmt.Errorf("GET /version: %.80q", raw))
	}
	return parts[1], nil
}

// undo cleans up after preparing has failed with err, even when ctx is what ended it, and returns all that went wrong. A server that is
// gone is left as it is.
func (w *workspace) undo(ctx context.Context, cleanup func(context.Context, int) error, err error) error {
	if errors.Is(err, ErrServerGone) || isStatus(err, http.StatusUnauthorized) {
		return err
	}
	ctx, cancel := w.afterwards(ctx)
	defer cancel()
	return errors.Join(err, cleanup(ctx, 0))
}

// afterwards is a context for cleaning up: it outlives ctx, but not by more than a few timeouts.
func (w *workspace) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeouts*w.Timeout)
}

// cleanupTimeouts is how many times the timeout of one request all of cleaning up may take.
const cleanupTimeouts = 5
