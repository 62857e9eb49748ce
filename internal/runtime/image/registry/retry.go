package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 10 * time.Second
	// maxRetryAfter bounds what a server may ask us to wait.
	maxRetryAfter = time.Minute
)

// pacer counts attempts that brought nothing, and waits between them.
type pacer struct {
	client *Client
	failed int
}

// again waits before the next attempt after err; false means that there is none: it would bring nothing else, or ctx ended.
func (p *pacer) again(ctx context.Context, err error) bool {
	if ctx.Err() != nil || !temporary(err) {
		return false
	}
	if p.failed++; p.failed >= p.client.cfg.Attempts {
		return false
	}
	timer := p.client.cfg.Clock.NewTimer(p.pause(err))
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-ctx.Done():
		return false
	}
}

// progress forgets the attempts that brought nothing.
func (p *pacer) progress() { p.failed = 0 }

// pause is what the server asks for, or else twice as long as before, less up to a half of it by chance.
func (p *pacer) pause(err error) time.Duration {
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter != "" {
		if d, ok := retryAfter(status.RetryAfter, p.client.cfg.Clock.Now()); ok {
			return d
		}
	}
	d := min(firstPause<<(p.failed-1), longPause)
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	if r := p.client.cfg.Random; r != nil {
		d -= time.Duration(r.Int64N(int64(d)/2 + 1))
	}
	return d
}

// retryAfter reads the header's two forms, seconds and a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(d, 0), maxRetryAfter), true
}

// temporary says whether the same request may succeed later.
func temporary(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return slices.Contains([]int{
			http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		}, status.Status)
	}
	for _, final := range []error{ErrContent, ErrUnauthorized, ErrNotFound, errRedirects, errSink, http.ErrSchemeMismatch} {
		if errors.Is(err, final) {
			return false
		}
	}
	return !certificateError(err)
}
