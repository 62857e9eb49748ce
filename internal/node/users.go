package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A pod with hostUsers: false has a range of the host's IDs to itself, as kubelets give them: idsPerPod of them, beginning at a multiple. The range is
// written to the pod's directory before it is used, and taken from there after a restart, so no two pods ever have the same.

const (
	idsPerPod = 1 << 16
	lastRange = 1<<32/idsPerPod - 1 // 0 is the host's own
	usersName = "userns"            // the file in a pod's directory
)

// idRanges gives ranges out. It is safe for concurrent use.
type idRanges struct {
	dir string // of the pods' directories, each named by UID

	mu   sync.Mutex
	read bool                 // what was given out before is in used
	used map[uint32]types.UID // by the number of the range; 1 to lastRange
}

// mapping is one line of the file; the kubelet's form.
type mapping struct {
	HostID      uint32 `json:"hostId"`
	ContainerID uint32 `json:"containerId"`
	Length      uint32 `json:"length"`
}

type mappings struct {
	UIDs []mapping `json:"uidMappings"`
	GIDs []mapping `json:"gidMappings"`
}

// of is a pod's range, the same as long as the pod's directory is there. Ranges of pods whose directories have gone are free again.
func (r *idRanges) of(uid types.UID) (*runtimeapi.UserNamespace, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readLocked(); err != nil {
		return nil, err
	}
	for n, owner := range r.used {
		if owner == uid {
			return userNamespace(n), nil
		}
	}
	n, err := r.freeLocked()
	if err != nil {
		return nil, err
	}
	if err := r.write(uid, n); err != nil {
		return nil, fmt.Errorf("create user namespace: %w", err)
	}
	r.used[n] = uid
	return userNamespace(n), nil
}

// freeLocked is the lowest range that no pod has.
func (r *idRanges) freeLocked() (uint32, error) {
	for n := uint32(1); n <= lastRange; n++ {
		owner, taken := r.used[n]
		if !taken {
			return n, nil
		}
		_, err := os.Stat(filepath.Join(r.dir, string(owner), usersName))
		if errors.Is(err, fs.ErrNotExist) {
			delete(r.used, n)
			return n, nil
		}
		if err != nil {
			return 0, fmt.Errorf("user namespace: %w", err)
		}
	}
	return 0, errors.New("create user namespace: could not find an empty slot to allocate a user namespace")
}

func (r *idRanges) write(uid types.UID, n uint32) error {
	one := []mapping{{HostID: n * idsPerPod, Length: idsPerPod}}
	data, err := json.Marshal(mappings{UIDs: one, GIDs: one})
	if err != nil {
		return err
	}
	dir := filepath.Join(r.dir, string(uid))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, usersName+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, usersName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// readLocked takes over, once, what was given out before.
func (r *idRanges) readLocked() error {
	if r.read {
		return nil
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read pods from disk: %w", err)
	}
	used := map[uint32]types.UID{}
	for _, e := range entries {
		n, err := readRange(filepath.Join(r.dir, e.Name(), usersName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("record pod mappings for existing pod %q: %w", e.Name(), err)
		}
		if other, taken := used[n]; taken {
			return fmt.Errorf("record pod mappings for existing pod %q: range picked for pod %q already taken", e.Name(), other)
		}
		used[n] = types.UID(e.Name())
	}
	r.used, r.read = used, true
	return nil
}

// readRange is the number of the range that a file holds.
func readRange(path string) (uint32, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var m mappings
	if err := json.Unmarshal(data, &m); err != nil {
		return 0, fmt.Errorf("invalid user namespace mappings file: %w", err)
	}
	if len(m.UIDs) != 1 || !slices.Equal(m.UIDs, m.GIDs) {
		return 0, errors.New("invalid user namespace configuration: GID and UID mapping should be identical")
	}
	one := m.UIDs[0]
	switch {
	case one.ContainerID != 0:
		return 0, errors.New("invalid user namespace configuration: UID 0 must be mapped")
	case one.Length != idsPerPod:
		return 0, fmt.Errorf("wrong user namespace length %v", one.Length)
	case one.HostID%idsPerPod != 0 || one.HostID == 0:
		return 0, fmt.Errorf("wrong user namespace offset specified %v", one.HostID)
	}
	return one.HostID / idsPerPod, nil
}

func userNamespace(n uint32) *runtimeapi.UserNamespace {
	ids := []*runtimeapi.IDMapping{{HostId: n * idsPerPod, Length: idsPerPod}}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: ids, Gids: ids}
}

// users is the user namespace of a pod's.
func (a *Agent) users(ctx context.Context, pod *corev1.Pod) (*runtimeapi.UserNamespace, error) {
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_NODE}, nil
	}
	handler, err := a.handlerOf(ctx, pod)
	if err != nil {
		return nil, err
	}
	status, err := a.Runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking the runtime for its features: %w", err)
	}
	can := slices.ContainsFunc(status.RuntimeHandlers, func(h *runtimeapi.RuntimeHandler) bool {
		return h.Name == handler && h.GetFeatures().GetUserNamespaces()
	})
	switch {
	case can:
		return a.ranges.of(pod.UID)
	case handler != "":
		return nil, fmt.Errorf("can't set `spec.hostUsers: false`, RuntimeClass handler %q does not support user namespaces", handler)
	}
	return nil, errors.New("can't set `spec.hostUsers: false`, runtime does not support user namespaces")
}

// handlerOf is the handler that a pod's RuntimeClass names; "" is the runtime itself.
func (a *Agent) handlerOf(ctx context.Context, pod *corev1.Pod) (string, error) {
	name := pod.Spec.RuntimeClassName
	if name == nil || *name == "" {
		return "", nil
	}
	obj, err := a.Client.Get(ctx, nodev1.SchemeGroupVersion.WithResource("runtimeclasses"), "", *name)
	if apierrors.IsNotFound(err) {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("failed to lookup RuntimeClass %s: %w", *name, err)
	}
	return obj.(*nodev1.RuntimeClass).Handler, nil
}

// handlerFeatures is what the node says of the runtime's handlers.
func handlerFeatures(status *runtimeapi.StatusResponse) []corev1.NodeRuntimeHandler {
	var all []corev1.NodeRuntimeHandler
	for _, h := range status.RuntimeHandlers {
		rro, users := h.GetFeatures().GetRecursiveReadOnlyMounts(), h.GetFeatures().GetUserNamespaces()
		all = append(all, corev1.NodeRuntimeHandler{
			Name: h.Name, Features: &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: &rro, UserNamespaces: &users},
		})
	}
	return all
}
