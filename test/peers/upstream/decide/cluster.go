package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// allNodes is the percentage of nodes that are looked at and scored.
const allNodes = 100

// cluster is a scheduler that knows all objects of a case.
type cluster struct {
	*scheduler.Scheduler
	informers informers.SharedInformerFactory
	pods      map[string]*v1.Pod // by namespace/name
	stop      context.CancelFunc
}

// newCluster makes a scheduler and waits until it knows the objects. The caller closes it.
func newCluster(ctx context.Context, objects []runtime.Object, configuration json.RawMessage, parallelism int32) (*cluster, error) {
	ctx, stop := context.WithCancel(klog.NewContext(ctx, klog.Background()))
	c := &cluster{pods: map[string]*v1.Pod{}, stop: stop}
	for _, o := range objects {
		if p, ok := o.(*v1.Pod); ok {
			c.pods[p.Namespace+"/"+p.Name] = p
		}
	}
	client := fake.NewSimpleClientset(objects...)
	client.PrependReactor("*", "*", ignoreWrites)
	c.informers = scheduler.NewInformerFactory(client, 0)
	options, err := optionsOf(configuration)
	if err != nil {
		stop()
		return nil, err
	}
	options = append(options, scheduler.WithParallelism(parallelism))
	c.Scheduler, err = scheduler.New(ctx, client, c.informers, nil, func(string) events.EventRecorderLogger { return &events.FakeRecorder{} }, options...)
	if err != nil {
		stop()
		return nil, fmt.Errorf("make the scheduler: %w", err)
	}
	c.informers.Start(ctx.Done())
	c.informers.WaitForCacheSync(ctx.Done())
	if err := c.WaitForHandlersSync(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("wait for the objects: %w", err)
	}
	return c, nil
}

func (c *cluster) close() {
	c.stop()
	c.SchedulingQueue.Close()
	c.informers.Shutdown()
}

// framework is the profile that a pod asks for, on a fresh snapshot of all nodes.
func (c *cluster) framework(pod *v1.Pod) (framework.Framework, *cache.Snapshot, error) {
	f := c.Profiles[pod.Spec.SchedulerName]
	if f == nil {
		return nil, nil, fmt.Errorf("no profile is named %q", pod.Spec.SchedulerName)
	}
	snapshot, ok := f.SnapshotSharedLister().(*cache.Snapshot)
	if !ok {
		return nil, nil, errors.New("the profile's snapshot is not the scheduler's")
	}
	return f, snapshot, c.Cache.UpdateSnapshot(klog.Background(), snapshot)
}

// optionsOf are the options that a configuration makes, read and defaulted as the command does.
func optionsOf(configuration json.RawMessage) ([]scheduler.Option, error) {
	if len(configuration) == 0 {
		configuration = json.RawMessage(`{"apiVersion":"kubescheduler.config.k8s.io/v1","kind":"KubeSchedulerConfiguration"}`)
	}
	obj, gvk, err := scheme.Codecs.UniversalDecoder().Decode(configuration, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	cfg, ok := obj.(*config.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("the configuration is a %s", gvk)
	}
	percentage := int32(allNodes)
	return []scheduler.Option{
		scheduler.WithComponentConfigVersion(gvk.GroupVersion().String()),
		scheduler.WithProfiles(cfg.Profiles...),
		scheduler.WithPercentageOfNodesToScore(&percentage),
	}, nil
}

// ignoreWrites answers every write as if it had been done: all pods of a case are decided on the same objects.
func ignoreWrites(action clienttesting.Action) (bool, runtime.Object, error) {
	switch a := action.(type) {
	case clienttesting.CreateActionImpl:
		return true, a.GetObject(), nil
	case clienttesting.UpdateActionImpl:
		return true, a.GetObject(), nil
	case clienttesting.PatchActionImpl:
		return true, &v1.Pod{}, nil // only the status of pods is patched
	case clienttesting.DeleteActionImpl, clienttesting.DeleteCollectionActionImpl:
		return true, nil, nil
	}
	return false, nil, nil
}

// decoded are the objects of a case.
func decoded(raw []json.RawMessage) ([]runtime.Object, error) {
	objects := make([]runtime.Object, 0, len(raw))
	for i, data := range raw {
		o, _, err := clientscheme.Codecs.UniversalDeserializer().Decode(data, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}
