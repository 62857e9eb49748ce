package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
)

// Upstream's numbers of webhooks.
const (
	webhookTime     = 30 * time.Second // for one try
	webhookTries    = 5
	webhookFactor   = 1.5
	webhookJitter   = 0.2
	webhookSays     = 4 << 10 // bytes of a refusal that are told
	webhookPlugin   = "webhook"
	kubeconfigField = "audit.webhook.configFile"
)

// webhook posts lists of events to somebody else's server, and tries again whatever goes wrong.
type webhook struct {
	trail  *Trail
	url    string
	client *http.Client
	clock  clock.WithTicker
	wait   time.Duration  // before the first retry
	chance func() float64 // in [0, 1)
}

// newWebhook reads the kubeconfig file.
func newWebhook(t *Trail, cfg *WebhookConfig, env Environment) (*webhook, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: cfg.ConfigFile}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", kubeconfigField, cfg.ConfigFile, err)
	}
	config.Timeout, config.Dial = webhookTime, env.Dial
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", kubeconfigField, cfg.ConfigFile, err)
	}
	at, err := url.Parse(config.Host)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("%s: %s: the server %q is no URL", kubeconfigField, cfg.ConfigFile, config.Host)
	}
	return &webhook{t, at.String(), client, env.Clock, cfg.InitialBackoff.Duration, env.Chance}, nil
}

// take implements sink: it waits until the events are there, or lost.
func (w *webhook) take(events ...*auditv1.Event) bool {
	return w.deliver(w.trail.ended, events)
}

// send is the webhook as the sender of a batch.
func (w *webhook) send(ctx context.Context, events []*auditv1.Event) { w.deliver(ctx, events) }

func (w *webhook) deliver(ctx context.Context, events []*auditv1.Event) bool {
	body, err := json.Marshal(listOf(events))
	if err == nil {
		err = w.retry(ctx, body)
	}
	if err != nil {
		w.trail.lost(webhookPlugin, err, events...)
	}
	return err == nil
}

func listOf(events []*auditv1.Event) *auditv1.EventList {
	list := &auditv1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: Version}, Items: make([]auditv1.Event, len(events))}
	for i, e := range events {
		list.Items[i] = *e
		list.Items[i].TypeMeta = metav1.TypeMeta{}
	}
	return list
}

func (w *webhook) retry(ctx context.Context, body []byte) (err error) {
	wait := w.wait
	for try := 1; ; try++ {
		if err = w.post(ctx, body); err == nil || try == webhookTries || ctx.Err() != nil {
			return err
		}
		timer := w.clock.NewTimer(time.Duration(float64(wait) * (1 + webhookJitter*w.chance())))
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w; the last try: %w", ctx.Err(), err)
		}
		wait = time.Duration(float64(wait) * webhookFactor)
	}
}

func (w *webhook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, */*")
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, webhookSays))
	if resp.StatusCode < http.StatusOK || resp.StatusCode > http.StatusPartialContent {
		return fmt.Errorf("the server answered %s: %s", resp.Status, said)
	}
	return err
}
