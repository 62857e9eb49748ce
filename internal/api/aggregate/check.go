package aggregate

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// Upstream's way of asking whether a server is there.
const (
	attempts  = 5 // at once, since each may meet another endpoint
	checkTime = 5 * time.Second
)

// aggregator is who asks servers what they have. Its group may do everything.
func aggregator() auth.User {
	return auth.User{Name: "system:kube-aggregator", Groups: []string{auth.Masters}}
}

// Check asks the server of svc, which names a service, for what its group and version has; nil: it answers. The error's text is what upstream tells of it.
func (p *Proxy) Check(ctx context.Context, svc *apiregistrationv1.APIService) error {
	transport, err := p.transport(svc)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, Timeout: checkTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var under sync.WaitGroup
	defer under.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is still asking when one was answered
	results := make(chan error, attempts)
	for range attempts {
		under.Go(func() { results <- p.ask(ctx, client, svc) })
	}
	for range attempts {
		if err = <-results; err == nil {
			return nil
		}
	}
	transport.CloseIdleConnections()
	return err
}

// ask asks once.
func (p *Proxy) ask(ctx context.Context, client *http.Client, svc *apiregistrationv1.APIService) error {
	at, err := p.resolve(svc)
	if err != nil {
		return err
	}
	at.Path = "/apis/" + svc.Spec.Group + "/" + svc.Spec.Version
	if svc.Spec.Group == "" {
		at.Path = "/api/" + svc.Spec.Version
	}
	failed := func(err error) error { return fmt.Errorf("failing or missing response from %v: %w", at, err) }
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return failed(err)
	}
	identify(r.Header, aggregator())
	resp, err := client.Do(r)
	if err != nil {
		return failed(err)
	}
	resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return failed(fmt.Errorf("bad status from %v: %d", at, resp.StatusCode))
	}
	return nil
}
