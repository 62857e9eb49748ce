package batch_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/batch"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i:1"}}}}
}

// job is one as it is stored; before changes what the client sent, after what the server made of it.
func job(before, after func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "pi", Namespace: "default", UID: "u"}, Spec: batchv1.JobSpec{Template: template()}}
	if before != nil {
		before(j)
	}
	k := batch.Job()
	k.Default(j)
	k.PrepareCreate(kindtest.Env(), j)
	if after != nil {
		after(j)
	}
	return j
}

// first is the first violation, "" without one.
func first(errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return errs[0].Error()
}

func TestJobDefaults(t *testing.T) {
	s := job(nil, nil).Spec
	if *s.Parallelism != 1 || *s.Completions != 1 || *s.BackoffLimit != 6 || *s.CompletionMode != "NonIndexed" || *s.Suspend || *s.ManualSelector || *s.PodReplacementPolicy != "TerminatingOrFailed" {
		t.Errorf("got %+v", s)
	}
	s = job(func(j *batchv1.Job) {
		j.Spec.Parallelism, j.Spec.BackoffLimitPerIndex = ptr.To[int32](3), ptr.To[int32](1)
		j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: "Ignore", OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: "x"}}}}}
	}, nil).Spec
	if s.Completions != nil || *s.BackoffLimit != 1<<31-1 || *s.PodReplacementPolicy != "Failed" || s.PodFailurePolicy.Rules[0].OnPodConditions[0].Status != "True" {
		t.Errorf("got %+v", s)
	}
}

func TestJobSelectsItsOwnPods(t *testing.T) {
	own := map[string]string{"job-name": "pi", "batch.kubernetes.io/job-name": "pi", "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u"}
	has := func(labels map[string]string, more int) bool {
		for k, v := range own {
			if labels[k] != v {
				return false
			}
		}
		return len(labels) == len(own)+more
	}
	j := job(nil, nil)
	if !has(j.Spec.Template.Labels, 0) || !has(j.Labels, 0) || len(j.Spec.Selector.MatchLabels) != 1 || j.Spec.Selector.MatchLabels["batch.kubernetes.io/controller-uid"] != "u" {
		t.Errorf("got labels %v, template %v, selector %v", j.Labels, j.Spec.Template.Labels, j.Spec.Selector)
	}
	j = job(func(j *batchv1.Job) { j.Spec.Template.Labels = map[string]string{"a": "b"} }, nil)
	if !has(j.Spec.Template.Labels, 1) || !has(j.Labels, 1) {
		t.Errorf("labels of a template: got %v, template %v", j.Labels, j.Spec.Template.Labels)
	}
	j.Labels["x"] = "y"
	if j.Spec.Template.Labels["x"] != "" {
		t.Error("the job and its template share their labels")
	}
	j = job(func(j *batchv1.Job) { j.Labels = map[string]string{"mine": "1"} }, nil)
	if len(j.Labels) != 1 {
		t.Errorf("a job's own labels: got %v", j.Labels)
	}
	labels := map[string]string{"a": "b"}
	j = job(func(j *batchv1.Job) {
		j.Spec.ManualSelector, j.Spec.Selector, j.Spec.Template.Labels = ptr.To(true), &metav1.LabelSelector{MatchLabels: labels}, labels
	}, nil)
	if len(j.Spec.Template.Labels) != 1 || first(batch.Job().Validate(j)) != "" {
		t.Errorf("a selector made by hand: got %v, %v", j.Spec.Template.Labels, batch.Job().Validate(j))
	}
}

