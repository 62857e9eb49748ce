package batch

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/batch/cron"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// longestCronJob is what leaves room in a job's name, a label of 63 bytes, for the time at which it was due.
const longestCronJob = 52

// CronJob is batch/v1 CronJob.
func CronJob() *kinds.Kind {
	gvk := batchv1.SchemeGroupVersion.WithKind("CronJob")
	return &kinds.Kind{
		GVK: gvk, Resource: "cronjobs", Singular: "cronjob", ShortNames: []string{"cj"}, Categories: []string{"all"}, Namespaced: true,
		New:     func() kinds.Object { return &batchv1.CronJob{} },
		NewList: func() runtime.Object { return &batchv1.CronJobList{} },
		Default: defaultCronJob,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			c := obj.(*batchv1.CronJob)
			c.Status, c.Generation = batchv1.CronJobStatus{}, 1
			podspec.DropDisabledTemplate(&c.Spec.JobTemplate.Spec.Template, nil)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			c, was := obj.(*batchv1.CronJob), old.(*batchv1.CronJob)
			c.Status = *was.Status.DeepCopy()
			podspec.DropDisabledTemplate(&c.Spec.JobTemplate.Spec.Template, &was.Spec.JobTemplate.Spec.Template)
			if !equality.Semantic.DeepEqual(c.Spec, was.Spec) {
				c.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil // ValidateUpdate says all
			}
			c := obj.(*batchv1.CronJob)
			errs := validateCronJob(&c.Spec, nil, field.NewPath("spec"))
			if len(c.Name) > longestCronJob {
				errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), c.Name, "must be no more than 52 characters"))
			}
			return errs
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateCronJob(&obj.(*batchv1.CronJob).Spec, &old.(*batchv1.CronJob).Spec, field.NewPath("spec"))
		},
		Warnings: func(obj, old kinds.Object) []string {
			c := obj.(*batchv1.CronJob)
			list := jobWarnings(obj, old, &c.Spec.JobTemplate.Spec, field.NewPath("spec", "jobTemplate", "spec"))
			if old != nil && strings.Contains(c.Spec.Schedule, "TZ") {
				list = append(list, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
			}
			return list
		},
		Columns: cronJobColumns(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
			obj.(*batchv1.CronJob).Spec = *old.(*batchv1.CronJob).Spec.DeepCopy()
			return nil // upstream takes any status
		}}},
	}
}

func defaultCronJob(obj kinds.Object) {
	s := &obj.(*batchv1.CronJob).Spec
	if s.ConcurrencyPolicy == "" {
		s.ConcurrencyPolicy = batchv1.AllowConcurrent
	}
	def(&s.Suspend, false)
	def(&s.SuccessfulJobsHistoryLimit, 3)
	def(&s.FailedJobsHistoryLimit, 1)
	defaultTemplate(&s.JobTemplate.Spec)
}

// validateCronJob checks a specification. was is what it replaces, nil for a new one: zones are named as they were.
func validateCronJob(s, was *batchv1.CronJobSpec, path *field.Path) (errs field.ErrorList) {
	errs = append(errs, validateSchedule(s, was != nil && strings.Contains(was.Schedule, "TZ"), path.Child("schedule"))...)
	errs = append(errs, notNegative(s.StartingDeadlineSeconds, path.Child("startingDeadlineSeconds"))...)
	if was == nil || !same(s.TimeZone, was.TimeZone) {
		errs = append(errs, validateZone(s.TimeZone, path.Child("timeZone"))...)
	}
	errs = append(errs, validateConcurrency(s.ConcurrencyPolicy, path.Child("concurrencyPolicy"))...)
	var before *corev1.PodTemplateSpec
	if was != nil {
		before = &was.JobTemplate.Spec.Template
	}
	errs = append(errs, validateJobTemplate(&s.JobTemplate.Spec, before, path.Child("jobTemplate", "spec"))...)
	errs = append(errs, notNegative(s.SuccessfulJobsHistoryLimit, path.Child("successfulJobsHistoryLimit"))...)
	return append(errs, notNegative(s.FailedJobsHistoryLimit, path.Child("failedJobsHistoryLimit"))...)
}

