package podlife

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func within(d time.Duration) *Range { r := Constant(d); return &r }

// lived is one pod's life, as far as it has come.
type lived struct {
	in     Input
	life   *Life
	now    time.Duration
	forget bool // after every step, as a restarted server does
	told   []string
}

func newLived(pod *corev1.Pod, b Behaviour) *lived {
	pod.Namespace, pod.Name, pod.UID, pod.Generation = "default", "p", "u", 1
	l := &lived{in: Input{Pod: pod, Behaviour: b, Seed: 1, HostIPs: []string{"198.18.0.1"}, PodIPs: []string{"240.0.0.1"}, Events: true, Now: began}}
	l.life = Begin(pod, began)
	return l
}

// run lets a life come to a time, and returns what its status was each time that it changed.
func (l *lived) run(until time.Duration) (lines []string) {
	for steps := 0; ; steps++ {
		if steps > 1000 {
			return append(lines, "it has no end")
		}
		l.in.Now = began.Add(l.now)
		status, next, done := l.life.Step(l.in)
		for _, e := range l.life.Events() {
			l.told = append(l.told, fmt.Sprintf("%v %s %s %s: %s", l.now, e.Type, e.Reason, e.Container, e.Message))
		}
		if !reflect.DeepEqual(status, l.in.Pod.Status) {
			l.in.Pod = l.in.Pod.DeepCopy()
			l.in.Pod.Status = status
			lines = append(lines, fmt.Sprintf("%v %s", l.now, brief(&status)))
			l.rebase()
		}
		if done {
			return append(lines, fmt.Sprintf("%v gone", l.now))
		}
		if next.IsZero() || next.Sub(began) > until {
			l.now = until
			return lines
		}
		l.now = next.Sub(began)
	}
}

// rebase makes the life one of the newest pod.
func (l *lived) rebase() {
	if l.forget {
		l.life, _ = Recover(l.in.Pod, l.in.Now)
		return
	}
	l.life.Follow(l.in.Pod)
}

func brief(s *corev1.PodStatus) string {
	words := []string{string(s.Phase)}
	if s.Reason != "" {
		words = append(words, s.Reason)
	}
	for _, c := range append(append([]corev1.ContainerStatus{}, s.InitContainerStatuses...), s.ContainerStatuses...) {
		state := ""
		switch {
		case c.State.Waiting != nil:
			state = c.State.Waiting.Reason
		case c.State.Running != nil:
			state = "running"
			if c.Started == nil || !*c.Started {
				state = "starting"
			}
		default:
			state = fmt.Sprintf("%s(%d)", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		}
		if c.Ready {
			state += "+"
		}
		if c.RestartCount > 0 {
			state += fmt.Sprintf("#%d", c.RestartCount)
		}
		words = append(words, c.Name+"="+state)
	}
	for _, c := range s.Conditions {
		short := map[corev1.PodConditionType]string{corev1.PodReadyToStartContainers: "b", corev1.PodInitialized: "i", corev1.PodReady: "r", corev1.ContainersReady: "c"}[c.Type]
		if c.Status == corev1.ConditionTrue {
			short = strings.ToUpper(short)
		}
		words = append(words, short)
	}
	return strings.Join(words, " ")
}

// TestLives runs the scripts in testdata: "pod" gives a spec and a behaviour, "run" lets time pass, "delete" marks the pod.
func TestLives(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var l *lived
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "pod":
				var made struct {
					Job       bool           `json:"job"`
					Spec      corev1.PodSpec `json:"spec"`
					Behaviour Behaviour      `json:"behaviour"`
				}
				if err := yaml.UnmarshalStrict([]byte(d.Input), &made); err != nil {
					d.Fatalf(t, "%v", err)
				}
				pod := &corev1.Pod{Spec: made.Spec}
				if pod.Spec.RestartPolicy == "" {
					pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
				}
				if made.Job {
					pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job"}}
				}
				l = newLived(pod, made.Behaviour)
				return ""
			case "delete":
				at, grace := metav1.NewTime(began.Add(l.now)), int64(30)
				d.MaybeScanArgs(t, "grace", &grace)
				l.in.Pod = l.in.Pod.DeepCopy()
				l.in.Pod.DeletionTimestamp, l.in.Pod.DeletionGracePeriodSeconds = &at, &grace
				l.rebase()
				return ""
			case "forget":
				l.life, _ = Recover(l.in.Pod, began.Add(l.now))
				return ""
			case "crash":
				l.life.Crash(l.in.Pod, began.Add(l.now))
				return ""
			case "events":
				told := l.told
				l.told = nil
				return strings.Join(told, "\n")
			}
			var until string
			d.ScanArgs(t, "until", &until)
			limit, err := time.ParseDuration(until)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return strings.Join(l.run(limit), "\n")
		})
	})
}

