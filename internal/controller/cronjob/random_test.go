package cronjob_test

import (
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/cronjob"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

func res(name string) client.Resource { return batchv1.SchemeGroupVersion.WithResource(name) }

func listed(b *bed.Bed) (list []*batchv1.Job) {
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for obj := range view.List(res("jobs"), "default") {
		list = append(list, obj.(*batchv1.Job))
	}
	return list
}

// complete ends a job as its controller would.
func complete(b *bed.Bed, j *batchv1.Job) {
	b.Helper()
	now := metav1.NewTime(b.Clock.Now())
	bed.Change(b, res("jobs"), j.Namespace, j.Name, "status", func(j *batchv1.Job) {
		if len(j.Status.Conditions) > 0 {
			return
		}
		j.Status.StartTime, j.Status.CompletionTime = &now, &now
		for _, c := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: now, LastProbeTime: now})
		}
	})
}

// TestOneJobATime: whatever fails, and wherever the controller stops, no time has two jobs and jobs that must not run together do not.
func TestOneJobATime(t *testing.T) {
	for seed := range int64(15) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			policy := []batchv1.ConcurrencyPolicy{batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent}[seed%3]
			b.Put(res("cronjobs"), &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}, Spec: batchv1.CronJobSpec{
				Schedule: "* * * * *", ConcurrencyPolicy: policy, SuccessfulJobsHistoryLimit: ptr.To[int32](2),
				JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
					Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}},
			}})
			b.Sim.Add(cronjob.New())
			made := map[string]bool{}
			b.Sim.Writing = func(_ string, w engine.Write) {
				if w.Verb != engine.Create || w.Resource != res("jobs") {
					return
				}
				running := 0
				for _, j := range listed(b) {
					if len(j.Status.Conditions) == 0 {
						running++
					}
				}
				if running > 0 && policy != batchv1.AllowConcurrent {
					t.Fatalf("%s: %s is made beside %d others", policy, w.Object.GetName(), running)
				}
				made[w.Object.GetName()] = true
			}
			for range 300 { // time never stands still for a cron job, so that it settles only when it is suspended
				if list := listed(b); len(list) > 0 && b.Rand.Intn(4) == 0 {
					complete(b, list[b.Rand.Intn(len(list))])
				}
				b.Clock.Step(time.Duration(b.Rand.Intn(5)) * time.Second)
				if err := b.Sim.Step(b.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, j := range listed(b) {
				complete(b, j)
			}
			bed.Change(b, res("cronjobs"), "default", "c", "", func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(true) })
			b.Settle()
			st := bed.Get[*batchv1.CronJob](b, res("cronjobs"), "default", "c").Status
			if left := listed(b); len(left) > 3 || len(st.Active) > 1 || st.LastSuccessfulTime == nil || len(made) < 3 {
				t.Errorf("%d jobs of %d are left, status %+v", len(left), len(made), st)
			}
		})
	}
}
