package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// pod is a sandbox.
type pod struct {
	id  string
	dir string // State/id
	// ops is the operation lock: a token for who runs, stops or removes the sandbox or creates in it.
	ops chan struct{}
	// config is the request; immutable.
	config *runtimeapi.PodSandboxConfig
	// cgroup is the sandbox's own group; immutable.
	cgroup    string
	createdAt int64
	handler   string // the runtime handler's name; "" for this runtime; immutable
	// gone is closed when the shim is known to have ended and what it left is cleared up. There is none before there was a shim.
	gone  chan struct{}
	meter meter

	// Guarded by Runtime.mu.
	ready      bool
	ended      bool // that it is not ready any more has been told and written down
	addresses  []netip.Addr
	client     *shim.Client // nil without a shim
	containers map[string]*container
	// overhead and resources are what the containers may use together: the request's, or later ones.
	overhead, resources *runtimeapi.LinuxContainerResources
}

// podRecord is sandbox.json.
type podRecord struct {
	Version   int             `json:"version"`
	ID        string          `json:"id"`
	BootID    string          `json:"bootID"`
	CreatedAt int64           `json:"createdAt"`
	Cgroup    string          `json:"cgroup"`
	Handler   string          `json:"handler,omitempty"`
	Config    json.RawMessage `json:"config"` // PodSandboxConfig, as protobuf's JSON
	// Complete is false while the sandbox is being made: Run undoes such ones.
	Complete  bool         `json:"complete"`
	Ready     bool         `json:"ready"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Overhead and Resources are limits that were set later than Config's, as protobuf's JSON; absent when none were.
	Overhead  json.RawMessage `json:"overhead,omitempty"`
	Resources json.RawMessage `json:"resources,omitempty"`
}

// recordVersion is the format of sandbox.json and container.json that this package writes and reads.
const recordVersion = 1

const podRecordName = "sandbox.json"

// lock takes the operation lock.
func (p *pod) lock(ctx context.Context) error {
	select {
	case p.ops <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pod) unlock() { <-p.ops }

// savePod writes sandbox.json. The file is not synced: after a power failure nothing of a sandbox is left but its directory.
func (r *Runtime) savePod(p *pod, complete bool) error {
	config, err := protojson.Marshal(p.config)
	if err != nil {
		return err
	}
	r.mu.Lock()
	record := podRecord{
		Version: recordVersion, ID: p.id, BootID: r.host.BootID, CreatedAt: p.createdAt, Cgroup: p.cgroup, Handler: p.handler,
		Config: config, Complete: complete, Ready: p.ready, Addresses: p.addresses,
	}
	overhead, resources := p.overhead, p.resources
	r.mu.Unlock()
	if record.Overhead, err = marshalResources(overhead); err != nil {
		return err
	}
	if record.Resources, err = marshalResources(resources); err != nil {
		return err
	}
	return saveRecord(filepath.Join(p.dir, podRecordName), record)
}

// marshalResources is nil for none.
func marshalResources(r *runtimeapi.LinuxContainerResources) (json.RawMessage, error) {
	if r == nil {
		return nil, nil
	}
	return protojson.Marshal(r)
}

func saveRecord(path string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (p *pod) namespaces() *runtimeapi.NamespaceOption {
	return p.config.GetLinux().GetSecurityContext().GetNamespaceOptions()
}

func (p *pod) hostNetwork() bool { return p.namespaces().GetNetwork() == runtimeapi.NamespaceMode_NODE }

func (p *pod) hostIPC() bool { return p.namespaces().GetIpc() == runtimeapi.NamespaceMode_NODE }

func (p *pod) nsPath(kind string) string { return filepath.Join(p.dir, "ns", kind) }

// name is what the sandbox's metadata reserve.
func (p *pod) name() string { return podName(p.config.GetMetadata()) }

func podName(m *runtimeapi.PodSandboxMetadata) string {
	return fmt.Sprintf("pod/%s_%s_%s_%d", m.GetName(), m.GetNamespace(), m.GetUid(), m.GetAttempt())
}

// network is the sandbox as Network sees it.
func (p *pod) network() PodNetwork {
	m := p.config.GetMetadata()
	return PodNetwork{
		ID: p.id, Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUid(),
		NetNSPath: p.nsPath("net"), PortMappings: p.config.GetPortMappings(), Annotations: p.config.GetAnnotations(),
	}
}

func (p *pod) stateLocked() runtimeapi.PodSandboxState {
	if p.ready {
		return runtimeapi.PodSandboxState_SANDBOX_READY
	}
	return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
}

func (p *pod) statusLocked() *runtimeapi.PodSandboxStatus {
	s := &runtimeapi.PodSandboxStatus{
		Id: p.id, Metadata: p.config.GetMetadata(), State: p.stateLocked(), CreatedAt: p.createdAt,
		Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(), RuntimeHandler: p.handler,
		Linux:   &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: p.namespaces()}},
		Network: &runtimeapi.PodSandboxNetworkStatus{},
	}
	for i, a := range p.addresses {
		if i == 0 {
			s.Network.Ip = a.String()
			continue
		}
		s.Network.AdditionalIps = append(s.Network.AdditionalIps, &runtimeapi.PodIP{Ip: a.String()})
	}
	return s
}

// sortedLocked lists the containers in the order of their creation.
func (p *pod) sortedLocked() []*container {
	all := make([]*container, 0, len(p.containers))
	for _, c := range p.containers {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *container) int {
		if a.record.CreatedAt != b.record.CreatedAt {
			return int(a.record.CreatedAt - b.record.CreatedAt)
		}
		return strings.Compare(a.id, b.id)
	})
	return all
}

// findPod finds a sandbox by its ID, whole or truncated as long as that is unique.
func (r *Runtime) findPod(id string) (*pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return lookup(r.pods, "sandbox", id)
}

// lockPod waits until the runtime is ready, finds a pod and takes its operation lock, which the caller gives back.
func (r *Runtime) lockPod(ctx context.Context, id string) (*pod, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	p, err := r.findPod(id)
	if err != nil {
		return nil, err
	}
	return p, p.lock(ctx)
}

// lookup finds by whole or unambiguously truncated ID.
func lookup[T any](all map[string]*T, kind, id string) (*T, error) {
	if t, ok := all[id]; ok {
		return t, nil
	}
	var found *T
	for full, t := range all {
		if id != "" && strings.HasPrefix(full, id) {
			if found != nil {
				return nil, invalid("%s ID %q is ambiguous", kind, id)
			}
			found = t
		}
	}
	if found == nil {
		return nil, notFound("%s %q does not exist", kind, id)
	}
	return found, nil
}
