package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var now = time.Unix(100000, 0)

// ajob is a job of three pods, two at a time, that began a minute ago.
func ajob(change func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j", UID: "j"},
		Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](3), BackoffLimit: ptr.To[int32](6),
			PodReplacementPolicy: ptr.To(batchv1.TerminatingOrFailed),
			Template:             corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c"}}}}},
		Status: batchv1.JobStatus{StartTime: &metav1.Time{Time: now.Add(-time.Minute)}}}
	if change != nil {
		change(j)
	}
	return j
}

func indexedJob(change func(*batchv1.Job)) *batchv1.Job {
	return ajob(func(j *batchv1.Job) {
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		if change != nil {
			change(j)
		}
	})
}

// apod reads "NAME STATE…": states are pending, running, ready, succeeded, failed (a minute ago, or as "failed@SECONDS" ago), going, free, index=N, count=N, exit=N.
func apod(text string) *corev1.Pod {
	words := strings.Fields(text)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: words[0], UID: types.UID(words[0]), Namespace: "default", Finalizers: []string{batchv1.JobTrackingFinalizer}, Annotations: map[string]string{}}}
	ago := func(s string) metav1.Time {
		var n int
		if _, err := fmt.Sscan(s, &n); err != nil {
			n = 60
		}
		return metav1.NewTime(now.Add(-time.Duration(n) * time.Second))
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(strings.Replace(w, "@", "=", 1), "=")
		switch key {
		case "running", "ready":
			p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
			if key == "ready" {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			}
		case "succeeded", "failed":
			p.Status.Phase = map[string]corev1.PodPhase{"succeeded": corev1.PodSucceeded, "failed": corev1.PodFailed}[key]
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: ago(value)}}}}
		case "exit":
			if _, err := fmt.Sscan(value, &p.Status.ContainerStatuses[0].State.Terminated.ExitCode); err != nil {
				panic(err)
			}
		case "disrupted":
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
		case "going":
			p.DeletionTimestamp = &metav1.Time{Time: now.Add(-time.Hour)}
		case "free":
			p.Finalizers = nil
		case "index":
			p.Annotations[batchv1.JobCompletionIndexAnnotation] = value
		case "count":
			p.Annotations[batchv1.JobIndexFailureCountAnnotation] = value
		}
	}
	return p
}

