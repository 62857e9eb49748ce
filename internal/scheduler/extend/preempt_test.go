package extend

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
)

// sparing is an extender that leaves the candidates whose first victim is not precious, by names or by whole pods, whatever it is sent.
func sparing(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/spare", func(w http.ResponseWriter, r *http.Request) {
		var args extenderv1.ExtenderPreemptionArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{}}
		for node, v := range args.NodeNameToMetaVictims {
			if v.Pods[0].UID != "precious" {
				out.NodeNameToMetaVictims[node] = v
			}
		}
		for node, v := range args.NodeNameToVictims {
			if !metav1.HasLabel(v.Pods[0].ObjectMeta, "precious") {
				out.NodeNameToMetaVictims[node] = &extenderv1.MetaVictims{NumPDBViolations: v.NumPDBViolations, Pods: []*extenderv1.MetaPod{{UID: string(v.Pods[0].UID)}}}
			}
		}
		_ = json.NewEncoder(w).Encode(out) // the test sees what is missing
	})
	for verb, v := range map[string]*extenderv1.MetaVictims{"nobody": {}, "invent": {Pods: []*extenderv1.MetaPod{{UID: "x"}}}} {
		mux.HandleFunc("/"+verb, func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{"a": v}})
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestPreempt(t *testing.T) {
	s := sparing(t)
	on := map[string][]place.Placed{"a": {{UID: "cheap"}, {UID: "other"}}, "b": {{UID: "precious"}}}
	pods := Pods{
		On: func(node string) ([]place.Placed, bool) { list, ok := on[node]; return list, ok },
		Whole: func(p place.Placed) *corev1.Pod {
			out := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: p.UID}}
			if p.UID == "precious" {
				metav1.SetMetaDataLabel(&out.ObjectMeta, "precious", "")
			}
			return out
		},
	}
	all := []preempt.Candidate{{Node: "a", Victims: on["a"][:1], Violations: 2}, {Node: "b", Victims: on["b"]}}
	for name, c := range map[string]struct {
		cfg  configv1.Extender
		want []string // nodes that are left
		err  string
	}{
		"names":              {configv1.Extender{PreemptVerb: "spare", NodeCacheCapable: true}, []string{"a"}, ""},
		"whole pods":         {configv1.Extender{PreemptVerb: "spare"}, []string{"a"}, ""},
		"no victim":          {configv1.Extender{PreemptVerb: "nobody"}, nil, `expected at least one victim pod on node "a"`},
		"no victim, ignored": {configv1.Extender{PreemptVerb: "nobody", Ignorable: true}, nil, ""},
		"unknown pod": {configv1.Extender{PreemptVerb: "invent"}, nil,
			"extender: " + s.URL + " claims to preempt pod (UID: &{x}) on node: a, but the pod is not found on that node"},
		"unknown pod, ignored": {configv1.Extender{PreemptVerb: "invent", Ignorable: true}, []string{"a", "b"}, ""},
		"no such verb":         {configv1.Extender{PreemptVerb: "gone"}, nil, "failed gone with extender at URL " + s.URL + "/gone, code 404"},
	} {
		c.cfg.URLPrefix = s.URL
		e, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		left, err := e.Preempt(t.Context(), pod(), all, pods)
		if got := errText(err); got != c.err {
			t.Errorf("%s: error %q, want %q", name, got, c.err)
		}
		var nodes []string
		for _, one := range left {
			nodes = append(nodes, one.Node)
			if one.Node == "a" && (one.Violations != 2 || len(one.Victims) != 1 || one.Victims[0].UID != "cheap") {
				t.Errorf("%s: %+v", name, one)
			}
		}
		if !e.Preempts() || !slices.Equal(nodes, c.want) {
			t.Errorf("%s: left %v, want %v", name, nodes, c.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
