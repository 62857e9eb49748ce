package envtest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

func configMap(namespace, name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: owners}}
}

// TestHousekeeping: what envtest cannot do on etcd and kube-apiserver. A namespace that is deleted goes with what is in it, and dependents go with their owner.
func TestHousekeeping(t *testing.T) {
	c := start(t, &envtest.Environment{})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}}
	create(t, c, namespace)
	inside := configMap("going", "inside")
	create(t, c, inside)
	owner := configMap("default", "owner")
	create(t, c, owner)
	child := configMap("default", "child", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID})
	create(t, c, child)
	grandchild := configMap("default", "grandchild", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: child.Name, UID: child.UID})
	create(t, c, grandchild)
	for _, obj := range []client.Object{namespace, owner} {
		if err := c.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	for _, obj := range []client.Object{namespace, inside, child, grandchild} {
		untilGone(t, c, obj)
	}
}

// TestForeground: an owner that is deleted in the foreground goes after its dependents.
func TestForeground(t *testing.T) {
	c := start(t, &envtest.Environment{})
	owner, yes := configMap("default", "owner"), true
	create(t, c, owner)
	child := configMap("default", "child", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &yes})
	child.Finalizers = []string{"example.com/wait"}
	create(t, c, child)
	if err := c.Delete(t.Context(), owner, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	until(t, "the dependent is being deleted", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(child), child)
		return child.DeletionTimestamp != nil, err
	})
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(owner), owner); err != nil {
		t.Fatalf("the owner, while its dependent is there: %v", err)
	}
	child.Finalizers = nil
	if err := c.Update(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	untilGone(t, c, owner)
}

// TestRestart: a kube-apiserver that ends and begins again on the same etcd has what it had.
func TestRestart(t *testing.T) {
	env := &envtest.Environment{}
	c := start(t, env)
	create(t, c, configMap("default", "kept"))
	server := env.ControlPlane.GetAPIServer()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	user, err := env.ControlPlane.AddUser(envtest.User{Name: "again", Groups: []string{"system:masters"}}, nil) // the certificates are others
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.New(user.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kept"}, &corev1.ConfigMap{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// TestWorkloads: FLOE_ENVTEST adds controllers, the scheduler and nodes, so that a deployment becomes pods that are ready.
func TestWorkloads(t *testing.T) {
	t.Setenv("FLOE_ENVTEST", "workloads,scheduler,nodes=2")
	c := start(t, &envtest.Environment{})
	labels, replicas := map[string]string{"app": "web"}, int32(3)
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}},
	}}
	create(t, c, web)
	until(t, "the deployment is ready", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(web), web)
		return web.Status.ReadyReplicas == replicas, err
	})
}

// TestWhatIsRefused: a flag or a choice that cannot be honoured stops the start, and its name is said.
func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct{ name, flag, value, choice, want string }{
		{"unknown flag", "no-such-flag", "1", "", "unknown flag: --no-such-flag"},
		{"flag that floe does not have", "watch-cache-sizes", "pods#1", "", `--watch-cache-sizes" flag: floe does not have this flag of kube-apiserver: `},
		{"flag without that choice", "etcd-prefix", "/other", "", "must be /registry: floe keeps everything under that prefix"},
		{"unknown controller", "", "", "nobody-controller", `controllers.enabled: "nobody-controller" is not in the list of known controllers`},
		{"unknown word", "", "", "nodes=many", `FLOE_ENVTEST: "nodes=many": must be a number of nodes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("FLOE_ENVTEST", c.choice)
			var said bytes.Buffer
			env := &envtest.Environment{}
			server := env.ControlPlane.GetAPIServer()
			server.Err = &said
			if c.flag != "" {
				server.Configure().Set(c.flag, c.value)
			}
			_, err := env.Start()
			if stopped := env.Stop(); stopped != nil {
				t.Error(stopped)
			}
			if err == nil || !strings.Contains(said.String(), c.want) {
				t.Errorf("got %v, and the server said %q, want that it says %q", err, said.String(), c.want)
			}
		})
	}
}

// BenchmarkStart is an environment's start, and its end, as a suite has it. KUBEBUILDER_ASSETS may name other programs, to compare.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		env := &envtest.Environment{}
		if _, err := env.Start(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := env.Stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