func TestJobValidation(t *testing.T) {
	number := ptr.To[int32]
	rule := func(r batchv1.PodFailurePolicyRule) func(*batchv1.JobSpec) {
		return func(s *batchv1.JobSpec) {
			s.PodFailurePolicy, s.PodReplacementPolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{r}}, ptr.To(batchv1.Failed)
		}
	}
	index := func(f func(*batchv1.JobSpec)) func(*batchv1.JobSpec) {
		return func(s *batchv1.JobSpec) {
			s.CompletionMode, s.Completions = ptr.To(batchv1.IndexedCompletion), number(5)
			f(s)
		}
	}
	codes := func(c batchv1.PodFailurePolicyOnExitCodesRequirement) func(*batchv1.JobSpec) {
		return rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: &c})
	}
	success := func(r ...batchv1.SuccessPolicyRule) func(*batchv1.JobSpec) {
		return index(func(s *batchv1.JobSpec) { s.SuccessPolicy = &batchv1.SuccessPolicy{Rules: r} })
	}
	for name, c := range map[string]struct {
		change func(*batchv1.JobSpec)
		want   string
	}{
		"good":                 {func(*batchv1.JobSpec) {}, ""},
		"good, indexed":        {index(func(s *batchv1.JobSpec) { s.BackoffLimitPerIndex, s.MaxFailedIndexes = number(1), number(5) }), ""},
		"good, exit codes":     {codes(batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{1, 3}, ContainerName: ptr.To("c")}), ""},
		"good, success":        {success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0,2-4"), SucceededCount: number(4)}), ""},
		"negative":             {func(s *batchv1.JobSpec) { s.Parallelism = number(-1) }, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"},
		"deadline":             {func(s *batchv1.JobSpec) { s.ActiveDeadlineSeconds = ptr.To[int64](-1) }, "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"},
		"restart":              {func(s *batchv1.JobSpec) { s.Template.Spec.RestartPolicy = "Always" }, `spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		"manager":              {func(s *batchv1.JobSpec) { s.ManagedBy = ptr.To("me") }, `spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")`},
		"labels by hand":       {func(s *batchv1.JobSpec) { s.Template.Labels["job-name"] = "x" }, `spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"pi","controller-uid":"u","job-name":"x"}: must be 'pi'`},
		"selector by hand":     {func(s *batchv1.JobSpec) { s.Selector.MatchLabels["a"] = "b" }, "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u\"}}: `selector` not auto-generated"},
		"mode":                 {func(s *batchv1.JobSpec) { s.CompletionMode = ptr.To[batchv1.CompletionMode]("x") }, `spec.completionMode: Unsupported value: "x": supported values: "NonIndexed", "Indexed"`},
		"limit, not indexed":   {func(s *batchv1.JobSpec) { s.BackoffLimitPerIndex = number(1) }, "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"},
		"success, not indexed": {func(s *batchv1.JobSpec) { s.SuccessPolicy = &batchv1.SuccessPolicy{} }, `spec.successPolicy: Invalid value: {"Rules":null}: requires indexed completion mode`},
		"indexed, of nothing":  {index(func(s *batchv1.JobSpec) { s.Completions = nil }), "spec.completions: Required value: when completion mode is Indexed"},
		"many at once":         {index(func(s *batchv1.JobSpec) { s.Parallelism = number(100_001) }), "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"},
		"many in all": {index(func(s *batchv1.JobSpec) { s.Completions, s.BackoffLimitPerIndex = number(100_001), number(1) }),
			"spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"},
		"action":           {rule(batchv1.PodFailurePolicyRule{}), `spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`},
		"index's failure":  {rule(batchv1.PodFailurePolicyRule{Action: "FailIndex"}), `spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`},
		"rule of nothing":  {rule(batchv1.PodFailurePolicyRule{Action: "Count"}), "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
		"no codes":         {codes(batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In"}), "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: null: at least one value is required"},
		"code 0":           {codes(batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{0}}), "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"},
		"codes unordered":  {codes(batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "NotIn", Values: []int32{2, 1}}), "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered"},
		"container's code": {codes(batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{1}, ContainerName: ptr.To("x")}), `spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template`},
		"no success":       {success(), "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"},
		"success, indexes": {success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("3-1")}), `spec.successPolicy.rules[0].succeededIndexes: Invalid value: "3-1": error parsing succeededIndexes: non-increasing order, previous: 3, current: 1`},
		"success, count":   {success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("1"), SucceededCount: number(2)}), "spec.successPolicy.rules[0].succeededCount: Invalid value: 2: must be less than or equal to 1 (the number of indexes in the specified succeededIndexes field)"},
	} {
		j := job(nil, func(j *batchv1.Job) { c.change(&j.Spec) })
		if got := first(batch.Job().Validate(j)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	long := job(nil, func(j *batchv1.Job) { index(func(*batchv1.JobSpec) {})(&j.Spec); j.Name = strings.Repeat("n", 62) })
	errs := batch.Job().Validate(long)
	if last := errs[len(errs)-1]; last.Field != "metadata.name" || !strings.HasPrefix(last.Detail, "will not able to create pod with invalid DNS label") {
		t.Errorf("a name too long for pods: got %v", errs)
	}
}

func TestJobUpdates(t *testing.T) {
	k := batch.Job()
	idle := func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) }
	cpu := corev1.ResourceList{"cpu": resource.MustParse("1")}
	for name, c := range map[string]struct {
		old, change func(*batchv1.Job)
		want        string // the violation's field, and how many there are
	}{
		"parallelism": {nil, func(j *batchv1.Job) { j.Spec.Parallelism = ptr.To[int32](3) }, ""},
		"completions": {nil, func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](3) }, "spec.completions"},
		"elastic": {func(j *batchv1.Job) { j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion) }, func(j *batchv1.Job) {
			j.Spec.Parallelism, j.Spec.Completions = ptr.To[int32](3), ptr.To[int32](3)
		}, ""},
		"not in tandem":      {func(j *batchv1.Job) { j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion) }, func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](3) }, "spec.completions"},
		"image":              {nil, func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "i:2" }, "spec.template"},
		"image, suspended":   {idle, func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "i:2" }, "spec.template.spec"},
		"place":              {nil, func(j *batchv1.Job) { j.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"} }, "spec.template"},
		"place, suspended":   {idle, func(j *batchv1.Job) { j.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"} }, ""},
		"cpu, suspended":     {idle, func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Resources.Requests = cpu }, ""},
		"cpu, still running": {func(j *batchv1.Job) { idle(j); j.Status.Active = 1 }, func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Resources.Requests = cpu }, "spec.template"},
		"policy": {nil, func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{}
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed)
		}, "spec.podFailurePolicy"},
		"manager": {nil, func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("a.io/b") }, "spec.managedBy"},
		"negative, said twice": {nil, func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](-1) },
			"spec.backoffLimit spec.backoffLimit"},
	} {
		old := job(nil, c.old)
		old.ResourceVersion = "1"
		next := old.DeepCopy()
		c.change(next)
		k.PrepareUpdate(kindtest.Env(), next, old)
		if next.Generation != 2 {
			t.Errorf("%s: generation %d", name, next.Generation)
		}
		var got []string
		for _, e := range append(k.Validate(next), k.ValidateUpdate(next, old)...) {
			got = append(got, e.Field)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

func TestJobColumns(t *testing.T) {
	env := kindtest.Env()
	began, ended := metav1.NewTime(env.Now.Add(-90*time.Second)), metav1.NewTime(env.Now.Add(-30*time.Second))
	for want, change := range map[string]func(*batchv1.Job){
		"pi|Running|0/1||<unknown>": nil,
		"pi|Running|0/1 of 3|90s|<unknown>": func(j *batchv1.Job) {
			j.Spec.Completions, j.Spec.Parallelism, j.Status.StartTime = nil, ptr.To[int32](3), &began
		},
		"pi|Complete|1/1|60s|<unknown>": func(j *batchv1.Job) {
			j.Status = batchv1.JobStatus{Succeeded: 1, StartTime: &began, CompletionTime: &ended, Conditions: on("Complete")}
		},
		"pi|Failed|0/1||<unknown>":             func(j *batchv1.Job) { j.Status.Conditions = on("Failed") },
		"pi|Suspended|0/1||<unknown>":          func(j *batchv1.Job) { j.Status.Conditions = on("Suspended") },
		"pi|Terminating|0/1||<unknown>":        func(j *batchv1.Job) { j.DeletionTimestamp, j.Status.Conditions = &ended, on("Suspended") },
		"pi|SuccessCriteriaMet|0/1||<unknown>": func(j *batchv1.Job) { j.Status.Conditions = on("SuccessCriteriaMet") },
		"pi|FailureTarget|0/1||<unknown>":      func(j *batchv1.Job) { j.Status.Conditions = on("FailureTarget", "SuccessCriteriaMet") },
	} {
		if got := row(batch.Job(), job(nil, change), 5); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := row(batch.Job(), job(nil, nil), 8); !strings.HasSuffix(got, "|c|i:1|batch.kubernetes.io/controller-uid=u") {
		t.Errorf("wide: got %s", got)
	}
	if got := batch.Job().Fields(job(nil, func(j *batchv1.Job) { j.Status.Succeeded = 3 }))["status.successful"]; got != "3" {
		t.Errorf("status.successful: %s", got)
	}
}

func on(types ...batchv1.JobConditionType) (list []batchv1.JobCondition) {
	for _, t := range types {
		list = append(list, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue})
	}
	return list
}

func row(k *kinds.Kind, obj kinds.Object, n int) string {
	var cells []string
	for _, c := range k.Columns[:n] {
		switch v := c.Cell(kindtest.Env(), obj).(type) {
		case string:
			cells = append(cells, v)
		case int64:
			cells = append(cells, strings.Repeat("#", int(v)))
		}
	}
	return strings.Join(cells, "|")
}
