package floetest_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/floe-k8s/floe/pkg/floetest"
)

// A test of what an operator does with objects: it sets by hand what nobody works out.
func TestExample(t *testing.T) {
	client := floetest.Start(t).Client()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example/web"}}},
	}
	made, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status.Phase = corev1.PodRunning
	running, err := client.CoreV1().Pods("default").UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	if err != nil || running.Status.Phase != corev1.PodRunning {
		t.Errorf("got %v, phase %s", err, running.Status.Phase)
	}
}

// A test that wants pods which run: with the scheduler and nodes that do not exist they do, and nobody sets anything by hand.
func TestExampleWithNodes(t *testing.T) {
	client := floetest.Start(t, floetest.Scheduler(), floetest.Nodes(1)).Client()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example/web"}}},
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		found, err := client.CoreV1().Pods("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && found.Status.Phase == corev1.PodRunning, err
	})
	if err != nil {
		t.Error(err)
	}
}
