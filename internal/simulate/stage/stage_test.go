package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const head = "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nmetadata: {name: s}\nspec:\n"

func read(t *testing.T, spec string) *Rule {
	t.Helper()
	r, err := Read("FILE", []byte(head+spec))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func see(t *testing.T, pod string) *Object {
	t.Helper()
	var p corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(pod), &p); err != nil {
		t.Fatal(err)
	}
	o, err := See(&p)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const web = `
metadata: {name: web, namespace: default, uid: u, labels: {app: web, tier: "3"}, annotations: {wait: 90s, heavy: "7"}, finalizers: [a/b, c/d], ownerReferences: [{kind: Job, apiVersion: batch/v1, name: j, uid: v}]}
spec: {nodeName: one, containers: [{name: c, image: i, restartPolicy: Always}, {name: d, image: k}]}
status: {phase: Running, conditions: [{type: Ready, status: "True"}], observedGeneration: 4}
`

// TestSelectors: each requirement by itself.
func TestSelectors(t *testing.T) {
	o := see(t, web)
	for selector, want := range map[string]bool{
		"{}":                             true,
		"{matchLabels: {app: web}}":      true,
		"{matchLabels: {app: db}}":       false,
		"{matchAnnotations: {wait: 1s}}": false,
		"{matchExpressions: [{key: .status.phase, operator: In, values: [Pending, Running]}]}":                                          true,
		"{matchExpressions: [{key: .status.phase, operator: NotIn, values: [Running]}]}":                                                false,
		"{matchExpressions: [{key: .status.podIP, operator: NotIn, values: [x]}]}":                                                      true,
		"{matchExpressions: [{key: .status.podIP, operator: Exists}]}":                                                                  false,
		"{matchExpressions: [{key: .metadata.deletionTimestamp, operator: DoesNotExist}]}":                                              true,
		"{matchExpressions: [{key: '.metadata.ownerReferences.[].kind', operator: In, values: [Job]}]}":                                 true,
		"{matchExpressions: [{key: '.status.conditions.[] | select( .type == \"Ready\" ) | .status', operator: In, values: ['True']}]}": true,
		"{matchExpressions: [{key: '.status.conditions.[] | select( .type == \"Gone\" ) | .status', operator: In, values: ['True']}]}":  false,
		"{matchExpressions: [{key: '.status.phase.[]', operator: Exists}]}":                                                             false, // an error has no value
		"{matchExpressions: [{key: .status.observedGeneration, operator: In, values: ['4']}]}":                                          true,
		"{matchExpressions: [{jq: {key: '.metadata.labels[\"app\"]', operator: In, values: [web]}}]}":                                   true,
	} {
		r := read(t, "  resourceRef: {apiGroup: v1, kind: Pod}\n  selector: "+selector+"\n  next: {delete: true}\n")
		if got := r.Selects(o); got != want {
			t.Errorf("%s: %v, want %v", selector, got, want)
		}
	}
	if r := read(t, "  resourceRef: {kind: Pod}\n  next: {delete: true}\n"); r.Selects(o) {
		t.Error("a stage without a selector selects something")
	}
}

// TestDelays and weights, from the stage and from the object.
func TestDelays(t *testing.T) {
	o := see(t, web)
	for delay, want := range map[string]time.Duration{
		"{durationMilliseconds: 1500}":                                                                     1500 * time.Millisecond,
		"{durationMilliseconds: 1000, jitterDurationMilliseconds: 3000}":                                   2 * time.Second,
		"{durationMilliseconds: 3000, jitterDurationMilliseconds: 1000}":                                   time.Second,
		"{durationMilliseconds: 1, durationFrom: {expressionFrom: '.metadata.annotations[\"wait\"]'}}":     90 * time.Second,
		"{durationMilliseconds: 7, durationFrom: {jq: {expression: '.metadata.annotations[\"none\"]'}}}":   7 * time.Millisecond,
		"{durationFrom: {expressionFrom: '\"2026-01-02T03:04:15Z\"'}}":                                     10 * time.Second,
		"{durationFrom: {expressionFrom: '\"2026-01-02T03:04:00Z\"'}}":                                     0,
		"{durationMilliseconds: 2000, jitterDurationFrom: {expressionFrom: .metadata.annotations.none}}":   2 * time.Second,
		"{durationMilliseconds: 2000, jitterDurationFrom: {jq: {expression: '\"2026-01-02T03:04:11Z\"'}}}": 4 * time.Second,
	} {
		r := read(t, "  resourceRef: {kind: Pod}\n  selector: {}\n  delay: "+delay+"\n  next: {delete: true}\n")
		if got := r.Delay(o, now, 0.5); got != want {
			t.Errorf("%s: %v, want %v", delay, got, want)
		}
	}
	stage := func(name, more string) *Rule {
		r := read(t, "  resourceRef: {kind: Pod}\n  selector: {}\n  next: {delete: true}\n"+more)
		r.Name = name
		return r
	}
	for _, c := range []struct {
		rules []*Rule
		share float64
		want  string
	}{
		{[]*Rule{stage("a", ""), stage("b", "")}, 0.4, "a"},
		{[]*Rule{stage("a", ""), stage("b", "")}, 0.6, "b"},
		{[]*Rule{stage("a", ""), stage("b", "  weight: 1\n")}, 0.1, "b"},
		{[]*Rule{stage("a", "  weight: 3\n"), stage("b", "  weight: 1\n")}, 0.7, "a"},
		{[]*Rule{stage("a", "  weight: 3\n"), stage("b", "  weight: 1\n  weightFrom: {expressionFrom: .metadata.annotations.heavy}\n")}, 0.5, "b"},
	} {
		if got := Choose(c.rules, o, c.share); got == nil || got.Name != c.want {
			t.Errorf("%v at %v: %v, want %s", c.rules, c.share, got, c.want)
		}
	}
	if got := Choose(nil, o, 0.5); got != nil {
		t.Errorf("of no rules: %v", got)
	}
}

// TestPlays: templates with all kinds of functions, and what becomes of next and steps.
func TestPlays(t *testing.T) {
	o := see(t, web)
	host := Host{Now: now, Start: now, Version: "v9", Node: "one", NodeIP: func(string) string { return "198.18.0.1" }, PodIP: func(_ string, host bool) string {
		if host {
			return "198.18.0.1"
		}
		return "240.0.0.2"
	}}
	for _, c := range []struct{ what, spec, want string }{
		{"status", "  next:\n    statusTemplate: |\n      {{ $now := Now }}\n      phase: {{ .status.phase | upper | Quote }}\n      startTime: {{ $now | Quote }}\n      hostIP: {{ NodeIPWith .spec.nodeName }}\n" +
			"      podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid \"\" ) \"\" \"\" }}\n",
			`strategic-merge status {"status":{"hostIP":"198.18.0.1","phase":"RUNNING","podIP":"240.0.0.2","startTime":"2026-01-02T03:04:05Z"}}`},
		{"functions", "  steps:\n  - patch:\n      type: merge\n      template: |\n        {{ define \"x\" }}m: {{ .n | add1 }}{{ end }}\n        a: {{ add 1 2 (int64 \"3\") }}\n        {{ template \"x\" dict \"n\" .status.observedGeneration }}\n" +
			"        l: {{ list 1 2 | toJson }}\n        d: {{ .none | default \"e\" | quote }}\n        j: {{ keys .metadata.labels | join \"-\" }}\n        t: {{ ternary 1 2 (hasPrefix \"w\" .metadata.name) }}\n        w:{{ YAML .metadata.labels 1 }}\n",
			`merge  {"a":6,"d":"e","j":"app-tier","l":[1,2],"m":5,"t":1,"w":{"app":"web","tier":"3"}}`},
		{"event and deletion", "  next:\n    event: {type: Normal, reason: Killing, message: 'Stopping {{ ( index .spec.containers 0 ).name }}'}\n    finalizers: {empty: true}\n    delete: true\n    statusTemplate: 'phase: Failed'\n",
			"Normal Killing Stopping c; merge  {\"metadata\":{\"finalizers\":null}}; delete"},
		{"finalizers", "  next:\n    finalizers: {add: [{value: e/f}, {value: c/d}], remove: [{value: a/b}]}\n", `merge  {"metadata":{"finalizers":["c/d","e/f"]}}`},
		{"a JSON patch", "  next:\n    patches:\n    - {root: metadata, type: json, template: '[{op: add, path: /labels/x, value: \"1\"}]'}\n", `json  [{"op":"add","path":"/metadata/labels/x","value":"1"}]`},
		{"nil is no Always", "  next:\n    patches:\n    - type: merge\n      template: |\n        a:\n        {{ range .spec.containers }}\n        - {{ if eq .restartPolicy \"Always\" }}{{ .name }}{{ else }}other{{ end }}\n        {{ end }}\n",
			`merge  {"a":["c","other"]}`},
	} {
		r := read(t, "  resourceRef: {kind: Pod}\n  selector: {}\n"+c.spec)
		acts, err := r.Play(o, host)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		var words []string
		for _, a := range acts {
			switch {
			case a.Event != nil:
				words = append(words, a.Event.Type+" "+a.Event.Reason+" "+a.Event.Message)
			case a.Delete:
				words = append(words, "delete")
			default:
				kind := strings.TrimSuffix(strings.TrimPrefix(string(a.Patch.Type), "application/"), "-patch+json")
				words = append(words, kind+" "+a.Patch.Subresource+" "+string(a.Patch.Data))
			}
		}
		if got := strings.Join(words, "; "); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
	r := read(t, "  resourceRef: {kind: Pod}\n  selector: {}\n  next: {statusTemplate: '{{ index .spec.containers 9 }}'}\n")
	if acts, err := r.Play(o, host); err == nil {
		t.Errorf("a template that fails made %v", acts)
	}
}

// TestRefusals name file, line and field.
func TestRefusals(t *testing.T) {
	const pod = "  resourceRef: {kind: Pod}\n  selector: {}\n"
	for spec, want := range map[string]string{
		"  resourceRef: {kind: Lease, apiGroup: coordination.k8s.io}\n  next: {delete: true}\n": `FILE:5: spec.resourceRef: Invalid value: "coordination.k8s.io Lease": only stages of Nodes and Pods`,
		pod:                  "spec.next: Required value: there is nothing that the stage does",
		pod + "  nxet: {}\n": `FILE:7: unknown field "spec.nxet"`,
		"  resourceRef: {kind: Pod}\n  selector:\n    matchExpressions:\n    - {key: '.a[', operator: Exists}\n  next: {delete: true}\n": `FILE:8: spec.selector.matchExpressions[0].key: Invalid value: ".a[": is no jq expression`,
		"  resourceRef: {kind: Pod}\n  selector:\n    matchExpressions:\n    - {key: .a, operator: Near}\n  next: {delete: true}\n":      `FILE:8: spec.selector.matchExpressions[0].operator: Unsupported value: "Near"`,
		"  resourceRef: {kind: Pod}\n  selector:\n    matchExpressions:\n    - {key: .a, operator: In}\n  next: {delete: true}\n":        "values: Required value",
		"  resourceRef: {kind: Pod}\n  selector:\n    matchExpressions:\n    - cel: {expression: 'true'}\n  next: {delete: true}\n":      "FILE:8: spec.selector.matchExpressions[0].cel: Forbidden: expressions in CEL are not played",
		pod + "  next:\n    statusTemplate: |\n      a: {{ frobnicate }}\n":                                                              `FILE:8: spec.next.statusTemplate: Invalid value: "a: {{ frobnicate }}": template: s:1: function "frobnicate" not defined`,
		pod + "  next: {delete: true, statusPatchAs: {username: x}}\n":                                                                   "spec.next.statusPatchAs: Forbidden",
		pod + "  next:\n    patches:\n    - {subresource: ephemeralcontainers, template: 'a: 1'}\n":                                      `spec.next.patches[0].subresource: Unsupported value`,
		pod + "  next:\n    event: {type: Odd, message: x}\n":                                                                            "spec.next.event.type: Unsupported value",
		pod + "  delay: {durationFrom: {expressionFrom: '('}}\n  next: {delete: true}\n":                                                 "spec.delay.durationFrom.expressionFrom: Invalid value",
	} {
		if _, err := Read("FILE", []byte(head+spec)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nwant %s", spec, err, want)
		}
	}
}

// BenchmarkChoose is what one change of a pod costs.
func BenchmarkChoose(b *testing.B) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "stages.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	var rules []*Rule
	for _, doc := range strings.Split(string(data), "\n---\n") {
		r, err := Read("stages.yaml", []byte(doc))
		if err != nil {
			b.Fatal(err)
		}
		rules = append(rules, r)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	b.ReportAllocs()
	for b.Loop() {
		o, err := See(pod)
		if err != nil {
			b.Fatal(err)
		}
		Choose(rules, o, 0.5)
	}
}
