package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

// Ports of nodes. One number may serve several protocols of one service, and is taken once.

// known reads which ports are taken. Where that was never written, or for another range, the services say it: with what they have
// outside the new range nothing is done.
func (c *claims) known() *allocation.Ports {
	if c.ports != nil {
		return c.ports
	}
	stored, ok := c.see.Get(allocation.PortsKept, "", allocation.PortsName).(*corev1.RangeAllocation)
	if ok {
		if c.ports, ok = allocation.ReadPorts(c.NodePorts, stored); ok {
			return c.ports
		}
	}
	c.ports = allocation.NewPorts(c.NodePorts)
	c.see.Each(corev1.SchemeGroupVersion.WithResource("services"), "", func(obj kinds.Object) bool {
		for _, port := range allocation.PortsOf(obj.(*corev1.Service)) {
			_ = c.ports.Take(port) // taken twice or outside: the repair loop tells of it
		}
		return true
	})
	return c.ports
}

// takePort takes a port that the client names. A dry run asks only whether it is taken, as upstream's.
func (c *claims) takePort(port int) error {
	if c.env.DryRun {
		if c.known().Has(port) || slices.Contains(c.pretend, port) {
			return allocation.ErrTaken
		}
		c.pretend = append(c.pretend, port)
		return nil
	}
	err := c.known().Take(port)
	c.changed = c.changed || err == nil
	return err
}

// nextPort takes a port by chance. A dry run gets made-up ones, the same as upstream's.
func (c *claims) nextPort() (int, error) {
	const firstPretended = 32769
	if c.env.DryRun {
		port := firstPretended
		if len(c.pretend) > 0 {
			port = slices.Max(c.pretend) + 1
		}
		c.pretend = append(c.pretend, port)
		return port, nil
	}
	port, err := c.known().Next(c.env.Pick)
	c.changed = c.changed || err == nil
	return port, err
}

// anyPort is nextPort for a port of the service.
func (c *claims) anyPort() (int32, error) {
	port, err := c.nextPort()
	if err != nil {
		return 0, apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
	}
	return int32(port), nil
}

// namedPort is takePort for the i-th port of the service.
func (c *claims) namedPort(i int, port int32) error {
	if err := c.takePort(int(port)); err != nil {
		return c.invalid(field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), port, err.Error()))
	}
	return nil
}

// takePorts takes the ports of a new service. Ports of one number, of several protocols, get one port of the nodes.
func (c *claims) takePorts() error {
	if !hasNodePorts(c.svc.Spec.Type) {
		return nil
	}
	ports, given := c.svc.Spec.Ports, map[int32]int32{}
	for i := range ports {
		p := &ports[i]
		had, named := given[p.Port], p.NodePort
		switch {
		case named == 0 && !NeedsNodePort(c.svc):
			continue
		case had == 0:
			if named = wantedFor(p.Port, ports); named == 0 {
				var err error
				if p.NodePort, err = c.anyPort(); err != nil {
					return err
				}
				break
			}
			if err := c.namedPort(i, named); err != nil {
				return err
			}
			p.NodePort = named
		case named == 0:
			p.NodePort = had
		case named != had:
			if err := c.namedPort(i, named); err != nil {
				return err
			}
			continue
		}
		given[p.Port] = p.NodePort
	}
	return nil
}

// wantedFor is the first port of nodes that the client names for a port; 0: none.
func wantedFor(port int32, ports []corev1.ServicePort) int32 {
	for _, p := range ports {
		if p.Port == port && p.NodePort != 0 {
			return p.NodePort
		}
	}
	return 0
}

// changePorts takes what an update adds and gives back what it drops.
func (c *claims) changePorts() error {
	before := portNumbers(c.was)
	if !hasNodePorts(c.svc.Spec.Type) {
		if hasNodePorts(c.was.Spec.Type) {
			c.released = append(c.released, before...)
		}
		return nil
	}
	type use struct {
		Protocol corev1.Protocol
		NodePort int32
	}
	taken, used := map[int32]bool{}, map[use]bool{}
	for i := range c.svc.Spec.Ports {
		p := &c.svc.Spec.Ports[i]
		switch {
		case p.NodePort == 0 && !NeedsNodePort(c.svc):
			continue
		case p.NodePort == 0:
			var err error
			if p.NodePort, err = c.anyPort(); err != nil {
				return err
			}
		case !slices.Contains(before, int(p.NodePort)) && !taken[p.NodePort]:
			if err := c.namedPort(i, p.NodePort); err != nil {
				return err
			}
			taken[p.NodePort] = true
		}
		u := use{p.Protocol, p.NodePort}
		if used[u] {
			return fmt.Errorf("duplicate nodePort: %v", u)
		}
		used[u] = true
	}
	now := portNumbers(c.svc)
	for _, port := range before {
		if !slices.Contains(now, port) {
			c.released = append(c.released, port)
		}
	}
	return nil
}

// takeCheckPort takes the port on which nodes tell a load balancer whether they have endpoints.
func (c *claims) takeCheckPort() error {
	if !NeedsHealthCheckPort(c.svc) {
		return nil
	}
	if n := c.svc.Spec.HealthCheckNodePort; n != 0 {
		if err := c.takePort(int(n)); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", n, err))
		}
		return nil
	}
	port, err := c.nextPort()
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort %v: %w", port, err))
	}
	c.svc.Spec.HealthCheckNodePort = int32(port)
	return nil
}

func (c *claims) changeCheckPort() error {
	switch had, needs := NeedsHealthCheckPort(c.was), NeedsHealthCheckPort(c.svc); {
	case !had && needs:
		return c.takeCheckPort()
	case had && !needs:
		c.released = append(c.released, int(c.was.Spec.HealthCheckNodePort))
	}
	return nil
}

// portNumbers are the ports of nodes that a service names, in order, as often as it names them.
func portNumbers(svc *corev1.Service) (list []int) {
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			list = append(list, int(p.NodePort))
		}
	}
	return list
}
