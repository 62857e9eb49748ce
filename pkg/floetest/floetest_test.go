package floetest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// patience bounds every wait for what a control plane does.
const patience = 30 * time.Second

func until(t *testing.T, what string, done func(ctx context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func gone(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

func makeNamespace(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func makeConfigMap(t *testing.T, client kubernetes.Interface, namespace, name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	t.Helper()
	made, err := client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestHousekeeping holds what envtest cannot do: namespaces that are deleted go, and dependents go with their owners.
func TestHousekeeping(t *testing.T) {
	client := Start(t).Client()
	makeNamespace(t, client, "going")
	makeConfigMap(t, client, "going", "inside")
	owner := makeConfigMap(t, client, "default", "owner")
	makeConfigMap(t, client, "default", "owned", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID})
	until(t, "the namespace's service account", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts("going").Get(ctx, "default", metav1.GetOptions{})
		there, err := gone(err)
		return !there, err
	})
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "going", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().ConfigMaps("default").Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, "going", metav1.GetOptions{})
		return gone(err)
	})
	until(t, "the dependent is gone", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "owned", metav1.GetOptions{})
		return gone(err)
	})
}

// TestNoControllers holds that Controllers() is none: a namespace that is deleted stays.
func TestNoControllers(t *testing.T) {
	client := Start(t, Controllers()).Client()
	makeNamespace(t, client, "staying")
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "staying", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	found, err := client.CoreV1().Namespaces().Get(t.Context(), "staying", metav1.GetOptions{})
	if err != nil || found.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("got %v, phase %q, want one that is Terminating", err, found.Status.Phase)
	}
	accounts, err := client.CoreV1().ServiceAccounts("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(accounts.Items) > 0 {
		t.Errorf("got %v and %d service accounts, want none", err, len(accounts.Items))
	}
}

func deployment(replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}},
	}}
}

// TestAllOfIt holds that with controllers, scheduler and nodes a deployment becomes pods that are ready, under the admission that clusters have.
func TestAllOfIt(t *testing.T) {
	client := Start(t, Controllers("*"), Scheduler(), Nodes(2), Admission("ServiceAccount")).Client()
	if _, err := client.AppsV1().Deployments("default").Create(t.Context(), deployment(4), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "four replicas are ready", func(ctx context.Context) (bool, error) {
		found, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && found.Status.ReadyReplicas == 4, err
	})
	pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 4 || pods.Items[0].Spec.ServiceAccountName != "default" || pods.Items[0].Spec.NodeName == "" {
		t.Errorf("got %v and %v, want four pods of the service account default, on nodes", err, pods.Items)
	}
}

// TestManyAtOnce holds that control planes share nothing.
func TestManyAtOnce(t *testing.T) {
	hosts := make([]string, 8)
	t.Run("all", func(t *testing.T) {
		for i := range hosts {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				c := Start(t)
				hosts[i] = c.Config().Host
				makeConfigMap(t, c.Client(), "default", fmt.Sprint("of-", i))
				found, err := c.Client().CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
				if err != nil || len(found.Items) != 1 {
					t.Errorf("got %v and %d config maps, want its own alone", err, len(found.Items))
				}
			})
		}
	})
	slices.Sort(hosts)
	if len(slices.Compact(hosts)) != 8 {
		t.Errorf("control planes share addresses: %v", hosts)
	}
	for _, host := range hosts {
		if at, err := url.Parse(host); err != nil || at.Hostname() != "127.0.0.1" || at.Scheme != "https" {
			t.Errorf("%s is not https on loopback", host)
		}
	}
}

// TestKubeconfig holds that programs get in by it, and that nobody does without credentials.
func TestKubeconfig(t *testing.T) {
	c := Start(t)
	config, err := clientcmd.RESTConfigFromKubeConfig(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	config.CertData, config.KeyData = nil, nil
	stranger, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a stranger gets %v, want that it is forbidden", err)
	}
}
