package wire

import (
	"net/http"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/fairness"
)

// recorder is a response writer that knows what was answered.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int
	guard *guard // nil: the connection's own deadlines hold
	// record is told when the answer begins; nil: none is kept.
	record *audit.Record
	ticket *fairness.Ticket // nil: it needs no turns
}

// send does what may wait for the client.
func (r *recorder) send(piece func() error) error {
	if r.guard != nil {
		inner := piece
		piece = func() error { return r.guard.during(inner) }
	}
	if r.ticket == nil {
		return piece()
	}
	return r.ticket.Send(piece)
}

// Unwrap lets http.ResponseController find what it needs.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
		r.record.Started(code)
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
		r.record.Started(http.StatusOK)
	}
	defer r.record.Timed(audit.ResponseWrite)()
	n := 0
	err := r.send(func() (err error) {
		n, err = r.ResponseWriter.Write(b)
		return err
	})
	r.bytes += n
	return n, err
}

// together gives the client as long for all that write writes and flushes as for one write.
func (r *recorder) together(write func() error) error {
	g := r.guard
	if g == nil {
		return write()
	}
	r.guard = nil
	defer func() { r.guard = g }()
	return g.during(write)
}

// FlushError lets http.ResponseController flush, in the time that the client has for it.
func (r *recorder) FlushError() error {
	flush := http.NewResponseController(r.ResponseWriter).Flush
	return r.send(flush)
}
