package batch

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// Labels that jobs had before names of labels had a prefix. Both are still set.
const (
	oldJobName       = "job-name"
	oldControllerUID = "controller-uid"
)

// Job is batch/v1 Job.
func Job() *kinds.Kind {
	gvk := batchv1.SchemeGroupVersion.WithKind("Job")
	return &kinds.Kind{
		GVK: gvk, Resource: "jobs", Singular: "job", Categories: []string{"all"}, Namespaced: true, Dependents: kinds.DependentsOrphaned,
		MetaAgain:      kinds.MetaAll,
		New:            func() kinds.Object { return &batchv1.Job{} },
		NewList:        func() runtime.Object { return &batchv1.JobList{} },
		Default:        defaultJob,
		PrepareCreate:  prepareJob,
		PrepareUpdate:  prepareJobUpdate,
		Validate:       func(obj kinds.Object) field.ErrorList { return validateJob(obj.(*batchv1.Job), nil, true) },
		ValidateAgain:  validateJobAgain,
		ValidateUpdate: validateJobUpdate,
		Warnings: func(obj, old kinds.Object) []string {
			return jobWarnings(obj, old, &obj.(*batchv1.Job).Spec, field.NewPath("spec"))
		},
		Orphaning: "child pods are preserved by default when jobs are deleted; " +
			"set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
		Columns:      jobColumns(),
		UnknownField: "field label %q not supported for Job",
		Fields: func(obj kinds.Object) fields.Set {
			return fields.Set{"status.successful": strconv.Itoa(int(obj.(*batchv1.Job).Status.Succeeded))}
		},
		Resets:       []string{"status"},
		Subresources: []kinds.Subresource{{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: jobStatus}},
	}
}

// isNew tells an object that is being made from one that replaces another: only that has a version, when it is validated. Kinds whose rules for
// the two differ in more than additions ask it in Validate, and have ValidateUpdate say all about an update, in upstream's order.
func isNew(obj kinds.Object) bool { return obj.GetResourceVersion() == "" }

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func defaultJob(obj kinds.Object) {
	j := obj.(*batchv1.Job)
	s := &j.Spec
	if s.Parallelism == nil {
		def(&s.Completions, 1)
		def(&s.Parallelism, 1)
	}
	if s.BackoffLimitPerIndex != nil {
		def(&s.BackoffLimit, math.MaxInt32)
	}
	def(&s.BackoffLimit, 6)
	if len(j.Labels) == 0 && s.Template.Labels != nil {
		// One map for both, as upstream's: what prepareJob adds to the template's labels, the job has too.
		j.Labels = s.Template.Labels
	}
	def(&s.CompletionMode, batchv1.NonIndexedCompletion)
	def(&s.Suspend, false)
	if s.PodFailurePolicy != nil {
		def(&s.PodReplacementPolicy, batchv1.Failed)
	}
	def(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	def(&s.ManualSelector, false)
	defaultTemplate(s)
}

// defaultTemplate fills what a job's specification and a cron job's template of one are both given.
func defaultTemplate(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		for i := range s.PodFailurePolicy.Rules {
			for j := range s.PodFailurePolicy.Rules[i].OnPodConditions {
				if c := &s.PodFailurePolicy.Rules[i].OnPodConditions[j]; c.Status == "" {
					c.Status = corev1.ConditionTrue
				}
			}
		}
	}
	podspec.Default(&s.Template.Spec)
}

func prepareJob(_ kinds.Env, obj kinds.Object) {
	j := obj.(*batchv1.Job)
	if s := j.Spec.ManualSelector; s == nil || !*s {
		selectByUID(j)
	}
	ownLabels(j)
	j.Status, j.Generation = batchv1.JobStatus{}, 1
	podspec.DropDisabledTemplate(&j.Spec.Template, nil)
}

// ownLabels gives a job without labels its template's, and ends that the two are one map. Upstream stores none and gives them to every reader.
func ownLabels(j *batchv1.Job) {
	if len(j.Labels) == 0 && j.Spec.Template.Labels != nil {
		j.Labels = j.Spec.Template.Labels
	}
	j.Labels = maps.Clone(j.Labels)
}

