package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// fakeAPI speaks enough of the API, in JSON: it stores what it is given by path, binds and runs every pod at once, and tells watchers.
type fakeAPI struct {
	mu       sync.Mutex
	objects  map[string]string // body by path
	watchers map[chan string]string
	fail     func(w http.ResponseWriter, r *http.Request) bool // answers in place of the API when it returns true
}

func newFake(t *testing.T) (*fakeAPI, *httptest.Server, *Target) {
	t.Helper()
	f := &fakeAPI{objects: map[string]string{}, watchers: map[chan string]string{}}
	server := httptest.NewUnstartedServer(f)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	target, err := NewTarget(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	return f, server, target
}

func testOptions(target *Target) Options {
	return Options{
		Target: target, Clock: clock.RealClock{}, RunID: "t", Clients: 3, Count: 20, Objects: 10, Timeout: 20 * time.Second, Rest: time.Millisecond,
		Kind: "pods", Encoding: "json", Image: "image",
	}
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.fail != nil && f.fail(w, r) {
		return
	}
	switch {
	case r.URL.Path == "/version":
		fmt.Fprint(w, `{"gitVersion": "v1.36.3"}`)
	case r.URL.Query().Get("watch") != "":
		f.watch(w, r)
	case strings.HasSuffix(r.URL.Path, "/token"):
		fmt.Fprint(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","status":{"token":"t"}}`)
	case r.Method == http.MethodPost:
		f.create(w, r)
	case r.Method == http.MethodDelete:
		f.remove(w, r.URL.Path)
	default:
		f.readOrChange(w, r)
	}
}

func (f *fakeAPI) create(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	path := r.URL.Path + "/" + object["metadata"].(map[string]any)["name"].(string)
	if strings.HasSuffix(r.URL.Path, "/pods") {
		object["spec"].(map[string]any)["nodeName"] = "n"
		object["status"] = map[string]any{"phase": "Running"}
		raw, _ = json.Marshal(object)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.objects[path]; there {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"message":"already exists"}`)
		return
	}
	f.objects[path] = strings.TrimSpace(string(raw))
	f.tell(path, "ADDED")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(raw)
}

func (f *fakeAPI) remove(w http.ResponseWriter, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.objects[path]; !there {
		http.Error(w, `{"message":"not found"}`, http.StatusNotFound)
		return
	}
	f.tell(path, "DELETED")
	delete(f.objects, path)
	fmt.Fprint(w, `{}`)
}

func (f *fakeAPI) readOrChange(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, there := f.objects[r.URL.Path]
	switch last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; {
	case r.Method == http.MethodPut && there:
		body, _ := io.ReadAll(r.Body)
		raw = string(body)
		f.objects[r.URL.Path] = raw
	case !there && (last == "pods" || last == "configmaps"):
		raw = `{"metadata":{"resourceVersion":"7"}}`
	case !there:
		http.Error(w, `{"message":"not found"}`, http.StatusNotFound)
		return
	}
	fmt.Fprint(w, raw)
}

// tell needs f.mu. A watcher's buffer holds all that a test sends.
func (f *fakeAPI) tell(path, kind string) {
	for events, collection := range f.watchers {
		if strings.HasPrefix(path, collection+"/") {
			events <- `{"type":"` + kind + `","object":` + f.objects[path] + "}\n"
		}
	}
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan string, 1000)
	f.mu.Lock()
	f.watchers[events] = r.URL.Path
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, events)
	}()
	w.WriteHeader(http.StatusOK)
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case event := <-events:
			fmt.Fprint(w, event)
		case <-r.Context().Done():
			return
		}
	}
}