// validateSchedule checks when jobs are due. hadZone: the schedule names its own zone already, from when there was no other place for it.
func validateSchedule(s *batchv1.CronJobSpec, hadZone bool, path *field.Path) (errs field.ErrorList) {
	text := s.Schedule
	if text == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if _, err := cron.Parse(text); err != nil {
		errs = append(errs, field.Invalid(path, text, err.Error()))
	}
	switch zone := strings.Contains(text, "TZ"); {
	case zone && !hadZone:
		errs = append(errs, field.Invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
	case zone && s.TimeZone != nil:
		errs = append(errs, field.Invalid(path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	}
	return errs
}

// validateZone takes the names of the time zone database. Their form is checked first: a name becomes a path in that database.
func validateZone(zone *string, path *field.Path) (errs field.ErrorList) {
	if zone == nil {
		return nil
	}
	if *zone == "" {
		return field.ErrorList{field.Invalid(path, *zone, "timeZone must be nil or non-empty string")}
	}
	for _, part := range strings.Split(*zone, "/") {
		if !zonePart(part) {
			return field.ErrorList{field.Invalid(path, *zone, "unknown time zone "+*zone)}
		}
	}
	if strings.EqualFold(*zone, "Local") {
		errs = append(errs, field.Invalid(path, *zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := time.LoadLocation(*zone); err != nil {
		errs = append(errs, field.Invalid(path, *zone, err.Error()))
	}
	return errs
}

// zonePart says whether a part between slashes has the form that https://data.iana.org/time-zones/theory.html#naming gives, digits and + allowed.
func zonePart(part string) bool {
	const longest = 14
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-+", r)
	}
	return part != "" && len(part) <= longest && part != "." && part != ".." && part[0] != '-' && strings.IndexFunc(part, other) < 0
}

func validateConcurrency(p batchv1.ConcurrencyPolicy, path *field.Path) field.ErrorList {
	switch p {
	case batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent:
		return nil
	case "":
		return field.ErrorList{field.Required(path, "")}
	}
	return field.ErrorList{field.NotSupported(path, p, []batchv1.ConcurrencyPolicy{batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent})}
}

// validateJobTemplate checks the specification of jobs to come, whose selectors are always their own.
func validateJobTemplate(s *batchv1.JobSpec, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validateTemplateSpec(s, was, path)
	if s.Selector != nil {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, "`selector` will be auto-generated"))
	}
	if s.ManualSelector != nil && *s.ManualSelector {
		errs = append(errs, field.NotSupported(path.Child("manualSelector"), *s.ManualSelector, []string{"nil", "false"}))
	}
	return errs
}

func cronJobColumns() []kinds.Column {
	cell := func(name, kind, doc string, f func(kinds.Env, *batchv1.CronJob) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: doc, Cell: func(env kinds.Env, obj kinds.Object) any { return f(env, obj.(*batchv1.CronJob)) }}
	}
	spec, status := batchv1.CronJobSpec{}.SwaggerDoc(), batchv1.CronJobStatus{}.SwaggerDoc()
	return append([]kinds.Column{
		kinds.NameColumn(),
		cell("Schedule", "string", spec["schedule"], func(_ kinds.Env, c *batchv1.CronJob) any { return c.Spec.Schedule }),
		cell("Timezone", "string", spec["timeZone"], func(_ kinds.Env, c *batchv1.CronJob) any {
			if c.Spec.TimeZone == nil {
				return "<none>"
			}
			return *c.Spec.TimeZone
		}),
		cell("Suspend", "boolean", spec["suspend"], func(_ kinds.Env, c *batchv1.CronJob) any { return truth(c.Spec.Suspend) }),
		cell("Active", "integer", status["active"], func(_ kinds.Env, c *batchv1.CronJob) any { return int64(len(c.Status.Active)) }),
		cell("Last Schedule", "string", status["lastScheduleTime"], func(env kinds.Env, c *batchv1.CronJob) any {
			if c.Status.LastScheduleTime == nil {
				return "<none>"
			}
			return kinds.Age(env, c.Status.LastScheduleTime.Time)
		}),
		kinds.AgeColumn(),
	}, templateColumns(func(obj kinds.Object) *batchv1.JobSpec { return &obj.(*batchv1.CronJob).Spec.JobTemplate.Spec })...)
}

func truth(b *bool) string {
	switch {
	case b == nil:
		return "<unset>"
	case *b:
		return "True"
	}
	return "False"
}