// selectByUID makes the job choose its own pods and nobody else's. Labels that are there already stay; validation refuses wrong ones.
func selectByUID(j *batchv1.Job) {
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	add := func(labels map[string]string, key, value string) {
		if _, ok := labels[key]; !ok {
			labels[key] = value
		}
	}
	uid := string(j.UID)
	add(t.Labels, oldJobName, j.Name)
	add(t.Labels, batchv1.JobNameLabel, j.Name)
	add(t.Labels, oldControllerUID, uid)
	add(t.Labels, batchv1.ControllerUidLabel, uid)
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{}
	}
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	add(j.Spec.Selector.MatchLabels, batchv1.ControllerUidLabel, uid)
}

func prepareJobUpdate(_ kinds.Env, obj, old kinds.Object) {
	j, was := obj.(*batchv1.Job), old.(*batchv1.Job)
	ownLabels(j)
	j.Status = *was.Status.DeepCopy()
	podspec.DropDisabledTemplate(&j.Spec.Template, &was.Spec.Template)
	if !equality.Semantic.DeepEqual(j.Spec, was.Spec) {
		j.Generation = was.Generation + 1
	}
}

func jobColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(kinds.Env, *batchv1.Job) any) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(env kinds.Env, obj kinds.Object) any { return f(env, obj.(*batchv1.Job)) }}
	}
	return append([]kinds.Column{
		kinds.NameColumn(),
		cell("Status", "Status of the job.", 0, func(_ kinds.Env, j *batchv1.Job) any { return jobState(j) }),
		cell("Completions", batchv1.JobStatus{}.SwaggerDoc()["succeeded"], 0, func(_ kinds.Env, j *batchv1.Job) any { return completions(j) }),
		cell("Duration", "Time required to complete the job.", 0, jobDuration),
		kinds.AgeColumn(),
	}, templateColumns(func(obj kinds.Object) *batchv1.JobSpec { return &obj.(*batchv1.Job).Spec })...)
}

// templateColumns are the wide columns of jobs and of cron jobs.
func templateColumns(spec func(kinds.Object) *batchv1.JobSpec) []kinds.Column {
	list := func(name, doc string, part func(corev1.Container) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: 1, Cell: func(_ kinds.Env, obj kinds.Object) any {
			var parts []string
			for _, c := range spec(obj).Template.Spec.Containers {
				parts = append(parts, part(c))
			}
			return strings.Join(parts, ",")
		}}
	}
	return []kinds.Column{
		list("Containers", "Names of each container in the template.", func(c corev1.Container) string { return c.Name }),
		list("Images", "Images referenced by each container in the template.", func(c corev1.Container) string { return c.Image }),
		{Name: "Selector", Type: "string", Description: batchv1.JobSpec{}.SwaggerDoc()["selector"], Priority: 1, Cell: func(_ kinds.Env, obj kinds.Object) any {
			return metav1.FormatLabelSelector(spec(obj).Selector)
		}},
	}
}

// jobState is the first of a job's conditions that matters; a job without one runs.
func jobState(j *batchv1.Job) string {
	is := func(t batchv1.JobConditionType) bool { // the first of a type counts
		for _, c := range j.Status.Conditions {
			if c.Type == t {
				return c.Status == corev1.ConditionTrue
			}
		}
		return false
	}
	switch {
	case is(batchv1.JobComplete):
		return "Complete"
	case is(batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case is(batchv1.JobSuspended):
		return "Suspended"
	case is(batchv1.JobFailureTarget):
		return "FailureTarget"
	case is(batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func completions(j *batchv1.Job) string {
	if n := j.Spec.Completions; n != nil {
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *n)
	}
	if p := j.Spec.Parallelism; p != nil && *p > 1 {
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, *p)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

func jobDuration(env kinds.Env, j *batchv1.Job) any {
	start, end := j.Status.StartTime, j.Status.CompletionTime
	switch {
	case start == nil:
		return ""
	case end == nil:
		return duration.HumanDuration(env.Now.Sub(start.Time))
	}
	return duration.HumanDuration(end.Sub(start.Time))
}
