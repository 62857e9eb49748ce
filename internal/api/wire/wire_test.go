package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/test/peers/exchange"
)

// served is an API of a test's own, over HTTP.
type served struct {
	*httptest.Server
	*apitest.Cluster
	handler *wire.Handler
	watches map[string]*bufio.Scanner
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{Cluster: apitest.New(t), watches: map[string]*bufio.Scanner{}}
	handler := wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
	})
	handler.SetReady()
	s.handler = handler
	s.Server = httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
	})
	return s
}

// byHeader makes whoever names nobody an administrator.
func byHeader(r *http.Request) (auth.User, bool, error) {
	name := r.Header.Get("X-User")
	switch {
	case name == auth.Anonymous:
		return auth.AnonymousUser(r)
	case strings.HasPrefix(name, "system:node:"):
		return auth.User{Name: name, Groups: []string{auth.Nodes, auth.Authenticated}}, true, nil
	case strings.HasPrefix(name, "system:serviceaccount:"):
		namespace, _, _ := strings.Cut(strings.TrimPrefix(name, "system:serviceaccount:"), ":")
		return auth.User{Name: name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, auth.Authenticated}}, true, nil
	case name != "":
		return auth.User{Name: name, Groups: []string{auth.Authenticated}}, true, nil
	}
	return apitest.Administrator(), true, nil
}

// send sends a request as it is written in a script.
func (s *served) send(t testing.TB, text string) *http.Response {
	t.Helper()
	r := exchange.Parse(text)
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "floe.test:6443"
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// show is an answer as scripts have it: the status, the media type, warnings, and the body as YAML.
func show(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d %s\n", resp.StatusCode, resp.Header.Get("Content-Type"))
	for _, w := range resp.Header.Values("Warning") {
		fmt.Fprintf(&out, "warning: %s\n", w)
	}
	out.WriteString(readable(resp.Header.Get("Content-Type"), data))
	return out.String()
}

func readable(media string, data []byte) string {
	if !strings.HasPrefix(media, "application/json") || strings.HasPrefix(media, "application/jsonl") {
		return string(data)
	}
	text, err := yaml.JSONToYAML(data)
	if err != nil {
		return string(data)
	}
	return string(text)
}

// TestScripts runs what stands in testdata: requests, and the whole of what a client sees of their answers. -rewrite writes the answers anew.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := serve(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "request":
				return show(t, s.send(t, d.Input))
			case "watch": // begins one under a name
				resp := s.send(t, d.Input)
				if resp.StatusCode != http.StatusOK {
					return show(t, resp)
				}
				t.Cleanup(func() { resp.Body.Close() })
				s.watches[d.CmdArgs[0].Key] = bufio.NewScanner(resp.Body)
				return "watching"
			case "next": // prints the next events of one
				var n int
				d.ScanArgs(t, "n", &n)
				return s.events(t, d.CmdArgs[0].Key, n)
			case "advance":
				d, err := time.ParseDuration(d.CmdArgs[0].Key)
				if err != nil {
					t.Fatal(err)
				}
				s.Clock.Step(d)
				return "ok"
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func (s *served) events(t *testing.T, name string, n int) string {
	t.Helper()
	var out strings.Builder
	for range n {
		if !s.watches[name].Scan() {
			fmt.Fprintf(&out, "the watch has ended: %v\n", s.watches[name].Err())
			break
		}
		out.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(readable("application/json", s.watches[name].Bytes())), "\n", "\n  ") + "\n")
	}
	return out.String()
}

