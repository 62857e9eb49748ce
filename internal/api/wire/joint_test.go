package wire_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/store"
)

// jointly begins a joint watch.
func (s *served) jointly(t *testing.T, user, after string, collections ...string) *http.Response {
	t.Helper()
	query := url.Values{joint.Of: collections}
	if after != "" {
		query.Set(joint.After, after)
	}
	return s.send(t, "GET "+joint.Path+"?"+query.Encode()+"\nX-User: "+user+"\nAccept: application/vnd.kubernetes.protobuf")
}

// told is one event in words: "ADDED ConfigMap a@7".
type told struct {
	text     string
	kind     string
	revision uint64
}

func next(t *testing.T, body io.Reader) told {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(body, size[:]); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(body, data); err != nil {
		t.Fatal(err)
	}
	var e metav1.WatchEvent
	var unknown runtime.Unknown
	var meta metav1.PartialObjectMetadata // its field 1 is every object's
	if err := e.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	if err := unknown.Unmarshal(e.Object.Raw[len(api.Magic):]); err != nil {
		t.Fatal(err)
	}
	if err := meta.Unmarshal(unknown.Raw); err != nil {
		t.Fatal(err)
	}
	rev, err := strconv.ParseUint(meta.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatalf("%s of %s: %v", e.Type, unknown.Kind, err)
	}
	return told{fmt.Sprintf("%s %s %s", e.Type, unknown.Kind, meta.Name), e.Type, rev}
}

