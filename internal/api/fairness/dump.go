package fairness

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DumpPath is where the pages are that show what waits.
const DumpPath = "/debug/api_priority_and_fairness/"

// page writes tables as upstream's: columns with a comma, blanks and a tab between.
type page struct {
	to *tabwriter.Writer
}

func (p page) row(columns ...string) { fmt.Fprintln(p.to, strings.Join(columns, ",\t")) }

// Dump writes a page by its name below DumpPath; details adds what each request wants. false: there is no such page. What is written is of one moment for
// each level, and nothing is written while a level is held.
func (c *Controller) Dump(w io.Writer, name string, details bool) (found bool, _ error) {
	p := page{tabwriter.NewWriter(w, 8, 0, 1, ' ', 0)}
	switch name {
	case "dump_priority_levels":
		p.row("PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests", "DispatchedRequests", "RejectedRequests",
			"TimedoutRequests", "CancelledRequests")
		c.dump(p, (*level).row)
	case "dump_queues":
		p.row("PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR", "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum")
		c.dump(p, (*level).queueRows)
	case "dump_requests":
		header := []string{"PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime", "InitialSeats", "FinalSeats",
			"AdditionalLatency", "StartTime"}
		if details {
			header = append(header, "UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
		}
		p.row(header...)
		c.dump(p, func(l *level) [][]string { return l.requestRows(details) })
	default:
		return false, nil
	}
	return true, p.to.Flush()
}

func (c *Controller) dump(p page, rows func(*level) [][]string) {
	for _, l := range c.current.Load().levels {
		l.mu.Lock()
		list := rows(l)
		l.mu.Unlock()
		for _, row := range list {
			p.row(row...)
		}
	}
}

func (l *level) row() [][]string {
	m, active := &l.machine, 0
	for _, q := range m.queues {
		if q.waiting.length > 0 {
			active++
		}
	}
	number := strconv.Itoa
	return [][]string{{l.name, number(active), strconv.FormatBool(m.idle()), strconv.FormatBool(l.quiescing), number(m.waiting), number(m.running),
		number(m.totals.dispatched), number(m.totals.rejected), number(m.totals.timedOut), number(m.totals.cancelled)}}
}

func (l *level) queueRows() (rows [][]string) {
	number := strconv.Itoa
	for i, q := range l.machine.queues {
		rows = append(rows, []string{l.name, number(i), number(q.waiting.length), number(q.running.length), number(q.inUse), q.next.String(),
			number(q.initial), number(q.most), q.work.String()})
	}
	return rows
}

func (l *level) requestRows(details bool) (rows [][]string) {
	add := func(of line, queue int, numbered bool) {
		place := 0
		for t := of.first; t != nil; t = t.after {
			at := -1
			if numbered {
				at = place
			}
			rows = append(rows, t.row(queue, at, details))
			place++
		}
	}
	for i, q := range l.machine.queues {
		add(q.waiting, i, true)
		add(q.running, i, false)
	}
	add(l.machine.loose, -1, false)
	return rows
}

func (t *Ticket) row(queue, place int, details bool) []string {
	when := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	row := []string{t.level.name, t.flow.schema.Name, strconv.Itoa(queue), strconv.Itoa(place), t.distinguisher, when(t.arrived), strconv.Itoa(t.width.Initial),
		strconv.Itoa(t.width.Final), t.width.Lingers.String(), when(t.started)}
	if details {
		a := &t.call.Attributes
		row = append(row, t.call.User.Name, a.Verb, a.Path, a.Namespace, a.Name, schema.GroupVersion{Group: a.Group, Version: a.Version}.String(), a.Resource, a.Subresource)
	}
	return row
}
