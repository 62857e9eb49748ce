package core

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

// What a service takes and gives back: addresses, ports of nodes, and with the service itself its Endpoints. All of it is written in one
// transaction with the service, so nothing is taken that no service has, whatever crashes when.

// ServiceNetwork is what the operator says of services' addresses and ports.
type ServiceNetwork struct {
	// Families are those of the ranges that the server was told, one or two; the first is that of services that do not say. nil: IPv4.
	Families []corev1.IPFamily
	// NodePorts is where ports of nodes come from. Zero: allocation.DefaultPorts.
	NodePorts utilnet.PortRange
}

// complete fills in what is not said.
func (n ServiceNetwork) complete() ServiceNetwork {
	if len(n.Families) == 0 {
		n.Families = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if n.NodePorts.Size == 0 {
		n.NodePorts = allocation.DefaultPorts
	}
	return n
}

// claim is the kind's Claim. It also settles what a client leaves to the server and what follows from what was there: the order is upstream's.
func (n ServiceNetwork) claim(env kinds.Env, obj, old kinds.Object, see kinds.Reader) ([]kinds.Write, error) {
	svc, _ := obj.(*corev1.Service)
	was, _ := old.(*corev1.Service)
	c := &claims{ServiceNetwork: n, env: env, see: see, svc: svc, was: was}
	var err error
	switch {
	case svc == nil:
		c.releaseAll()
	case was == nil:
		if svc.Spec.ClusterIP != "" && len(svc.Spec.ClusterIPs) == 0 { // a client that knows the older field only
			svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
		}
		err = c.steps(c.chooseFamilies, c.takeAddresses, c.takePorts, c.takeCheckPort)
	default:
		keepAllocated(svc, was)
		agreeOnIPs(&svc.Spec, &was.Spec)
		err = c.steps(c.chooseFamilies, c.changeAddresses, c.changePorts, c.changeCheckPort)
	}
	if err != nil {
		return nil, err
	}
	return c.done(), nil
}

// claims is one claim while it is made. One goroutine uses it.
type claims struct {
	ServiceNetwork
	env      kinds.Env
	see      kinds.Reader
	svc, was *corev1.Service // nil as in Kind.Claim

	writes   []kinds.Write
	ports    *allocation.Ports // nil: none was looked at
	changed  bool              // ports were taken or released
	released []int             // ports that are free once all else has been done
	pretend  []int             // ports that a dry run has given out
}

func (c *claims) steps(list ...func() error) error {
	for _, step := range list {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// done returns the writes of all that was taken and released.
func (c *claims) done() []kinds.Write {
	for _, port := range c.released {
		if p := c.known(); p.Has(port) {
			p.Release(port)
			c.changed = true
		}
	}
	if c.changed {
		next := &corev1.RangeAllocation{}
		if stored, ok := c.see.Get(allocation.PortsKept, "", allocation.PortsName).(*corev1.RangeAllocation); ok {
			next = stored.DeepCopy()
		}
		c.ports.Stored(next)
		c.writes = append(c.writes, kinds.Write{Resource: allocation.PortsKept, Name: allocation.PortsName, Object: next})
	}
	return c.writes
}

// releaseAll gives back what a service had that is gone. Its Endpoints go with it, lest a service that is made anew has the old ones'.
func (c *claims) releaseAll() {
	svc := c.was
	c.writes = append(c.writes, kinds.Write{Resource: corev1.SchemeGroupVersion.WithResource("endpoints"), Namespace: svc.Namespace, Name: svc.Name})
	if NeedsClusterIP(svc) {
		c.releaseAddresses(svc.Spec.ClusterIPs)
	}
	c.released = append(c.released, portNumbers(svc)...)
	if NeedsHealthCheckPort(svc) && svc.Spec.HealthCheckNodePort > 0 {
		c.released = append(c.released, int(svc.Spec.HealthCheckNodePort))
	}
}

// invalid is the refusal of one field.
func (c *claims) invalid(errs ...*field.Error) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), c.svc.Name, errs)
}

