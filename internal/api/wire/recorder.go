package wire

import (
	"net/http"

	"github.com/floe-k8s/floe/internal/api/audit"
)

// recorder is a response writer that knows what was answered.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int
	guard *guard // nil: the connection's own deadlines hold
	// record is told when the answer begins; nil: none is kept.
	record *audit.Record
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
	if r.guard == nil {
		n, err := r.ResponseWriter.Write(b)
		r.bytes += n
		return n, err
	}
	n := 0
	err := r.guard.during(func() (err error) {
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
	if r.guard == nil {
		return flush()
	}
	return r.guard.during(flush)
}