// commit writes records of one transaction behind the API.
func (s *served) commit(t *testing.T, changes map[string]string) {
	t.Helper()
	var txn store.Txn
	for _, key := range []string{"configmaps/default/a", "configmaps/default/b", "secrets/default/a", "namespaces/x"} {
		if data, ok := changes[key]; ok {
			txn.Changes = append(txn.Changes, store.Change{Key: "/registry/" + key, Value: []byte(data)})
		}
	}
	if _, err := s.Log.Append(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
}

// object is what the log holds of an object of a core kind.
func object(t *testing.T, kind, namespace, name string) string {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	data, err := api.Envelope(corev1.SchemeGroupVersion.WithKind(kind), m.Size(), func(b []byte) error {
		_, err := m.MarshalToSizedBuffer(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestJointWatchKeepsTransactionsWhole: between two marks stands all of a transaction, in order, over all collections.
func TestJointWatchKeepsTransactionsWhole(t *testing.T) {
	s := serve(t)
	resp := s.jointly(t, "", "", "/api/v1/namespaces", "/api/v1/configmaps")
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/vnd.kubernetes.protobuf;stream=watch" {
		t.Fatal(show(t, resp))
	}
	for _, want := range []string{"ADDED Namespace default", "ADDED Namespace kube-system", "BOOKMARK Namespace "} {
		if e := next(t, resp.Body); e.text != want {
			t.Fatalf("the state has %s, want %s", e.text, want)
		}
	}
	const rounds = 50
	var writers sync.WaitGroup
	writers.Go(func() {
		for range rounds {
			s.commit(t, map[string]string{
				"configmaps/default/a": object(t, "ConfigMap", "default", "a"), "secrets/default/a": object(t, "Secret", "default", "a"),
				"namespaces/x": object(t, "Namespace", "", "x"), "configmaps/default/b": object(t, "ConfigMap", "default", "b"),
			})
		}
	})
	defer writers.Wait()
	last, since := uint64(0), 0
	for n := 0; n < 3*rounds; {
		e := next(t, resp.Body)
		if e.kind != "BOOKMARK" {
			if n, since = n+1, since+1; e.revision <= last {
				t.Fatalf("%s at %d after %d", e.text, e.revision, last)
			}
			last = e.revision
			continue
		}
		if e.revision < last || since%3 != 0 {
			t.Fatalf("a mark at %d after %d changes, the last at %d", e.revision, since, last)
		}
		since = 0
	}
}

// TestJointWatchGoesOn after a mark, and tells nothing that is not selected.
func TestJointWatchGoesOn(t *testing.T) {
	s := serve(t)
	first := s.jointly(t, "", "", "/api/v1/namespaces/default/configmaps?labelSelector=a%3Db")
	at := next(t, first.Body)
	first.Body.Close()
	create := func(namespace, name, label string) {
		t.Helper()
		resp := s.send(t, "POST /api/v1/namespaces/"+namespace+"/configmaps\n\n{\"metadata\":{\"name\":\""+name+"\",\"labels\":{\"a\":\""+label+"\"}}}")
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(show(t, resp))
		}
	}
	create("default", "one", "b")
	create("kube-system", "two", "b")
	create("default", "three", "c")
	create("default", "four", "b")
	second := s.jointly(t, "", fmt.Sprint(at.revision), "/api/v1/namespaces/default/configmaps?labelSelector=a%3Db")
	defer second.Body.Close()
	for _, want := range []string{"ADDED ConfigMap one", "ADDED ConfigMap four", "BOOKMARK ConfigMap "} {
		if e := next(t, second.Body); e.text != want {
			t.Errorf("got %s, want %s", e.text, want)
		}
	}
}

// TestJointWatchRefuses who is none of floe's own, has no right to one of the collections, or asks for what is none.
func TestJointWatchRefuses(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		user, after string
		of          []string
		status      int
		says        string
	}{
		{"bob", "", []string{"/api/v1/pods"}, http.StatusForbidden, `User "bob" cannot get path "/floe.dev/v1/watch"`},
		{"system:kube-scheduler", "", []string{"/api/v1/pods", "/api/v1/configmaps"}, http.StatusForbidden, `cannot watch resource "configmaps"`},
		{"", "", nil, http.StatusBadRequest, "1 to 64 collections, not 0"},
		{"", "", make([]string, 65), http.StatusBadRequest, "1 to 64 collections, not 65"},
		{"", "", []string{"/api/v1/things"}, http.StatusBadRequest, "no collection that is served"},
		{"", "", []string{"/version"}, http.StatusBadRequest, "no collection that is served"},
		{"", "", []string{"/api/v1/pods/a/status"}, http.StatusBadRequest, "no collection that is served"},
		{"", "", []string{"%zz"}, http.StatusBadRequest, "invalid URL escape"},
		{"", "", []string{"/api/v1/pods?fieldSelector=spec.color%3Dred"}, http.StatusBadRequest, "field label not supported: spec.color"},
		{"", "x", []string{"/api/v1/pods"}, http.StatusBadRequest, "\"x\" is no revision"},
		{"", "0", []string{"/api/v1/pods"}, http.StatusBadRequest, "\"0\" is no revision"},
		{"", "1", []string{"/api/v1/pods"}, http.StatusOK, ""},
	} {
		resp := s.jointly(t, c.user, c.after, c.of...)
		if resp.StatusCode != c.status {
			t.Errorf("%s of %q after %q: %d, want %d", c.user, c.of, c.after, resp.StatusCode, c.status)
		}
		if c.says != "" {
			if text := show(t, resp); !strings.Contains(text, c.says) {
				t.Errorf("%s of %q after %q: says %s, want %s", c.user, c.of, c.after, text, c.says)
			}
		}
		resp.Body.Close()
	}
}

// TestCausesAreOfFloesOwn: others' are not kept, and are not told revisions.
func TestCausesAreOfFloesOwn(t *testing.T) {
	s := serve(t)
	for _, c := range []struct{ user, header, want string }{
		{"", "deployment%20default%2Fweb@1", "deployment default/web@1"},
		{"system:serviceaccount:kube-system:generic-garbage-collector", "gone", "gone"},
		{"", "100%", "100%"},
		{"", strings.Repeat("x", 2*joint.MaxCause), strings.Repeat("x", joint.MaxCause)},
	} {
		name := fmt.Sprint("c", len(c.header))
		resp := s.send(t, "POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\""+name+"\"}}")
		resp.Body.Close()
		resp = s.send(t, "DELETE /api/v1/namespaces/default/configmaps/"+name+"\nX-User: "+c.user+"\nFloe-Cause: "+c.header)
		resp.Body.Close()
		cause, rev := "", store.Revision(0)
		err := s.Log.Versions(t.Context(), "/registry/configmaps/default/"+name, func(r store.Record) error {
			if r.Revision > rev {
				cause, rev = r.Cause, r.Revision
			}
			return nil
		})
		if got := resp.Header.Get(joint.RevisionHeader); err != nil || cause != c.want || got != fmt.Sprint(rev) {
			t.Errorf("%s because of %q: recorded %q at %d, told %q, %v", c.user, c.header, cause, rev, got, err)
		}
	}
	for _, name := range []string{"bob", "system:serviceaccount:default:x", "systemd"} {
		req := apitest.Administrator()
		req.Name, req.Groups = name, nil
		if req.Ours() {
			t.Errorf("%s is one of floe's own", name)
		}
	}
}
