package servicerepair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

const (
	every = 3 * time.Minute // between two looks, as upstream's
	looks = 3               // after so many a port that no service has is given back
)

// Ports holds the ports of nodes that are taken against the services. All fields are needed.
type Ports struct {
	Client client.Client // of a user who may do everything
	Clock  clock.WithTicker
	Log    *slog.Logger
	Range  utilnet.PortRange
	// Keep gives next what is stored, nil when nothing is, once that is durable, and stores what it returns unless somebody wrote it
	// meanwhile: then it asks again.
	Keep func(ctx context.Context, next func(stored *corev1.RangeAllocation) (*corev1.RangeAllocation, error)) error
}

// Run looks at once and then every few minutes, until ctx ends.
func (p Ports) Run(ctx context.Context) error {
	events := record.New(p.Client, p.Clock, p.Log, "portallocator-repair-controller")
	tick := p.Clock.NewTicker(every)
	defer tick.Stop()
	leaks := map[int]int{}
	for {
		var found []record.Event
		var left map[int]int
		err := p.Keep(ctx, func(stored *corev1.RangeAllocation) (*corev1.RangeAllocation, error) {
			view, err := p.Client.View(ctx)
			if err != nil {
				return nil, err
			}
			next := stored.DeepCopy()
			if next == nil {
				next = &corev1.RangeAllocation{}
			}
			var ports *allocation.Ports
			ports, left, found = repair(view, next, p.Range, leaks)
			ports.Stored(next)
			return next, nil
		})
		if err == nil {
			leaks = left
		} else if ctx.Err() == nil {
			p.Log.Warn("ports of nodes could not be looked at, and are later", "again", every, "err", err)
		}
		for _, e := range found {
			p.Log.Warn(e.Message, "service", e.About.Namespace+"/"+e.About.Name)
			events.Record(ctx, e)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C():
		}
	}
}

// repair returns which ports are to be taken, for how many looks more each leaked one is kept, and what is to be told. It changes nothing.
func repair(view client.View, stored *corev1.RangeAllocation, r utilnet.PortRange, leaks map[int]int) (*allocation.Ports, map[int]int, []record.Event) {
	rebuilt, still := allocation.NewPorts(r), map[int]int{}
	known := allocation.NewPorts(r) // what is stored and no service has
	if ports, ok := allocation.ReadPorts(r, stored); ok {
		known = ports
	}
	fresh := stored.Range == "" || stored.Range != r.String() // nothing was stored for this range: nothing went astray
	var found []record.Event
	for obj := range view.List(Services, "") {
		svc := obj.(*corev1.Service)
		for _, port := range allocation.PortsOf(svc) {
			was := known.Has(port)
			known.Release(port)
			reason, message := "", ""
			var outside *allocation.OutsideError
			switch err := rebuilt.Take(port); {
			case errors.Is(err, allocation.ErrTaken):
				reason, message = "PortAlreadyAllocated", fmt.Sprintf("Port %d was assigned to multiple services; please recreate service", port)
			case errors.As(err, &outside):
				reason, message = "PortOutOfRange", fmt.Sprintf("Port %d is not within the port range %s; please recreate service", port, r.String())
			case !was && !fresh:
				reason, message = "PortNotAllocated", fmt.Sprintf("Port %d is not allocated; repairing", port)
			default:
				continue
			}
			found = append(found, record.Event{
				About: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID, ResourceVersion: svc.ResourceVersion},
				Type:  corev1.EventTypeWarning, Reason: reason, Message: message,
			})
		}
	}
	for port := range known.All() {
		n, seen := leaks[port]
		if !seen {
			n = looks
		}
		if n > 0 {
			still[port] = n - 1
			_ = rebuilt.Take(port) // it is free there: a port of a service was released above
		}
	}
	return rebuilt, still, found
}