// takeAddresses gives a service that has none an address of each of its families, by chance where the client names none.
func (c *claims) takeAddresses() error {
	s := &c.svc.Spec
	if !NeedsClusterIP(c.svc) || len(s.ClusterIPs) > 0 && s.ClusterIPs[0] == corev1.ClusterIPNone {
		return nil
	}
	for i := range s.IPFamilies {
		if err := c.takeAddress(i); err != nil {
			return err
		}
	}
	if len(s.ClusterIPs) > 0 {
		s.ClusterIP = s.ClusterIPs[0]
	}
	return nil
}

// takeAddress takes the address of the i-th family.
func (c *claims) takeAddress(i int) error {
	s := &c.svc.Spec
	for i >= len(s.ClusterIPs) {
		s.ClusterIPs = append(slices.Clone(s.ClusterIPs), "")
	}
	path, ranges := field.NewPath("spec", "clusterIPs"), allocation.Ready(c.see, s.IPFamilies[i])
	if text := s.ClusterIPs[i]; text != "" {
		addr, ok := allocation.Parse(text)
		if !ok {
			return apierrors.NewInternalError(fmt.Errorf("failed to parse service IP %q", text))
		}
		if err := c.takeNamed(ranges, addr); err != nil {
			return c.invalid(field.Invalid(path, s.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", text, err)))
		}
		return nil
	}
	addr, ok := c.takeAny(ranges)
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", c.svc.Name, allocation.ErrFull))
	}
	s.ClusterIPs[i] = addr.String()
	return nil
}

// takeNamed takes the address that the client wants.
func (c *claims) takeNamed(ranges []allocation.Range, addr netip.Addr) error {
	inside := slices.ContainsFunc(ranges, func(r allocation.Range) bool { return r.Contains(addr) })
	switch {
	case !inside && c.env.DryRun && len(ranges) > 0: // a dry run asks one range, upstream's chance which
		return fmt.Errorf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", addr, ranges[0].Prefix)
	case !inside && c.env.DryRun:
		return errNotReady
	case !inside:
		return errNoRange
	case c.env.DryRun: // does not look whether it is free, as upstream's does not
		return nil
	case c.see.Get(allocation.Addresses, "", addr.String()) != nil:
		return errAddressTaken
	}
	c.take(addr)
	return nil
}

// takeAny takes an address that is free. A dry run gets what is never given out, a range's own address.
func (c *claims) takeAny(ranges []allocation.Range) (netip.Addr, bool) {
	for _, r := range ranges {
		if c.env.DryRun {
			return r.Prefix.Masked().Addr(), true
		}
		for addr := range r.Search(c.env.Pick) {
			if c.see.Get(allocation.Addresses, "", addr.String()) == nil {
				c.take(addr)
				return addr, true
			}
		}
	}
	return netip.Addr{}, false
}

func (c *claims) take(addr netip.Addr) {
	c.writes = append(c.writes, kinds.Write{Resource: allocation.Addresses, Name: addr.String(), Object: allocation.NewAddress(addr, c.svc)})
}

// releaseAddresses gives addresses back. Those that another service has by now, or that nobody took, are passed over.
func (c *claims) releaseAddresses(list []string) {
	for _, text := range list {
		addr, ok := allocation.Parse(text)
		if !ok {
			continue
		}
		ip, ok := c.see.Get(allocation.Addresses, "", addr.String()).(*networkingv1.IPAddress)
		if ok && allocation.IsOf(ip, c.was.Namespace, c.was.Name) {
			c.writes = append(c.writes, kinds.Write{Resource: allocation.Addresses, Name: ip.Name})
		}
	}
}

// changeAddresses is takeAddresses for an update. The first address stays as long as the service has any.
func (c *claims) changeAddresses() error {
	s, was := &c.svc.Spec, &c.was.Spec
	switch {
	case c.asPreferred():
	case !NeedsClusterIP(c.was) && NeedsClusterIP(c.svc):
		return c.takeAddresses()
	case isHeadless(c.was):
	case NeedsClusterIP(c.was) && !NeedsClusterIP(c.svc):
		c.releaseAddresses(was.ClusterIPs)
	case len(was.IPFamilies) == 1 && len(s.IPFamilies) == 2:
		return c.takeAddress(1)
	case len(was.IPFamilies) == 2 && len(s.IPFamilies) == 1 && len(was.ClusterIPs) == 2:
		c.releaseAddresses(was.ClusterIPs[1:])
	}
	return nil
}
