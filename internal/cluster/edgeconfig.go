package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// validateEdge looks at what is said to every client, with kube-apiserver's rules.
func (a *API) validateEdge() (errs []error) {
	for _, directive := range a.StrictTransportSecurityDirectives {
		age, ok := strings.CutPrefix(directive, "max-age=")
		if directive != "includeSubDomains" && directive != "preload" && (!ok || strings.Contains(age, "=")) {
			errs = append(errs, fmt.Errorf("api.strictTransportSecurityDirectives: %q: allowed values: max-age=expireTime, includeSubDomains, preload "+
				"(see https://tools.ietf.org/html/rfc6797#section-6.1)", directive))
		}
	}
	for _, origin := range a.CORSAllowedOrigins {
		if err := pinned(origin); err != nil {
			errs = append(errs, fmt.Errorf("api.corsAllowedOrigins: %q: %w, as '//example\\.com(:|$)' does", origin, err))
		}
	}
	return errs
}

// pinned says what is wrong with an expression for origins. One that may match within a host's name would let others' pages in.
func pinned(origin string) error {
	switch _, err := regexp.Compile(origin); {
	case origin == "":
		return errors.New("empty value: must match an origin from the begin of its host (^ or //) to the end ($ or :)")
	case err != nil:
		return fmt.Errorf("invalid regular expression: %w", err)
	case !strings.Contains(origin, "^") && !strings.Contains(origin, "//") || !strings.ContainsAny(origin, "$:"):
		return errors.New("regular expression does not pin to start/end of host in the origin header: must match its begin (^ or //) and its end ($ or :)")
	}
	return nil
}

// edge is what is done to every request. a is valid.
func (a *API) edge() wire.Edge {
	e := wire.Edge{
		TransportSecurity: strings.Join(a.StrictTransportSecurityDirectives, "; "), Goaway: a.GoawayChance,
		Departure: wire.Departure{RetryAfter: a.ShutdownSendRetryAfter, Watches: a.ShutdownWatchTerminationGracePeriod.Duration},
	}
	for _, origin := range a.CORSAllowedOrigins {
		e.Origins = append(e.Origins, regexp.MustCompile(origin))
	}
	return e
}

// externalAddress is what discovery says of where the API is: as upstream, the advertised address unless a host is set.
func (s *server) externalAddress() (string, error) {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return "", err
	}
	host := s.Config.API.ExternalHostname
	if host == "" {
		address, err := s.advertised()
		if err != nil {
			return "", err
		}
		host = address.String()
	}
	return net.JoinHostPort(host, port), nil
}

// departure returns a context that ends after ctx: when those who balance load have had time to see that this server ends, and its clients were sent
// away. leaving ends with ctx. stop ends both at once and waits.
func (s *server) departure(ctx context.Context) (leaving, gone context.Context, stop func()) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	leave, left := context.WithCancel(out)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		select {
		case <-ctx.Done():
		case <-out.Done():
			return
		}
		s.door.Leave()
		left()
		if delay := s.Config.API.ShutdownDelayDuration.Duration; delay > 0 {
			s.Log.Info("told to end: not ready any more, and serving as before for a while", "delay", delay)
			wait := s.Clock.NewTimer(delay)
			defer wait.Stop()
			select {
			case <-wait.C():
			case <-out.Done():
				return
			}
		}
		s.door.Drain(out)
	}()
	return leave, out, func() {
		cancel()
		<-done
		left()
	}
}
