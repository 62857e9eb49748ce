package node

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/kinds/core"
)

// life is one pod with a runtime that does what it is told at once, for scripts.
type life struct {
	pod     *corev1.Pod
	obs     observation
	tries   map[string]try
	now     time.Time
	created int
	gone    bool
}

// TestPodLife runs scripts of one pod's life: each decision is printed whole, actions and what they did, then the status.
//
//	pod YAML            the pod as it was bound to this node
//	decide              decides and carries out, until there is nothing to do
//	exit NAME code=N    a container ends
//	lose                the sandbox and its containers end
//	fail NAME reason=R  the container could not begin
//	delete grace=N      the pod is asked to go
//	advance D           time passes
func TestPodLife(t *testing.T) {
	datadriven.Walk(t, "testdata/life", func(t *testing.T, path string) {
		l := &life{tries: map[string]try{}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "pod":
				l.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u", Generation: 1}}
				if err := yaml.UnmarshalStrict([]byte(d.Input), l.pod); err != nil {
					t.Fatal(err)
				}
				core.Pod().Default(l.pod)
				return "ok"
			case "decide":
				return l.settle()
			case "exit":
				var code int32
				d.ScanArgs(t, "code", &code)
				return l.change(d.CmdArgs[0].Key, func(c *container) { c.state, c.exitCode, c.finished = exited, code, l.now })
			case "lose":
				for i := range l.obs.sandboxes {
					l.obs.sandboxes[i].ready = false
				}
				for i := range l.obs.containers {
					if c := &l.obs.containers[i]; c.state != exited {
						c.state, c.exitCode, c.finished = exited, 137, l.now
					}
				}
				return "ok"
			case "fail":
				var reason string
				d.ScanArgs(t, "reason", &reason)
				name := d.CmdArgs[0].Key
				l.tries[name] = l.tries[name].failed(l.now, reason, "it went wrong")
				return "ok"
			case "forget": // as a restart of floe does
				l.tries = map[string]try{}
				return "ok"
			case "delete":
				var grace int64
				d.ScanArgs(t, "grace", &grace)
				at := metav1.NewTime(l.now.Add(time.Duration(grace) * time.Second))
				l.pod.DeletionTimestamp, l.pod.DeletionGracePeriodSeconds = &at, &grace
				return "ok"
			case "image":
				l.pod.Spec.Containers[0].Image = d.CmdArgs[0].Key
				return "ok"
			case "advance":
				by, err := time.ParseDuration(d.CmdArgs[0].Key)
				if err != nil {
					t.Fatal(err)
				}
				l.now = l.now.Add(by)
				return "ok"
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func (l *life) change(name string, f func(*container)) string {
	for i := range l.obs.containers {
		if c := &l.obs.containers[i]; c.name == name && c.state == running {
			f(c)
			return "ok"
		}
	}
	return "no such container runs"
}

// settle decides and carries out until a decision has no actions. A plan that never ends is cut off.
func (l *life) settle() string {
	var out strings.Builder
	for range 12 {
		in := input{pod: l.pod, obs: l.obs, tries: l.tries, hostIPs: []string{"192.0.2.1"}, now: l.now}
		p := decide(in)
		if !reflect.DeepEqual(p, decide(in)) {
			return "the same input gave two plans"
		}
		for name, t := range p.tries {
			l.tries[name] = t
		}
		l.pod.Status = p.status
		stopping := false
		for _, a := range p.actions {
			fmt.Fprintf(&out, "%s", a.do)
			for _, word := range []string{a.name, a.id} {
				if word != "" {
					fmt.Fprintf(&out, " %s", word)
				}
			}
			switch a.do {
			case begin, makeSandbox:
				fmt.Fprintf(&out, " attempt=%d", a.attempt)
			case stop:
				fmt.Fprintf(&out, " grace=%d (%s)", a.grace, a.why)
				stopping = true
			}
			out.WriteString("\n")
			l.do(a)
		}
		if len(p.actions) == 0 || stopping || l.gone {
			if !p.again.IsZero() {
				fmt.Fprintf(&out, "again in %s\n", p.again.Sub(l.now))
			}
			break
		}
	}
	if l.gone {
		return out.String() + "the pod is gone\n"
	}
	return out.String() + l.status()
}

// do is what the runtime and the API make of an action. A stop is begun only: the container's end is said by "exit".
func (l *life) do(a action) {
	l.created++
	id := strconv.Itoa(l.created)
	switch a.do {
	case makeSandbox:
		l.obs.sandboxes = append([]sandbox{{id: "s" + id, attempt: a.attempt, ready: true, addresses: []string{"10.0.0." + id}}}, l.obs.sandboxes...)
	case stopSandbox:
		for i := range l.obs.sandboxes {
			l.obs.sandboxes[i].ready = l.obs.sandboxes[i].ready && l.obs.sandboxes[i].id != a.id
		}
	case removeSandbox:
		l.obs.sandboxes = slices.DeleteFunc(l.obs.sandboxes, func(s sandbox) bool { return s.id == a.id })
		l.obs.containers = slices.DeleteFunc(l.obs.containers, func(c container) bool { return c.sandbox == a.id })
	case begin:
		spec := containerNamed(l.pod, a.name)
		c := container{id: "c" + id, name: a.name, sandbox: a.id, attempt: a.attempt, state: running, started: l.now, imageID: "sha256:x", hash: hashOf(spec)}
		l.obs.containers = append([]container{c}, l.obs.containers...)
	case remove:
		l.obs.containers = slices.DeleteFunc(l.obs.containers, func(c container) bool { return c.id == a.id })
	case deletePod:
		l.gone = true
	}
}

// status prints what matters of the status, a line for each thing.
func (l *life) status() string {
	s := l.pod.Status
	var out strings.Builder
	fmt.Fprintf(&out, "%s", s.Phase)
	for _, word := range []string{s.Reason, s.PodIP} {
		if word != "" {
			fmt.Fprintf(&out, " %s", word)
		}
	}
	if s.Message != "" {
		fmt.Fprintf(&out, " (%s)", s.Message)
	}
	out.WriteString("\n")
	for _, c := range append(slices.Clone(s.InitContainerStatuses), s.ContainerStatuses...) {
		fmt.Fprintf(&out, "  %s: %s ready=%v restarts=%d", c.Name, show(c.State), c.Ready, c.RestartCount)
		if c.LastTerminationState.Terminated != nil {
			fmt.Fprintf(&out, " last=%s", show(c.LastTerminationState))
		}
		out.WriteString("\n")
	}
	var holds []string
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue {
			holds = append(holds, string(c.Type))
		}
	}
	fmt.Fprintf(&out, "  true: %s\n", strings.Join(holds, " "))
	return out.String()
}

func show(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprintf("terminated(%s, %d)", s.Terminated.Reason, s.Terminated.ExitCode)
	case s.Waiting != nil && s.Waiting.Message != "":
		return fmt.Sprintf("waiting(%s: %s)", s.Waiting.Reason, s.Waiting.Message)
	case s.Waiting != nil:
		return fmt.Sprintf("waiting(%s)", s.Waiting.Reason)
	}
	return "nothing"
}

func TestUnsupportedIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"plain":    {`containers: [{name: c, image: i, resources: {limits: {cpu: 1}}}]`, nil},
		"probe":    {`containers: [{name: c, image: i, livenessProbe: {tcpSocket: {port: 1}}}]`, []string{"spec.containers[0].livenessProbe"}},
		"volume":   {`{containers: [{name: c, image: i}], volumes: [{name: a, emptyDir: {}}, {name: b, secret: {secretName: x}}]}`, []string{"spec.volumes[1]"}},
		"memory":   {`{containers: [{name: c, image: i}], volumes: [{name: a, emptyDir: {medium: Memory}}]}`, []string{"spec.volumes[0]"}},
		"hostPort": {`containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 80}]}]`, []string{"spec.containers[0].ports[0].hostPort"}},
		"several":  {`{hostPID: true, containers: [{name: c, image: i, lifecycle: {}}]}`, []string{"spec.hostPID", "spec.containers[0].lifecycle"}},
		"sidecar":  {`{containers: [{name: c, image: i}], initContainers: [{name: s, image: i, restartPolicy: Always}]}`, []string{"spec.initContainers[0].restartPolicy"}},
		"fsGroup":  {`{containers: [{name: c, image: i}], securityContext: {fsGroup: 1}}`, []string{"spec.securityContext.fsGroup"}},
	} {
		var s corev1.PodSpec
		if err := yaml.UnmarshalStrict([]byte(c.spec), &s); err != nil {
			t.Fatal(err)
		}
		if got := unsupported(&s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	env := []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)"}}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "$(A)": "1", "x$(A)y$(A)": "x1y1", "$(B)": "$(A)", "$(NONE)": "$(NONE)", "$$(A)": "$(A)", "$$": "$", "$": "$", "$A": "$A", "$(A": "$(A", "$()": "$()", "$$$(A)": "$1",
	} {
		if got := expand(text, env); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
