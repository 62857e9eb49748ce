package extend

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// peer is an extender that takes no node whose name begins with "bad", and likes longer names better.
func peer(t *testing.T, secured bool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	names := func(r *http.Request) []string {
		var args extenderv1.ExtenderArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil || args.Pod == nil {
			t.Errorf("request: %v", err)
		}
		if args.NodeNames != nil {
			return *args.NodeNames
		}
		var out []string
		for _, n := range args.Nodes.Items {
			out = append(out, n.Name)
		}
		return out
	}
	mux.HandleFunc("/x/filter", func(w http.ResponseWriter, r *http.Request) {
		result := extenderv1.ExtenderFilterResult{FailedNodes: extenderv1.FailedNodesMap{}, NodeNames: &[]string{}, Nodes: &corev1.NodeList{}}
		for _, n := range names(r) {
			if strings.HasPrefix(n, "bad") {
				result.FailedNodes[n] = "is bad"
				continue
			}
			*result.NodeNames = append(*result.NodeNames, n)
			result.Nodes.Items = append(result.Nodes.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}})
		}
		answer(w, result)
	})
	mux.HandleFunc("/x/rank", func(w http.ResponseWriter, r *http.Request) {
		var list extenderv1.HostPriorityList
		for _, n := range names(r) {
			list = append(list, extenderv1.HostPriority{Host: n, Score: int64(len(n))})
		}
		answer(w, list)
	})
	mux.HandleFunc("/x/invent", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, extenderv1.ExtenderFilterResult{NodeNames: &[]string{"invented"}})
	})
	mux.HandleFunc("/x/complain", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, extenderv1.ExtenderFilterResult{Error: "cannot say"})
	})
	mux.HandleFunc("/x/bind", func(w http.ResponseWriter, r *http.Request) {
		var args extenderv1.ExtenderBindingArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil || args.PodUID != "u" || args.PodNamespace != "default" {
			t.Errorf("binding %+v: %v", args, err)
		}
		if args.Node != "a" {
			answer(w, extenderv1.ExtenderBindingResult{Error: "not there"})
			return
		}
		answer(w, extenderv1.ExtenderBindingResult{})
	})
	s := httptest.NewUnstartedServer(mux)
	if secured {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func pod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}}}}}}
}

func nodes(names []string) []corev1.Node {
	var out []corev1.Node
	for _, n := range names {
		out = append(out, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	return out
}

func TestFilterAndRank(t *testing.T) {
	plain, secured := peer(t, false), peer(t, true)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secured.Certificate().Raw})
	key, err := x509.MarshalPKCS8PrivateKey(secured.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	identity := configv1.ExtenderTLSConfig{CertData: authority, KeyData: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}
	known := identity
	known.CAData, known.ServerName = authority, "example.com"
	for name, cfg := range map[string]configv1.Extender{
		"nodes":             {URLPrefix: plain.URL + "/x/"},
		"names":             {URLPrefix: plain.URL + "/x", NodeCacheCapable: true},
		"TLS":               {URLPrefix: secured.URL + "/x", EnableHTTPS: true, TLSConfig: &known, NodeCacheCapable: true},
		"TLS, no authority": {URLPrefix: secured.URL + "/x", EnableHTTPS: true, TLSConfig: &identity},
	} {
		cfg.FilterVerb, cfg.PrioritizeVerb, cfg.BindVerb, cfg.Weight = "filter", "rank", "bind", 3
		e, err := New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		good, refused, err := e.Filter(t.Context(), pod(), []string{"a", "bad", "long"}, nodes)
		if err != nil || !slices.Equal(good, []string{"a", "long"}) || len(refused) != 1 || refused["bad"].Message() != "is bad" {
			t.Errorf("%s: good %v, refused %v, %v", name, good, refused, err)
		}
		scores, err := e.Prioritize(t.Context(), pod(), good, nodes)
		if want := map[string]int64{"a": 30, "long": 120}; err != nil || !reflect.DeepEqual(scores, want) {
			t.Errorf("%s: scores %v, want %v; %v", name, scores, want, err)
		}
		b := &corev1.Binding{ObjectMeta: pod().ObjectMeta, Target: corev1.ObjectReference{Name: "a"}}
		if err := e.Bind(t.Context(), b); err != nil || !e.Binder() {
			t.Errorf("%s: bind: %v", name, err)
		}
		if b.Target.Name = "b"; e.Bind(t.Context(), b) == nil {
			t.Errorf("%s: a binding that the extender refuses is taken for one", name)
		}
	}
	stranger, err := New(configv1.Extender{URLPrefix: secured.URL + "/x", EnableHTTPS: true, FilterVerb: "filter"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := stranger.Filter(t.Context(), pod(), []string{"a"}, nodes); err == nil {
		t.Error("an extender that wants a client certificate was asked without")
	}
}

func TestErrors(t *testing.T) {
	s := peer(t, false)
	for verb, want := range map[string]string{
		"missing":  "failed missing with extender at URL " + s.URL + "/x/missing, code 404",
		"complain": "cannot say",
		"invent":   `extender "` + s.URL + `/x" claims a filtered node "invented" which is not found in the input node list`,
	} {
		for _, ignorable := range []bool{false, true} {
			e, err := New(configv1.Extender{URLPrefix: s.URL + "/x", FilterVerb: verb, NodeCacheCapable: true, Ignorable: ignorable})
			if err != nil {
				t.Fatal(err)
			}
			good, _, err := e.Filter(t.Context(), pod(), []string{"a"}, nodes)
			switch {
			case ignorable && verb != "invent" && (err != nil || !slices.Equal(good, []string{"a"})):
				t.Errorf("%s: an ignorable extender's error is not passed over: %v, %v", verb, good, err)
			case !ignorable && (err == nil || err.Error() != want):
				t.Errorf("%s: got %v, want %s", verb, err, want)
			}
		}
	}
	for name, cfg := range map[string]*configv1.ExtenderTLSConfig{
		"half a pair": {CertData: []byte("x")}, "no authority": {CAData: []byte("x")}, "no file": {CAFile: "/nonexistent"}, "both": {Insecure: true, CAData: []byte("x")},
	} {
		if _, err := New(configv1.Extender{URLPrefix: s.URL, TLSConfig: cfg}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestInterested(t *testing.T) {
	for resource, want := range map[string]bool{"": true, "example.com/gpu": true, "example.com/fpga": false} {
		var cfg configv1.Extender
		if resource != "" {
			cfg.ManagedResources = []configv1.ExtenderManagedResource{{Name: resource}}
		}
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if e.Interested(pod()) != want {
			t.Errorf("manages %q: interested %v, want %v", resource, !want, want)
		}
	}
}
