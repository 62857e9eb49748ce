package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

const (
	largestAnswer = 1 << 20 // bytes
	attempts      = 5
	firstPause    = 500 * time.Millisecond
	pauseFactor   = 1.5
	pauseJitter   = 0.2
)

// ErrNoStatus is what an answer is that has nothing to say.
var ErrNoStatus = errors.New("the answer has no status")

// Peer is another server that answers questions of one kind. All fields are needed but Name, Pause and Attempted. It is safe for concurrent use, and not changed while
// it is used.
type Peer struct {
	Name string // stands in errors, unless it is ""
	// URL is where questions are sent, Client how; Client has the timeout of one attempt, and follows no redirects.
	URL    string
	Client *http.Client
	Type   schema.GroupVersionKind // of the reviews, as they are sent and expected
	Clock  clock.WithDelayedExecution
	// Pause is how long the second attempt waits, and each after it half as long again as the one before; 0: half a second, below 0: none waits.
	Pause time.Duration
	// Attempted is told of every attempt; nil: nobody is.
	Attempted func(result string, took time.Duration)
}

// Ask sends a review, which is of the peer's type, until it is answered or there is no hope, and reads the answer's status into what status points to. After an
// error status may hold anything. result names the last attempt's outcome as metrics do: success, canceled, timeout or error.
func (p *Peer) Ask(ctx context.Context, review []byte, status any) (result string, err error) {
	first := p.Pause
	if first == 0 {
		first = firstPause
	}
	pause := wait.Backoff{Duration: max(first, 0), Factor: pauseFactor, Jitter: pauseJitter, Steps: attempts}
	for n := 1; ; n++ {
		began := p.Clock.Now()
		err = p.send(ctx, review, status)
		result = outcome(ctx, err)
		if p.Attempted != nil {
			p.Attempted(result, p.Clock.Since(began))
		}
		if err == nil || ctx.Err() != nil || n == attempts || !mayPass(err) {
			return result, p.named(err)
		}
		if err := p.pause(ctx, pause.Step()); err != nil {
			return result, p.named(err)
		}
	}
}

func (p *Peer) named(err error) error {
	if err == nil || p.Name == "" {
		return err
	}
	return fmt.Errorf("webhook %s: %w", p.Name, err)
}

func (p *Peer) pause(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	timer := p.Clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send asks once.
func (p *Peer) send(ctx context.Context, review []byte, status any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(review))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := p.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > largestAnswer:
		return fmt.Errorf("the answer has more than %d bytes", largestAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		wait, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return apierrors.NewGenericServerResponse(resp.StatusCode, "post", schema.GroupResource{}, "", string(data[:min(len(data), 1024)]), wait, true)
	}
	return p.decode(data, resp.Header.Get("Content-Type"), status)
}

// decode reads an answer.
func (p *Peer) decode(data []byte, media string, status any) error {
	if kind, _, err := mime.ParseMediaType(media); media != "" && (err != nil || kind != "application/json" && kind != "text/plain") {
		return fmt.Errorf("the answer is %q, not JSON", media)
	}
	var answer struct {
		metav1.TypeMeta
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("the answer is no %s: %w", p.Type.Kind, err)
	}
	want := p.Type.GroupVersion().String()
	if answer.Kind != "" && answer.Kind != p.Type.Kind || answer.APIVersion != "" && answer.APIVersion != want { // that it says neither is accepted, as upstream
		return fmt.Errorf("the answer is a %q of %q, not a %s of %s", answer.Kind, answer.APIVersion, p.Type.Kind, want)
	}
	if len(answer.Status) == 0 || string(answer.Status) == "null" {
		return ErrNoStatus
	}
	if err := json.Unmarshal(answer.Status, status); err != nil {
		return fmt.Errorf("the answer is no %s: %w", p.Type.Kind, err)
	}
	return nil
}

func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "success"
	case ctx.Err() != nil:
		return "canceled"
	case utilnet.IsTimeout(err), errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), code(err) == http.StatusGatewayTimeout:
		return "timeout"
	}
	return "error"
}

func code(err error) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

// mayPass says whether another attempt may succeed.
func mayPass(err error) bool {
	if utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) {
		return true
	}
	_, wait := apierrors.SuggestsClientDelay(err)
	return wait
}