// TestProtobufSaysTheSame reads every form of an object in both encodings.
func TestProtobufSaysTheSame(t *testing.T) {
	s := serve(t)
	for _, name := range []string{"a", "b"} {
		if resp := s.send(t, "POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\""+name+"\"},\"data\":{\"k\":\"v\"}}"); resp.StatusCode != http.StatusCreated {
			t.Fatal(show(t, resp))
		}
	}
	get := func(path, media string) []byte {
		resp := s.send(t, "GET "+path+"\nAccept: "+media)
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != media {
			t.Fatalf("GET %s: media type %s, want %s", path, got, media)
		}
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const one, many = "/api/v1/namespaces/default/configmaps/a", "/api/v1/namespaces/default/configmaps"
	var plain, binary corev1.ConfigMap
	unmarshal(t, get(one, "application/json"), &plain, false)
	unmarshal(t, get(one, "application/vnd.kubernetes.protobuf"), &binary, true)
	plain.TypeMeta = metav1.TypeMeta{}
	if plain.ResourceVersion == "" || fmt.Sprint(plain) != fmt.Sprint(binary) {
		t.Errorf("JSON says\n%v\nprotobuf\n%v", plain, binary)
	}
	var list, lists corev1.ConfigMapList
	unmarshal(t, get(many, "application/json"), &list, false)
	unmarshal(t, get(many, "application/vnd.kubernetes.protobuf"), &lists, true)
	list.TypeMeta = metav1.TypeMeta{}
	if len(list.Items) != 2 || fmt.Sprint(list) != fmt.Sprint(lists) {
		t.Errorf("JSON says\n%v\nprotobuf\n%v", list, lists)
	}
	// What was written in protobuf is read back.
	binary.Name, binary.ResourceVersion, binary.UID = "c", "", ""
	size := binary.Size()
	body, err := api.Envelope(corev1.SchemeGroupVersion.WithKind("ConfigMap"), size, func(b []byte) error {
		_, err := binary.MarshalToSizedBuffer(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	resp := s.send(t, "POST /api/v1/namespaces/default/configmaps\nContent-Type: application/vnd.kubernetes.protobuf\n\n"+string(body))
	if text := show(t, resp); resp.StatusCode != http.StatusCreated || !strings.Contains(text, "k: v") {
		t.Error(text)
	}
}

func unmarshal(t *testing.T, data []byte, into api.Message, protobuf bool) {
	t.Helper()
	if !protobuf {
		if err := yaml.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
		return
	}
	at := 6 + int(data[5]) // the message follows the type, whose length is known
	if data[at] != 0x12 {
		t.Fatalf("no message in %q", data[:min(len(data), 40)])
	}
	size, n := varint(data[at+1:])
	if err := into.Unmarshal(data[at+1+n : at+1+n+size]); err != nil {
		t.Fatal(err)
	}
}

func varint(b []byte) (value, n int) {
	for shift := 0; ; shift += 7 {
		value |= int(b[n]&0x7f) << shift
		n++
		if b[n-1] < 0x80 {
			return value, n
		}
	}
}

// TestPagesAreOfOneRevision walks a list in pages while it changes.
func TestPagesAreOfOneRevision(t *testing.T) {
	s := serve(t)
	for i := range 7 {
		s.send(t, fmt.Sprintf("POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\"c%d\"}}", i)).Body.Close()
	}
	var names []string
	next, revision := "", ""
	for page := 0; ; page++ {
		var list corev1.ConfigMapList
		resp := s.send(t, "GET /api/v1/namespaces/default/configmaps?limit=3&continue="+next)
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		unmarshal(t, data, &list, false)
		if revision != "" && list.ResourceVersion != revision {
			t.Errorf("page %d is of revision %s, the first of %s", page, list.ResourceVersion, revision)
		}
		revision, next = list.ResourceVersion, list.Continue
		for _, item := range list.Items {
			names = append(names, item.Name)
		}
		if list.RemainingItemCount != nil && int(*list.RemainingItemCount) != 7-len(names) {
			t.Errorf("page %d: %d are said to remain, want %d", page, *list.RemainingItemCount, 7-len(names))
		}
		s.send(t, "DELETE /api/v1/namespaces/default/configmaps/c6").Body.Close()
		s.send(t, fmt.Sprintf("POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\"b%d\"}}", page)).Body.Close()
		if next == "" {
			break
		}
	}
	if want := []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6"}; !slices.Equal(names, want) {
		t.Errorf("pages hold %v, want %v", names, want)
	}
}

// TestConcurrentPatchesAllCount sends what conflicts; what the server computes is computed again.
func TestConcurrentPatchesAllCount(t *testing.T) {
	s := serve(t)
	s.send(t, "POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\"c\"}}").Body.Close()
	const n = 40
	done := make(chan int, n)
	for i := range n {
		go func() {
			resp := s.send(t, fmt.Sprintf("PATCH /api/v1/namespaces/default/configmaps/c\nContent-Type: application/merge-patch+json\n\n{\"data\":{\"k%d\":\"v\"}}", i))
			resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	for range n {
		if status := <-done; status != http.StatusOK {
			t.Errorf("a patch got %d", status)
		}
	}
	var c corev1.ConfigMap
	resp := s.send(t, "GET /api/v1/namespaces/default/configmaps/c")
	data, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	unmarshal(t, data, &c, false)
	if len(c.Data) != n {
		t.Errorf("%d of %d patches are there", len(c.Data), n)
	}
}
