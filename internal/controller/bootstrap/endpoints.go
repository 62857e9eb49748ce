//lint:file-ignore SA1019 upstream has deprecated Endpoints, and serves them all the same

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

// leaseLife is how long a server counts that does not renew its lease, as upstream's.
const leaseLife = 15 * time.Second

// Lease is one server's sign of life: Sign changes with each renewal.
type Lease struct {
	Address string
	Sign    string
}

// Leases are the signs of life of all servers that share the cluster's state. Implementations are safe for concurrent use.
type Leases interface {
	// Renew makes a server's lease, or changes its sign.
	Renew(ctx context.Context, address string) error
	// List returns all leases.
	List(ctx context.Context) ([]Lease, error)
	// Remove removes a lease; with sign not "" only as long as it has that one. One that is gone is no error.
	Remove(ctx context.Context, address, sign string) error
}

// lifeSign is what was seen of a lease last.
type lifeSign struct {
	sign  string
	since time.Time // when it was seen first
}

// reconcileEndpoints renews this server's lease and makes the endpoints of default/kubernetes name the servers that live.
func (b *Bootstrap) reconcileEndpoints(ctx context.Context) error {
	if b.Leases == nil {
		return nil
	}
	if err := b.Leases.Renew(ctx, b.Address.String()); err != nil {
		return fmt.Errorf("renewing this server's lease: %w", err)
	}
	live, err := b.live(ctx)
	if err != nil {
		return err
	}
	if len(live) == 0 { // this server's own was renewed just now
		return errors.New("no server has a lease: the endpoints are left as they are")
	}
	return b.setEndpoints(ctx, live)
}

// live returns the addresses of the servers that live, in order, and removes the leases of the others.
func (b *Bootstrap) live(ctx context.Context) ([]string, error) {
	list, err := b.Leases.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the servers' leases: %w", err)
	}
	now, seen := b.Clock.Now(), map[string]*lifeSign{}
	var live []string
	for _, l := range list {
		s := b.seen[l.Address]
		if s == nil || s.sign != l.Sign {
			s = &lifeSign{l.Sign, now}
		}
		if now.Sub(s.since) > leaseLife {
			if err := b.Leases.Remove(ctx, l.Address, l.Sign); err != nil {
				return nil, fmt.Errorf("removing the lease of %s, which is dead: %w", l.Address, err)
			}
			continue
		}
		seen[l.Address] = s
		live = append(live, l.Address)
	}
	b.seen = seen
	slices.SortFunc(live, func(x, y string) int { return bytes.Compare(sortable(x), sortable(y)) })
	return live, nil
}

// sortable orders addresses as upstream packs them: by their bytes, of IPv4 in the wide form.
func sortable(text string) []byte {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return []byte(text)
	}
	wide := addr.As16()
	return wide[:]
}

// leave takes this server out of the endpoints. ctx has ended by now.
func (b *Bootstrap) leave(ctx context.Context) error {
	if b.Leases == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer stop()
	if err := b.Leases.Remove(ctx, b.Address.String(), ""); err != nil {
		return fmt.Errorf("removing this server's lease: %w", err)
	}
	live, err := b.live(ctx)
	if err != nil {
		return err
	}
	if err := b.setEndpoints(ctx, live); err != nil {
		b.Log.Warn("this server could not leave the endpoints of default/kubernetes", "err", err)
	}
	return nil
}

// setEndpoints writes the endpoints and their slice where they differ.
func (b *Bootstrap) setEndpoints(ctx context.Context, live []string) error {
	res := corev1.SchemeGroupVersion.WithResource("endpoints")
	old, found, err := get[*corev1.Endpoints](ctx, b, res, metav1.NamespaceDefault, kubernetes) //nolint:staticcheck // upstream keeps them beside the slice
	if err != nil {
		return err
	}
	next := b.endpoints(old, live)
	if !found || !equality.Semantic.DeepEqual(old, next) {
		if err := b.put(ctx, res, next, found); err != nil {
			return err
		}
	}
	return b.setSlice(ctx, live)
}

// endpoints is what the Endpoints become. What else somebody wrote into their metadata stays.
func (b *Bootstrap) endpoints(old *corev1.Endpoints, live []string) *corev1.Endpoints { //nolint:staticcheck // see setEndpoints
	next := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: kubernetes, Namespace: metav1.NamespaceDefault}}
	if old != nil {
		next = old.DeepCopy()
	}
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	next.Labels[discoveryv1.LabelSkipMirror] = "true"
	if len(live) == 0 {
		next.Subsets = nil
		return next
	}
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: portName, Port: b.Port, Protocol: corev1.ProtocolTCP}}} //nolint:staticcheck // see setEndpoints
	for _, ip := range live {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: ip}) //nolint:staticcheck // see setEndpoints
	}
	next.Subsets = []corev1.EndpointSubset{subset} //nolint:staticcheck // see setEndpoints
	return next
}

// setSlice does the same for the EndpointSlice, which is of the family of this server's address.
func (b *Bootstrap) setSlice(ctx context.Context, live []string) error {
	res := discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	old, found, err := get[*discoveryv1.EndpointSlice](ctx, b, res, metav1.NamespaceDefault, kubernetes)
	if err != nil {
		return err
	}
	next := b.slice(live)
	if found && old.AddressType != next.AddressType { // which cannot be changed
		if err := b.remove(ctx, res, old); err != nil {
			return err
		}
		found = false
	}
	if found {
		if equality.Semantic.DeepEqual(old.Endpoints, next.Endpoints) && equality.Semantic.DeepEqual(old.Ports, next.Ports) && equality.Semantic.DeepEqual(old.Labels, next.Labels) {
			return nil
		}
		next.ResourceVersion = old.ResourceVersion
	}
	return b.put(ctx, res, next, found)
}

func (b *Bootstrap) slice(live []string) *discoveryv1.EndpointSlice {
	next := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: kubernetes, Namespace: metav1.NamespaceDefault, Labels: map[string]string{discoveryv1.LabelServiceName: kubernetes},
		},
		AddressType: discoveryv1.AddressType(allocation.FamilyOf(b.Address)),
		Endpoints:   []discoveryv1.Endpoint{},
	}
	if len(live) > 0 {
		name, port, tcp := portName, b.Port, corev1.ProtocolTCP
		next.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}}
	}
	for _, ip := range live {
		addr, err := netip.ParseAddr(ip)
		if err != nil || allocation.FamilyOf(addr) != allocation.FamilyOf(b.Address) {
			continue
		}
		ready := true
		next.Endpoints = append(next.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
	}
	return next
}

// put makes or replaces an object. Somebody who was quicker is looked at the next time.
func (b *Bootstrap) put(ctx context.Context, res client.Resource, obj kinds.Object, found bool) error {
	if found {
		return b.replace(ctx, res, obj)
	}
	return b.create(ctx, res, obj)
}

// asFound are the options of a deletion of obj in the state in which it was read.
func asFound(obj kinds.Object) metav1.DeleteOptions {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}
