package claims

import (
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// pool names a driver's pool of devices.
type pool struct{ driver, name string }

func poolOf(s *resourcev1.ResourceSlice) pool { return pool{s.Spec.Driver, s.Spec.Pool.Name} }

// change is the pools of which devices were taken or given back.
type change map[pool]bool

// taken is the devices that claims have. The allocator reads its state, so there is one of it.
type taken struct {
	state  structured.AllocatedState
	counts map[structured.DeviceID]int // claims that have a device for themselves
	shares map[structured.SharedDeviceID]int
}

func newTaken() taken {
	return taken{
		state: structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID](),
			AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](), AggregatedCapacity: structured.NewConsumedCapacityCollection()},
		counts: map[structured.DeviceID]int{}, shares: map[structured.SharedDeviceID]int{},
	}
}

// add takes (1) or gives back (-1) the devices of an allocation; nil has none. Devices for administration are not taken.
func (t *taken) add(a *resourcev1.AllocationResult, by int, changed change) {
	if a == nil {
		return
	}
	for i := range a.Devices.Results {
		d := &a.Devices.Results[i]
		if d.AdminAccess != nil && *d.AdminAccess {
			continue
		}
		changed[pool{d.Driver, d.Pool}] = true
		id := structured.MakeDeviceID(d.Driver, d.Pool, d.Device)
		if d.ShareID == nil {
			count(t.state.AllocatedDevices, t.counts, id, by)
			continue
		}
		count(t.state.AllocatedSharedDeviceIDs, t.shares, structured.MakeSharedDeviceID(id, d.ShareID), by)
		if d.ConsumedCapacity == nil {
			continue
		}
		if used := structured.NewDeviceConsumedCapacity(id, d.ConsumedCapacity); by > 0 {
			t.state.AggregatedCapacity.Insert(used)
		} else {
			t.state.AggregatedCapacity.Remove(used)
		}
	}
}

func count[K comparable](set sets.Set[K], counts map[K]int, id K, by int) {
	if counts[id] += by; counts[id] > 0 {
		set.Insert(id)
		return
	}
	delete(counts, id)
	set.Delete(id)
}

// slicesByNode finds the slices that may matter to a node.
type slicesByNode struct {
	byName map[string]*resourcev1.ResourceSlice
	own    map[string][]*resourcev1.ResourceSlice // by node
	shared []*resourcev1.ResourceSlice            // of several nodes
	pools  map[pool][]*resourcev1.ResourceSlice
}

func newSlicesByNode() slicesByNode {
	return slicesByNode{byName: map[string]*resourcev1.ResourceSlice{}, own: map[string][]*resourcev1.ResourceSlice{},
		pools: map[pool][]*resourcev1.ResourceSlice{}}
}

func byName(a, b *resourcev1.ResourceSlice) int { return strings.Compare(a.Name, b.Name) }

func insert(list []*resourcev1.ResourceSlice, s *resourcev1.ResourceSlice) []*resourcev1.ResourceSlice {
	i, _ := slices.BinarySearchFunc(list, s, byName)
	return slices.Insert(list, i, s)
}

func without(list []*resourcev1.ResourceSlice, s *resourcev1.ResourceSlice) []*resourcev1.ResourceSlice {
	if i, ok := slices.BinarySearchFunc(list, s, byName); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func (s *slicesByNode) add(slice *resourcev1.ResourceSlice) {
	s.byName[slice.Name] = slice
	s.pools[poolOf(slice)] = insert(s.pools[poolOf(slice)], slice)
	if node := slice.Spec.NodeName; node != nil {
		s.own[*node] = insert(s.own[*node], slice)
	} else {
		s.shared = insert(s.shared, slice)
	}
}

// remove forgets a slice and returns it; nil when it was not known.
func (s *slicesByNode) remove(name string) *resourcev1.ResourceSlice {
	slice := s.byName[name]
	if slice == nil {
		return nil
	}
	delete(s.byName, name)
	if p := poolOf(slice); len(s.pools[p]) == 1 {
		delete(s.pools, p)
	} else {
		s.pools[p] = without(s.pools[p], slice)
	}
	if node := slice.Spec.NodeName; node == nil {
		s.shared = without(s.shared, slice)
	} else if len(s.own[*node]) == 1 {
		delete(s.own, *node)
	} else {
		s.own[*node] = without(s.own[*node], slice)
	}
	return slice
}

// ownerOf is the node that alone has a pool; false when several may.
func (s *slicesByNode) ownerOf(p pool) (node string, own bool) {
	for _, slice := range s.pools[p] {
		if slice.Spec.NodeName == nil || node != "" && *slice.Spec.NodeName != node {
			return "", false
		}
		node = *slice.Spec.NodeName
	}
	return node, node != ""
}

// near are the slices of all pools that a node's own and the shared ones are of: the allocator looks no further.
func (s *slicesByNode) near(node string) []*resourcev1.ResourceSlice {
	own := s.own[node]
	out := slices.Concat(own, s.shared)
	seen := map[pool]bool{}
	for _, slice := range out[:len(out):len(out)] {
		p := poolOf(slice)
		if seen[p] {
			continue
		}
		seen[p] = true
		for _, other := range s.pools[p] {
			if n := other.Spec.NodeName; n != nil && *n != node {
				out = append(out, other)
			}
		}
	}
	slices.SortFunc(out, byName)
	return out
}