func names(list []*corev1.Pod) string {
	var all []string
	for _, p := range list {
		all = append(all, p.Name+p.GenerateName+strings.TrimSuffix(":"+p.Annotations[batchv1.JobIndexFailureCountAnnotation], ":"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (d Decision) text() string {
	var parts []string
	for _, l := range []struct {
		what string
		list []*corev1.Pod
	}{{"unneeded", d.Unneeded}, {"delete", d.Delete}, {"create", d.Create}} {
		if len(l.list) > 0 {
			parts = append(parts, l.what+" "+names(l.list))
		}
	}
	if st := d.Status; st != nil {
		parts = append(parts, fmt.Sprintf("a%d r%d t%d s%d f%d", st.Active, *st.Ready, *st.Terminating, st.Succeeded, st.Failed))
		if u := st.UncountedTerminatedPods; len(u.Succeeded)+len(u.Failed) > 0 {
			parts = append(parts, fmt.Sprintf("lists %v %v", u.Succeeded, u.Failed))
		}
		if st.CompletedIndexes != "" {
			parts = append(parts, "done "+st.CompletedIndexes)
		}
		if st.FailedIndexes != nil && *st.FailedIndexes != "" {
			parts = append(parts, "lost "+*st.FailedIndexes)
		}
		for _, c := range st.Conditions {
			parts = append(parts, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
		}
	}
	if len(d.Free) > 0 {
		parts = append(parts, "free "+names(d.Free))
	}
	for _, e := range d.Events {
		parts = append(parts, e.Type+" "+e.Reason+": "+e.Message)
	}
	if d.After != 0 {
		parts = append(parts, fmt.Sprintf("after %v", d.After))
	}
	return strings.Join(parts, "; ")
}

type decisions map[string]struct {
	job  *batchv1.Job
	pods []string
	want string
}

func (all decisions) check(t *testing.T) {
	t.Helper()
	for name, c := range all {
		var mine []*corev1.Pod
		for _, text := range c.pods {
			mine = append(mine, apod(text))
		}
		if got := Decide(c.job, mine, now).text(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func announced(of batchv1.JobConditionType, reason string) []batchv1.JobCondition {
	return []batchv1.JobCondition{{Type: of, Status: corev1.ConditionTrue, Reason: reason, Message: "why"}}
}

func TestDecide(t *testing.T) {
	queue := func(j *batchv1.Job) { j.Spec.Completions = nil }
	suspend := func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) }
	listed := func(succeeded, failed []types.UID) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: succeeded, Failed: failed}
		}
	}
	deadline := func(n int64) func(*batchv1.Job) {
		return func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = &n }
	}
	decisions{
		"new":             {ajob(nil), nil, "create j- j-; a2 r0 t0 s0 f0"},
		"full":            {ajob(nil), []string{"a ready", "b pending"}, "a2 r1 t0 s0 f0"},
		"one more":        {ajob(func(j *batchv1.Job) { j.Status.Succeeded = 2 }), nil, "create j-; a1 r0 t0 s2 f0"},
		"too many":        {ajob(func(j *batchv1.Job) { j.Status.Succeeded = 2 }), []string{"a ready", "b pending"}, "unneeded b; a1 r1 t1 s2 f0"},
		"succeeded":       {ajob(nil), []string{"a succeeded", "b ready"}, "create j-; a2 r1 t0 s0 f0; lists [a] []; free a"},
		"listed":          {ajob(listed([]types.UID{"a"}, nil)), []string{"a succeeded", "b ready"}, "create j-; a2 r1 t0 s0 f0; lists [a] []; free a"},
		"free":            {ajob(listed([]types.UID{"a"}, nil)), []string{"a succeeded free", "b ready"}, "create j-; a2 r1 t0 s1 f0"},
		"listed and gone": {ajob(listed(nil, []types.UID{"a"})), []string{"b ready", "c ready"}, "a2 r2 t0 s0 f1"},
		"listed as failed, then succeeded": {ajob(listed(nil, []types.UID{"a"})), []string{"a succeeded going", "b ready", "c ready"},
			"a2 r2 t0 s0 f0; lists [] [a]; free a"},
		"failed just now":    {ajob(nil), []string{"a failed@4", "b ready"}, "a1 r1 t0 s0 f0; lists [] [a]; free a; after 6s"},
		"failed twice":       {ajob(nil), []string{"a failed@4", "z failed@90 free", "b ready"}, "a1 r1 t0 s0 f0; lists [] [a]; free a; after 16s"},
		"failed, succeeded":  {ajob(nil), []string{"a failed@90", "z succeeded@4 free", "b ready"}, "create j-; a2 r1 t0 s0 f0; lists [] [a]; free a"},
		"going":              {ajob(nil), []string{"a running going", "b ready"}, "create j-; a2 r1 t1 s0 f0; lists [] [a]; free a"},
		"going, wait":        {ajob(func(j *batchv1.Job) { j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed) }), []string{"a running going", "b ready"}, "a1 r1 t1 s0 f0"},
		"too often":          {ajob(func(j *batchv1.Job) { j.Status.Failed = 6 }), []string{"a failed", "b ready"}, "delete b; a0 r0 t1 s0 f6; lists [] [a b]; FailureTarget=True BackoffLimitExceeded; free a"},
		"late":               {ajob(deadline(60)), []string{"b ready"}, "delete b; a0 r0 t1 s0 f0; lists [] [b]; FailureTarget=True DeadlineExceeded"},
		"not late yet":       {ajob(deadline(90)), []string{"a ready", "b ready"}, "a2 r2 t0 s0 f0; after 30s"},
		"suspended":          {ajob(suspend), []string{"a ready", "b pending"}, "unneeded a b; a0 r0 t2 s0 f0; Suspended=True JobSuspended; Normal Suspended: Job suspended"},
		"suspended, late":    {ajob(func(j *batchv1.Job) { suspend(j); deadline(1)(j) }), nil, "a0 r0 t0 s0 f0; Suspended=True JobSuspended; Normal Suspended: Job suspended"},
		"resumed":            {ajob(func(j *batchv1.Job) { j.Status.Conditions = announced(batchv1.JobSuspended, "JobSuspended") }), nil, "create j- j-; a2 r0 t0 s0 f0; Suspended=False JobResumed; Normal Resumed: Job resumed"},
		"done":               {ajob(func(j *batchv1.Job) { j.Status.Succeeded = 3 }), nil, "a0 r0 t0 s3 f0; SuccessCriteriaMet=True CompletionsReached"},
		"nothing to do":      {ajob(func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](0) }), nil, "a0 r0 t0 s0 f0; SuccessCriteriaMet=True CompletionsReached"},
		"any will do":        {ajob(queue), []string{"a ready"}, "create j-; a2 r1 t0 s0 f0"},
		"one did":            {ajob(queue), []string{"a ready", "b succeeded"}, "a1 r1 t0 s0 f0; lists [b] []; free b"},
		"one did, all ended": {ajob(queue), []string{"a failed", "b succeeded"}, "a0 r0 t0 s0 f0; lists [b] [a]; SuccessCriteriaMet=True CompletionsReached; free a b"},
		"complete": {ajob(func(j *batchv1.Job) {
			j.Status.Succeeded, j.Status.Conditions = 3, announced(batchv1.JobSuccessCriteriaMet, "CompletionsReached")
		}), []string{"a succeeded free"}, "a0 r0 t0 s3 f0; SuccessCriteriaMet=True CompletionsReached; Complete=True CompletionsReached; Normal Completed: Job completed"},
		"more than complete": {ajob(func(j *batchv1.Job) {
			j.Status.Succeeded, j.Status.Conditions = 4, announced(batchv1.JobSuccessCriteriaMet, "CompletionsReached")
		}), nil, "a0 r0 t0 s4 f0; SuccessCriteriaMet=True CompletionsReached; Complete=True CompletionsReached; " +
			"Warning TooManySucceededPods: Too many succeeded pods running after completion count reached; Normal Completed: Job completed"},
		"complete but for one that goes": {ajob(func(j *batchv1.Job) {
			j.Status.Succeeded, j.Status.Conditions = 3, announced(batchv1.JobSuccessCriteriaMet, "CompletionsReached")
		}), []string{"a running going free"}, "a0 r0 t1 s3 f0; SuccessCriteriaMet=True CompletionsReached"},
		"failed": {ajob(func(j *batchv1.Job) {
			j.Status.Failed, j.Status.Conditions = 7, announced(batchv1.JobFailureTarget, "BackoffLimitExceeded")
		}), nil, "a0 r0 t0 s0 f7; FailureTarget=True BackoffLimitExceeded; Failed=True BackoffLimitExceeded; Warning BackoffLimitExceeded: why"},
		"deleted": {ajob(func(j *batchv1.Job) { j.DeletionTimestamp = &metav1.Time{Time: now} }), []string{"a ready"}, "a1 r1 t0 s0 f0; free a"},
	}.check(t)
}