// TestOneStepIsMany: a life that is looked at once shows what one shows that is looked at all the time.
func TestOneStepIsMany(t *testing.T) {
	for _, outcome := range Outcomes() {
		spec := corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways, InitContainers: []corev1.Container{{Name: "i", Image: "x"}},
			Containers: []corev1.Container{{Name: "a", Image: "x", LivenessProbe: &corev1.Probe{PeriodSeconds: 3}}, {Name: "b", Image: "x"}},
		}
		b := Behaviour{Outcome: outcome, Pull: Range{time.Second, 3 * time.Second}, Run: within(4 * time.Second), Init: Constant(2 * time.Second), Failures: 3}
		slow, quick := newLived(&corev1.Pod{Spec: spec}, b), newLived(&corev1.Pod{Spec: spec}, b)
		slow.run(3 * time.Minute)
		quick.in.Now = began.Add(3 * time.Minute)
		got, _, _ := quick.life.Step(quick.in)
		slow.in.Now = quick.in.Now
		want, _, _ := slow.life.Step(slow.in)
		if brief(&got) != brief(&want) {
			t.Errorf("%s: in one step %s, in many %s", outcome, brief(&got), brief(&want))
		}
		for i := range got.ContainerStatuses {
			if a, b := got.ContainerStatuses[i], want.ContainerStatuses[i]; !reflect.DeepEqual(a, b) {
				t.Errorf("%s: container %s in one step:\n%+v\nin many:\n%+v", outcome, a.Name, a, b)
			}
		}
	}
}

// TestForgetting: a life that is made anew from each status shows what one shows that is remembered.
func TestForgetting(t *testing.T) {
	for _, outcome := range Outcomes() {
		for _, policy := range []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever} {
			spec := corev1.PodSpec{
				RestartPolicy: policy, InitContainers: []corev1.Container{{Name: "i", Image: "x"}},
				Containers: []corev1.Container{{Name: "a", Image: "x", LivenessProbe: &corev1.Probe{PeriodSeconds: 3}}},
			}
			b := Behaviour{Outcome: outcome, Pull: Constant(time.Second), Start: Constant(2 * time.Second), Ready: Constant(3 * time.Second), Run: within(7 * time.Second), Init: Constant(2 * time.Second), Failures: 3}
			l := newLived(&corev1.Pod{Spec: spec}, b)
			want := strings.Join(l.run(5*time.Minute), "\n")
			l = newLived(&corev1.Pod{Spec: spec}, b)
			l.forget = true
			if got := strings.Join(l.run(5*time.Minute), "\n"); got != want || !strings.Contains(got, "\n") {
				t.Errorf("%s, %s: forgetting\n%s\nwant\n%s", outcome, policy, got, want)
			}
		}
	}
}

// TestRanges are read and written.
func TestRanges(t *testing.T) {
	for text, want := range map[string]Range{"2s": {2 * time.Second, 2 * time.Second}, "1s..5s": {time.Second, 5 * time.Second}, "0s": {}} {
		if got, err := ParseRange(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v (%s), %v; want %v", text, got, got, err, want)
		}
	}
	for _, text := range []string{"", "2", "5s..1s", "-1s", "1s..", "1s..2s..3s"} {
		if got, err := ParseRange(text); err == nil {
			t.Errorf("%q: read as %v, want an error", text, got)
		}
	}
	sum, n := 0.0, 10_000
	for i := range n {
		sum += Share(1, "u", fmt.Sprint(i))
	}
	if mean := sum / float64(n); mean < 0.48 || mean > 0.52 {
		t.Errorf("the mean of shares is %v, want about one half", mean)
	}
}

func BenchmarkStep(b *testing.B) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	l := newLived(pod, Behaviour{})
	l.in.Events = false
	b.ReportAllocs()
	for b.Loop() {
		Begin(pod, began).Step(l.in)
	}
}
