package runtime

import (
	"context"
	"net/netip"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Network gives sandboxes their place on the pod network. Sandboxes on the host's network never reach it. Its methods may be called
// concurrently for different sandboxes; for one sandbox one call at a time.
type Network interface {
	// Attach gives the network namespace at pod.NetNSPath its links, addresses and routes, and brings its loopback up. The first
	// address is the pod's primary one. It may be repeated: the same ID again returns the same addresses, also after a restart of
	// floe; after one it is called again for every sandbox that was found ready. On error nothing is left behind that Detach of the same ID would not undo.
	Attach(ctx context.Context, pod PodNetwork) ([]netip.Addr, error)

	// Detach undoes Attach. The namespace may be gone already; an unknown id is no error.
	Detach(ctx context.Context, id string) error

	// Ready says why no sandbox could be attached now, for Status; nil when one could.
	Ready(ctx context.Context) error
}

// PodNetwork says which sandbox is to be attached.
type PodNetwork struct {
	// ID is the sandbox's: unique among all sandboxes that ever were on this node.
	ID string
	// Namespace, Name and UID are the pod's. One pod may have several sandboxes after each other, and briefly two at a time.
	Namespace, Name, UID string
	// NetNSPath is the absolute path of the network namespace (a bind mount), valid from before Attach until after Detach.
	NetNSPath string
	// PortMappings are the ports of the host that lead to the pod; entries with HostPort 0 ask for nothing.
	PortMappings []*runtimeapi.PortMapping
	// Annotations are the pod's; nil for none. They must not be changed.
	Annotations map[string]string
}