func TestIndexes(t *testing.T) {
	perIndex := func(limit int32, most *int32) func(*batchv1.Job) {
		return func(j *batchv1.Job) { j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = &limit, most }
	}
	rule := func(r batchv1.SuccessPolicyRule) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{r}}
		}
	}
	decisions{
		"new":          {indexedJob(nil), nil, "create j-0- j-1-; a2 r0 t0 s0 f0"},
		"next":         {indexedJob(nil), []string{"a succeeded index=0", "b ready index=1"}, "create j-2-; a2 r1 t0 s1 f0; done 0; free a"},
		"twice":        {indexedJob(nil), []string{"a ready index=0", "b pending index=0"}, "unneeded b; a1 r1 t1 s0 f0"},
		"none":         {indexedJob(nil), []string{"a ready", "b ready index=7"}, "unneeded a b; a0 r0 t2 s0 f0"},
		"none, failed": {indexedJob(nil), []string{"a failed index=9", "b ready index=0", "c ready index=1"}, "a2 r2 t0 s0 f0; free a"},
		"all":          {indexedJob(func(j *batchv1.Job) { j.Status.CompletedIndexes = "0,1" }), []string{"a succeeded index=2"}, "a0 r0 t0 s3 f0; done 0-2; SuccessCriteriaMet=True CompletionsReached; free a"},
		"fewer": {indexedJob(func(j *batchv1.Job) {
			j.Spec.Completions, j.Spec.Parallelism, j.Status.CompletedIndexes, j.Status.Succeeded = ptr.To[int32](2), ptr.To[int32](2), "1,2", 2
		}), nil, "create j-0-; a1 r0 t0 s1 f0; done 1"},
		"again":      {indexedJob(perIndex(2, nil)), []string{"a failed index=0 count=1", "b ready index=1"}, "create j-0-:2; a2 r1 t0 s0 f0"},
		"waits":      {indexedJob(perIndex(2, nil)), []string{"a failed@4 index=0 count=0", "b ready index=1"}, "a1 r1 t0 s0 f0; after 6s"},
		"taken over": {indexedJob(perIndex(2, nil)), []string{"a failed index=0 count=0", "c ready index=0 count=1", "b ready index=1"}, "a2 r2 t0 s0 f0; lists [] [a]; free a:0"},
		"lost":       {indexedJob(perIndex(1, nil)), []string{"a failed index=0 count=1", "b ready index=1"}, "create j-2-:0; a2 r1 t0 s0 f0; lists [] [a]; lost 0; free a:1"},
		"too many lost": {indexedJob(perIndex(0, ptr.To[int32](0))), []string{"a failed index=0", "b ready index=1"},
			"delete b; a0 r0 t1 s0 f0; lists [] [a b]; lost 0; FailureTarget=True MaxFailedIndexesExceeded; free a"},
		"some lost":    {indexedJob(func(j *batchv1.Job) { perIndex(0, nil)(j); j.Status.CompletedIndexes = "1,2" }), []string{"a failed index=0"}, "a0 r0 t0 s2 f0; lists [] [a]; done 1,2; lost 0; FailureTarget=True FailedIndexes; free a"},
		"enough":       {indexedJob(rule(batchv1.SuccessPolicyRule{SucceededCount: ptr.To[int32](1)})), []string{"a succeeded index=1", "b ready index=0"}, "delete b; a0 r0 t1 s1 f0; done 1; SuccessCriteriaMet=True SuccessPolicy; free a"},
		"the leader":   {indexedJob(rule(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0")})), []string{"a succeeded index=0", "b ready index=1"}, "delete b; a0 r0 t1 s1 f0; done 0; SuccessCriteriaMet=True SuccessPolicy; free a"},
		"not it":       {indexedJob(rule(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0")})), []string{"a succeeded index=1", "b ready index=0"}, "create j-2-; a2 r1 t0 s1 f0; done 1; free a"},
		"some of them": {indexedJob(rule(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0-1"), SucceededCount: ptr.To[int32](1)})), []string{"a succeeded index=1"}, "a0 r0 t0 s1 f0; done 1; SuccessCriteriaMet=True SuccessPolicy; free a"},
	}.check(t)
}

func TestFailurePolicy(t *testing.T) {
	with := func(action batchv1.PodFailurePolicyAction, more func(*batchv1.Job)) *batchv1.Job {
		return indexedJob(func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
				{Action: action, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}}},
			}}
			if more != nil {
				more(j)
			}
		})
	}
	limit := func(j *batchv1.Job) { j.Spec.BackoffLimitPerIndex = ptr.To[int32](5) }
	decisions{
		"job":          {with(batchv1.PodFailurePolicyActionFailJob, nil), []string{"a failed index=0 exit=42", "b ready index=1"}, "delete b; a0 r0 t1 s0 f0; lists [] [a b]; FailureTarget=True PodFailurePolicy; free a"},
		"index":        {with(batchv1.PodFailurePolicyActionFailIndex, limit), []string{"a failed index=0 exit=42", "b ready index=1"}, "create j-2-:0; a2 r1 t0 s0 f0; lists [] [a]; lost 0; free a"},
		"count":        {with(batchv1.PodFailurePolicyActionCount, nil), []string{"a failed index=0 exit=42", "b ready index=1"}, "create j-0-; a2 r1 t0 s0 f0; lists [] [a]; free a"},
		"ignore":       {with(batchv1.PodFailurePolicyActionIgnore, nil), []string{"a failed index=0 exit=42", "b ready index=1"}, "create j-0-; a2 r1 t0 s0 f0; free a"},
		"condition":    {with(batchv1.PodFailurePolicyActionFailJob, nil), []string{"a failed index=0 exit=42 disrupted", "b ready index=1"}, "create j-0-; a2 r1 t0 s0 f0; free a"},
		"another code": {with(batchv1.PodFailurePolicyActionFailJob, nil), []string{"a failed index=0 exit=41", "b ready index=1"}, "create j-0-; a2 r1 t0 s0 f0; lists [] [a]; free a"},
		"going":        {with(batchv1.PodFailurePolicyActionFailJob, nil), []string{"a running index=0 going", "b ready index=1"}, "a1 r1 t1 s0 f0"},
	}.check(t)
	d := Decide(with(batchv1.PodFailurePolicyActionFailJob, nil), []*corev1.Pod{apod("a failed index=0 exit=42")}, now)
	if got := d.Status.Conditions[0].Message; got != "Container c for pod default/a failed with exit code 42 matching FailJob rule at index 1" {
		t.Errorf("got %s", got)
	}
}

// TestPodOfAnIndex: containers and everybody else can tell which index a pod has.
func TestPodOfAnIndex(t *testing.T) {
	p := Decide(indexedJob(func(j *batchv1.Job) { j.Name = strings.Repeat("n", 60) }), nil, now).Create[1]
	env := p.Spec.Containers[0].Env
	if p.GenerateName != strings.Repeat("n", 55)+"-1-" || p.Spec.Hostname != strings.Repeat("n", 60)+"-1" || p.Labels[batchv1.JobCompletionIndexAnnotation] != "1" ||
		p.Annotations[batchv1.JobCompletionIndexAnnotation] != "1" || !tracked(p) || len(env) != 1 || env[0].Name != "JOB_COMPLETION_INDEX" ||
		env[0].ValueFrom.FieldRef.FieldPath != "metadata.labels['batch.kubernetes.io/job-completion-index']" {
		t.Errorf("got %+v", p)
	}
}

// TestBursts: a round makes, deletes and lists at most 500.
func TestBursts(t *testing.T) {
	big := ajob(func(j *batchv1.Job) {
		j.Spec.Parallelism, j.Spec.Completions = ptr.To[int32](2000), ptr.To[int32](2000)
	})
	if n := len(Decide(big, nil, now).Create); n != 500 {
		t.Errorf("%d are made", n)
	}
	var ended []*corev1.Pod
	for i := range 700 {
		ended = append(ended, apod(fmt.Sprintf("p%d succeeded", i)))
	}
	if d := Decide(big, ended, now); len(d.Free) != 500 || len(d.Status.UncountedTerminatedPods.Succeeded) != 500 {
		t.Errorf("%d are freed, %d listed", len(d.Free), len(d.Status.UncountedTerminatedPods.Succeeded))
	}
}

// TestStandstill: when pods cannot be made, ends are counted all the same, and the status tells of the pods that there are.
func TestStandstill(t *testing.T) {
	d := standstill(ajob(nil), []*corev1.Pod{apod("a succeeded"), apod("b ready")}, now)
	if got := d.text(); got != "a1 r1 t0 s0 f0; lists [a] []; free a" {
		t.Errorf("got %s", got)
	}
	late := ajob(func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) })
	if got := standstill(late, []*corev1.Pod{apod("b ready")}, now).text(); got != "a1 r1 t0 s0 f0" {
		t.Errorf("a job that cannot delete its pods: %s", got)
	}
}

func TestSets(t *testing.T) {
	s := parseIndexes("0,2-4,x,6,7,9-20", 12)
	if s.String() != "0,2-4,6,7,9-11" || s.count() != 9 || s.has(1) || !s.has(3) || !s.has(11) || s.has(12) {
		t.Errorf("got %s, %d", s, s.count())
	}
	if got := s.missing(9, 14); !slices.Equal(got, []int{1, 5, 8, 12, 13}) {
		t.Errorf("missing %v", got)
	}
	if got := s.with(1, 5, 8); got.String() != "0-11" || got.common(s) != 9 {
		t.Errorf("got %s", got)
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: 0, 1: 7 * time.Second, 2: 17 * time.Second, 6: 317 * time.Second, 7: 597 * time.Second, 1000: 597 * time.Second} {
		if got := backoff(failures, now.Add(-3*time.Second), now); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}
