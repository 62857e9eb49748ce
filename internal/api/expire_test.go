package api_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
)

func TestEventsExpireAnHourAfterTheyWereSeen(t *testing.T) {
	c := apitest.New(t)
	req := api.Request{User: apitest.Administrator(), Kind: c.API.Kind(corev1.SchemeGroupVersion.WithResource("events")), Namespace: "default"}
	for name, seen := range map[string]time.Duration{"old": 0, "again": 40 * time.Minute} {
		e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, LastTimestamp: metav1.NewTime(c.Clock.Now().Add(seen))}
		e.InvolvedObject.Namespace = "default"
		if _, err := c.API.Create(t.Context(), req, e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{59 * time.Minute, 0}, {time.Minute, 1}, {39 * time.Minute, 0}, {time.Minute, 1}} {
		c.Clock.Step(step.pass)
		if n, err := c.API.Expire(t.Context()); n != step.want || err != nil {
			t.Errorf("at %s %d expired (%v), want %d", c.Clock.Now(), n, err, step.want)
		}
	}
	list, err := c.API.List(t.Context(), req, metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("left are %v, %v", list.Items, err)
	}
}
