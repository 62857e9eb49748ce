package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
)

// ErrServerGone says that the server stopped answering in the middle of a run.
var ErrServerGone = errors.New("the server is gone")

// ErrUnbound says that the first pod of a cluster was not bound in time: the server does not schedule pods like these.
var ErrUnbound = errors.New("not bound")

// Failures that an answer or a watch can have besides its status.
var (
	errGarbage     = errors.New("garbage reply")
	errBroken      = errors.New("broken reply")
	errWatchEnded  = errors.New("watch ended")
	errPodEnded    = errors.New("pod ended")
	errUndelivered = errors.New("undelivered")
	errNoStart     = errors.New("start failed")
)

// statusError is an answer that is not 2xx.
type statusError struct {
	code    int
	message string // the Status's, or the beginning of the body
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.message)
}

func newStatusError(code int, body []byte) *statusError {
	var status struct{ Message string }
	if err := json.Unmarshal(body, &status); err != nil || status.Message == "" {
		status.Message = fmt.Sprintf("%.200q", body)
	}
	return &statusError{code: code, message: status.Message}
}

// isStatus says whether err is an answer with that code.
func isStatus(err error, code int) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == code
}

// classify gives an error's class: few values, since they are keys of the report.
func classify(err error) string {
	var status *statusError
	if errors.As(err, &status) {
		if text := http.StatusText(status.code); text != "" {
			return strconv.Itoa(status.code) + " " + text
		}
		return strconv.Itoa(status.code)
	}
	for _, sentinel := range []error{errGarbage, errBroken, errWatchEnded, errPodEnded, errUndelivered, errNoStart} {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return classRefused
	default:
		return classConnection
	}
}

// Classes that say something of the connection, not of an answer.
const (
	classRefused    = "connection refused"
	classConnection = "connection lost"
)

// errorCount is how often a class was seen, and the first error of it in full.
type errorCount struct {
	Count   int    `json:"count"`
	Example string `json:"example"`
}

// errorCounts are counted by class. Not safe for concurrent use.
type errorCounts map[string]errorCount

func (c errorCounts) add(err error) {
	class := classify(err)
	n := c[class]
	if n.Count == 0 {
		n.Example = err.Error()
	}
	n.Count++
	c[class] = n
}

func (c errorCounts) merge(other errorCounts) {
	for class, n := range other {
		have := c[class]
		if have.Count == 0 {
			have.Example = n.Example
		}
		have.Count += n.Count
		c[class] = have
	}
}

func (c errorCounts) total() int {
	total := 0
	for _, n := range c {
		total += n.Count
	}
	return total
}

// readError names what went wrong while a body was read: a server that closes early is told apart from a slow one.
func readError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}
