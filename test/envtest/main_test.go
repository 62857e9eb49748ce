// Package envtest is controller-runtime's envtest, unmodified, on the programs that `floe envtest` makes. It is a module of its own, so that controller-runtime is none of
// floe's dependencies.
package envtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// patience bounds every wait for what a control plane does.
const patience = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // what goes wrong is told by tests
	dir, err := os.MkdirTemp("", "floe-envtest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := assets(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// assets builds floe, unless FLOE_TEST_PROGRAM names one or KUBEBUILDER_ASSETS other programs to compare with, and makes envtest find what it makes.
func assets(dir string) error {
	if os.Getenv("KUBEBUILDER_ASSETS") != "" {
		return nil
	}
	floe := os.Getenv("FLOE_TEST_PROGRAM")
	if floe == "" {
		floe = filepath.Join(dir, "floe")
		build := exec.Command("go", "build", "-o", floe, "./cmd/floe")
		build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build ./cmd/floe: %w\n%s", err, out)
		}
	}
	made := filepath.Join(dir, "assets")
	if out, err := exec.Command(floe, "envtest", made).CombinedOutput(); err != nil {
		return fmt.Errorf("floe envtest: %w\n%s", err, out)
	}
	return os.Setenv("KUBEBUILDER_ASSETS", made)
}

// start starts env, which ends with the test, and returns a client of its administrator.
func start(t testing.TB, env *envtest.Environment) client.Client {
	t.Helper()
	config, err := env.Start()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t *testing.T, c client.Client, obj client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, done func(ctx context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func untilGone(t *testing.T, c client.Client, obj client.Object) {
	t.Helper()
	until(t, obj.GetName()+" is gone", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}
