// Command interop holds that floe and upstream's server read what the other has stored: both run on one etcd, each object of the corpus is created on one of them
// and read on the other, and the other way round.
//
//	interop OBJECTS RECORD
//
// KUBECONFIG reaches upstream's server, FLOE_KUBECONFIG floe's; ETCD is the URL of the log that both use. RECORD gets what upstream stored, and what it answered for
// each: a test of internal/api reads it, so that it needs no server. `make compare` runs this.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/test/peers/corpus/plan"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: interop OBJECTS RECORD")
	}
	upstream, err := connect("upstream", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	floe, err := connect("floe", os.Getenv("FLOE_KUBECONFIG"))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(args[0], "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no objects in %s: %w", args[0], err)
	}
	c := comparison{upstream: upstream, floe: floe, stored: stored{etcd: os.Getenv("ETCD")}}
	for _, file := range files {
		spec, err := plan.Read(file)
		if err != nil {
			return err
		}
		if err := c.kind(ctx, spec); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Printf("%d objects were read as they were written, in both directions; %d differ\n", c.equal, c.different)
	if err := c.stored.write(args[1]); err != nil {
		return err
	}
	if c.different > 0 {
		return fmt.Errorf("%d differ", c.different)
	}
	return nil
}

// server is one of the two.
type server struct {
	name   string
	client dynamic.Interface
}

func connect(name, kubeconfig string) (*server, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout = -1, 30*time.Second
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &server{name, client}, nil
}

type comparison struct {
	upstream, floe   *server
	stored           stored
	equal, different int
}

// kind compares the objects of one kind. What no server stores, such as a review, is passed over.
func (c *comparison) kind(ctx context.Context, spec *plan.Spec) error {
	if err := c.needed(ctx, spec); err != nil {
		return err
	}
	for _, fields := range spec.Objects {
		obj := &unstructured.Unstructured{Object: fields}
		normal, err := copyNumbers(obj)
		if err != nil {
			return err
		}
		if normal.GetName() == "" {
			continue
		}
		normal.SetOwnerReferences(nil) // floe's garbage collector would remove what nobody owns
		if spec.Resource == "namespaces" {
			unstructured.RemoveNestedField(normal.Object, "spec", "finalizers") // nobody would finalize it
		}
		res := normal.GroupVersionKind().GroupVersion().WithResource(spec.Resource)
		for _, way := range [][2]*server{{c.upstream, c.floe}, {c.floe, c.upstream}} {
			if err := c.object(ctx, res, spec.Namespaced, normal, way[0], way[1]); err != nil {
				return fmt.Errorf("%s, from %s to %s: %w", normal.GetName(), way[0].name, way[1].name, err)
			}
		}
	}
	return nil
}

// needed makes what admission asks of the kind's objects: the objects and service accounts that they name. Both servers have it then.
func (c *comparison) needed(ctx context.Context, spec *plan.Spec) error {
	account := schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	for _, name := range spec.Accounts {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount"}}
		obj.SetName(name)
		if err := c.both(ctx, account, true, obj); err != nil {
			return err
		}
	}
	for _, need := range spec.Needs {
		obj, err := copyNumbers(&unstructured.Unstructured{Object: need.Object})
		if err != nil {
			return err
		}
		if err := c.both(ctx, obj.GroupVersionKind().GroupVersion().WithResource(need.Resource), false, obj); err != nil {
			return err
		}
	}
	return nil
}

// both creates an object on upstream's server, and waits until floe has it.
func (c *comparison) both(ctx context.Context, res schema.GroupVersionResource, namespaced bool, obj *unstructured.Unstructured) error {
	if _, err := c.upstream.of(res, namespaced, obj).Create(ctx, obj, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%s %s: %w", res.Resource, obj.GetName(), err)
	}
	return wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := c.floe.of(res, namespaced, obj).Get(ctx, obj.GetName(), metav1.GetOptions{})
		return err == nil, nil
	})
}

func (s *server) of(res schema.GroupVersionResource, namespaced bool, obj *unstructured.Unstructured) dynamic.ResourceInterface {
	all := s.client.Resource(res)
	if !namespaced {
		return all
	}
	namespace := obj.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return all.Namespace(namespace)
}

// object creates obj on one server, reads it on the other, and removes it.
func (c *comparison) object(ctx context.Context, res schema.GroupVersionResource, namespaced bool, obj *unstructured.Unstructured, from, to *server) error {
	writer, reader := from.of(res, namespaced, obj), to.of(res, namespaced, obj)
	_, err := writer.Create(ctx, obj, metav1.CreateOptions{FieldManager: "interop"})
	switch {
	case apierrors.IsMethodNotSupported(err), apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsInvalid(err):
		fmt.Printf("%s %s: passed over: %v\n", res.Resource, obj.GetName(), err)
		return nil
	case err != nil:
		return err
	}
	wanted, err := writer.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsMethodNotSupported(err), apierrors.IsNotFound(err): // a review is answered, and not kept
		return nil
	case err != nil:
		return err
	}
	if from == c.upstream {
		if err := c.stored.keep(ctx, writer, wanted); err != nil {
			return err
		}
	}
	// Each server hears of the other's writes through the log.
	diff := "never seen"
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		found, err := reader.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if err != nil {
			if ctx.Err() == nil {
				diff = err.Error()
			}
			return false, nil
		}
		// Whoever made it changes some by itself: what it is now counts.
		if wanted, err = writer.Get(ctx, obj.GetName(), metav1.GetOptions{}); err != nil {
			return false, err
		}
		unversioned(found, wanted)
		diff = cmp.Diff(wanted.Object, found.Object)
		return reflect.DeepEqual(wanted.Object, found.Object), nil
	})
	if c.equal++; err != nil {
		c.equal, c.different = c.equal-1, c.different+1
		fmt.Printf("%s %s, written by %s and read by %s:\n%s\n", res.Resource, obj.GetName(), from.name, to.name, diff)
	}
	return c.remove(ctx, writer, reader, obj.GetName())
}

// remove deletes an object and waits until both know it.
func (c *comparison) remove(ctx context.Context, writer, reader dynamic.ResourceInterface, name string) error {
	none := int64(0)
	return wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		if found, err := writer.Get(ctx, name, metav1.GetOptions{}); err == nil && len(found.GetFinalizers()) > 0 {
			_, err := writer.Patch(ctx, name, "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
		}
		background := metav1.DeletePropagationBackground
		err := writer.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &none, PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return false, err
		}
		_, mine := writer.Get(ctx, name, metav1.GetOptions{})
		_, other := reader.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(mine) && apierrors.IsNotFound(other), nil
	})
}

// unversioned takes away what each server counts for itself.
func unversioned(list ...*unstructured.Unstructured) {
	for _, obj := range list {
		obj.SetResourceVersion("")
	}
}

// copyNumbers returns obj with numbers as clients have them.
func copyNumbers(obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	text, err := obj.MarshalJSON()
	if err != nil {
		return nil, err
	}
	out := &unstructured.Unstructured{}
	return out, out.UnmarshalJSON(text)
}
