package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/kinds"
)

// witness is a plug-in that writes down what it is asked, and refuses objects labelled so.
func witness(said *[]string) admission.Plugin {
	tell := func(phase string) func(context.Context, *admission.Attributes) error {
		return func(_ context.Context, a *admission.Attributes) error {
			named := ""
			if obj, ok := a.Object.(metav1.Object); ok && a.Type.Kind == "ConfigMap" {
				named = " as " + obj.GetName()
				if obj.GetLabels()["refuse"] == phase {
					return a.Forbid(errors.New("told to"))
				}
			}
			*said = append(*said, fmt.Sprintf("%s %s %s/%s of %s %q %T%s", phase, a.Operation, a.Kind.Resource, a.Subresource, a.Type.Kind, a.Name, a.Options, named))
			return nil
		}
	}
	return admission.Plugin{Name: "PodSecurity", Admit: tell("admit"), Validate: tell("validate")}
}

func TestPluginsAreAskedOfEveryVerb(t *testing.T) {
	ctx, c := context.Background(), apitest.New(t)
	var said []string
	server := api.New(func() api.Config {
		cfg := c.API.Config
		cfg.Plugins = []admission.Plugin{witness(&said)}
		return cfg
	}())
	as := func(resource, name, part string) api.Request {
		gv := corev1.SchemeGroupVersion
		if resource == "deployments" {
			gv = appsv1.SchemeGroupVersion
		}
		return api.Request{User: apitest.Administrator(), Kind: server.Kind(gv.WithResource(resource)), Namespace: "default", Name: name, Subresource: part}
	}
	two := int32(2)
	labels := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	}}
	if _, err := server.Create(ctx, as("deployments", "", ""), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() (api.Result, error)
		want string
	}{
		{"create", func() (api.Result, error) {
			return server.Create(ctx, as("configmaps", "", ""), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
		}, `admit CREATE configmaps/ of ConfigMap "a" *v1.CreateOptions as a; validate CREATE configmaps/ of ConfigMap "a" *v1.CreateOptions as a`},
		{"create with a name to come", func() (api.Result, error) {
			return server.Create(ctx, as("configmaps", "", ""), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "gen-"}}, metav1.CreateOptions{DryRun: []string{"All"}})
		}, `admit CREATE configmaps/ of ConfigMap "" *v1.CreateOptions as ; validate CREATE configmaps/ of ConfigMap "" *v1.CreateOptions as gen-`},
		{"update", func() (api.Result, error) {
			return server.Update(ctx, as("configmaps", "a", ""), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"b": "c"}}, metav1.UpdateOptions{})
		}, `admit UPDATE configmaps/ of ConfigMap "a" *v1.UpdateOptions as a; validate UPDATE configmaps/ of ConfigMap "a" *v1.UpdateOptions as a`},
		{"scale", func() (api.Result, error) {
			return server.Update(ctx, as("deployments", "web", "scale"), &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.UpdateOptions{})
		}, `admit UPDATE deployments/scale of Scale "web" *v1.UpdateOptions; validate UPDATE deployments/scale of Scale "web" *v1.UpdateOptions`},
		{"status", func() (api.Result, error) {
			return server.Update(ctx, as("deployments", "web", "status"), deployment, metav1.UpdateOptions{})
		}, `admit UPDATE deployments/status of Deployment "web" *v1.UpdateOptions; validate UPDATE deployments/status of Deployment "web" *v1.UpdateOptions`},
		{"delete", func() (api.Result, error) {
			return server.Delete(ctx, as("configmaps", "a", ""), metav1.DeleteOptions{})
		}, `admit DELETE configmaps/ of ConfigMap "a" *v1.DeleteOptions; validate DELETE configmaps/ of ConfigMap "a" *v1.DeleteOptions`},
	} {
		said = nil
		if _, err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		got := strings.Join(said, "; ")
		if prefix, rest, ok := strings.Cut(got, "as gen-"); ok { // what follows is by chance
			got = prefix + "as gen-" + rest[min(5, len(rest)):]
		}
		if got != step.want {
			t.Errorf("%s: asked\n%s, want\n%s", step.name, got, step.want)
		}
	}
}

func TestRefusedByAPlugin(t *testing.T) {
	ctx, c := context.Background(), apitest.New(t)
	var said []string
	cfg := c.API.Config
	cfg.Plugins = []admission.Plugin{witness(&said)}
	server := api.New(cfg)
	req := api.Request{User: apitest.Administrator(), Kind: server.Kind(corev1.SchemeGroupVersion.WithResource("configmaps")), Namespace: "default"}
	for _, phase := range []string{"admit", "validate"} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"refuse": phase}}}
		_, err := server.Create(ctx, req, cm, metav1.CreateOptions{})
		if want := `configmaps "a" is forbidden: told to`; !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", phase, err, want)
		}
	}
	cfg.NoAdmission = []string{"PodSecurity"}
	server = api.New(cfg)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"refuse": "admit"}}}
	if _, err := server.Create(ctx, req, cm, metav1.CreateOptions{}); err != nil {
		t.Errorf("a plug-in that is off: %v", err)
	}
}

// TestChargesShareTheTransaction counts config maps in one other object, up to a limit, while many are made at once.
func TestChargesShareTheTransaction(t *testing.T) {
	ctx, c := context.Background(), apitest.New(t)
	res := corev1.SchemeGroupVersion.WithResource("secrets")
	const limit = 7
	cfg := c.API.Config
	cfg.Plugins = []admission.Plugin{{Name: "ResourceQuota", Charge: func(_ context.Context, a *admission.Attributes) ([]kinds.Write, error) {
		if !a.Is("", "configmaps", "") {
			return nil, nil
		}
		count, _ := a.See.Get(res, "default", "count").(*corev1.Secret)
		if len(count.Data["n"]) == limit {
			return nil, a.Forbid(errors.New("full"))
		}
		count = count.DeepCopy()
		count.Data = map[string][]byte{"n": append(slices.Clone(count.Data["n"]), 'x')}
		return []kinds.Write{{Resource: res, Namespace: "default", Name: "count", Object: count}}, nil
	}}}
	server := api.New(cfg)
	req := api.Request{User: apitest.Administrator(), Kind: server.Kind(res), Namespace: "default"}
	if _, err := server.Create(ctx, req, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "count"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	req.Kind = server.Kind(corev1.SchemeGroupVersion.WithResource("configmaps"))
	errs := make(chan error)
	const all = 100
	for i := range all {
		go func() {
			_, err := server.Create(ctx, req, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}}, metav1.CreateOptions{})
			errs <- err
		}()
	}
	made := 0
	for range all {
		switch err := <-errs; {
		case err == nil:
			made++
		case !apierrors.IsForbidden(err):
			t.Error(err)
		}
	}
	if made != limit {
		t.Errorf("%d were made, want %d", made, limit)
	}
}
