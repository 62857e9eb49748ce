package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandbox is one sandbox of a pod, as the runtime shows it.
type sandbox struct {
	id        string
	attempt   uint32
	ready     bool
	addresses []string // the primary one first
}

// state is where a container is:
//
//	created ── start ──► running ──► exited
//	    └── failed to start ────────────┘
type state int

const (
	created state = iota
	running
	exited
)

// container is one attempt at one container of a pod, as the runtime shows it.
type container struct {
	id, name, sandbox string
	attempt           uint32 // 0 for the first; it is the restart count
	state             state
	started, finished time.Time
	exitCode          int32
	reason, message   string
	imageID           string
	hash              string
}

// observation is all of a pod that is there. Both lists begin with the newest.
type observation struct {
	sandboxes  []sandbox
	containers []container
}

// newest returns the last attempt at a container, and the one before it; nil where there is none.
func (o *observation) newest(name string) (last, before *container) {
	for i := range o.containers {
		switch c := &o.containers[i]; {
		case c.name != name:
		case last == nil:
			last = c
		default:
			return last, c
		}
	}
	return last, nil
}

// observe asks the runtime for all that is there of one pod.
func (a *Agent) observe(ctx context.Context, uid types.UID) (observation, error) {
	var o observation
	selector := map[string]string{labelPodUID: string(uid)}
	sandboxes, err := a.Runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: selector}})
	if err != nil {
		return o, fmt.Errorf("listing sandboxes: %w", err)
	}
	for _, s := range sandboxes.Items {
		out := sandbox{id: s.Id, attempt: s.Metadata.GetAttempt(), ready: s.State == runtimeapi.PodSandboxState_SANDBOX_READY}
		if out.ready {
			status, err := a.Runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: s.Id})
			if err != nil {
				return o, fmt.Errorf("sandbox %s: %w", s.Id, err)
			}
			out.addresses = addressesOf(status.Status)
		}
		o.sandboxes = append(o.sandboxes, out)
	}
	slices.SortFunc(o.sandboxes, func(a, b sandbox) int { return cmp.Compare(b.attempt, a.attempt) })
	list, err := a.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: selector}})
	if err != nil {
		return o, fmt.Errorf("listing containers: %w", err)
	}
	for _, c := range list.Containers {
		status, err := a.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.Id})
		if err != nil {
			return o, fmt.Errorf("container %s: %w", c.Id, err)
		}
		o.containers = append(o.containers, containerOf(c.PodSandboxId, status.Status))
	}
	slices.SortFunc(o.containers, func(a, b container) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(b.attempt, a.attempt))
	})
	return o, nil
}

func addressesOf(s *runtimeapi.PodSandboxStatus) []string {
	if s.GetNetwork().GetIp() == "" {
		return nil
	}
	out := []string{s.Network.Ip}
	for _, more := range s.Network.AdditionalIps {
		out = append(out, more.Ip)
	}
	return out
}

func containerOf(sandbox string, s *runtimeapi.ContainerStatus) container {
	c := container{
		id: s.Id, sandbox: sandbox, name: s.Metadata.GetName(), attempt: s.Metadata.GetAttempt(), exitCode: s.ExitCode, reason: s.Reason, message: s.Message,
		imageID: s.ImageRef, hash: s.Annotations[annotationHash], started: timeOf(s.StartedAt), finished: timeOf(s.FinishedAt),
	}
	switch s.State {
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		c.state = running
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		c.state = created
	default:
		c.state = exited
		if note := lastWords(s); note != "" {
			c.message = note
		}
	}
	return c
}

func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// containersOf are a pod's containers in the order in which they begin: init containers, then the others.
func containersOf(pod *corev1.Pod) []*corev1.Container {
	var out []*corev1.Container
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	return out
}
