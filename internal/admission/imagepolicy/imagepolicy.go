// Package imagepolicy is the admission plug-in ImagePolicyWebhook, off by default: another server says whether pods may run their images.
//
// # Vocabulary
//
// The backend is the other server, as a kubeconfig file names it; it is asked by an ImageReview (imagepolicy.k8s.io/v1alpha1) over HTTPS. To fail open is to let a
// pod pass about which the backend could not be asked, as the setting defaultAllow wants.
//
// # Laws
//
//   - A review tells the images of containers and init containers, or, when those are what changes, of ephemeral containers; the namespace; and of the pod's
//     annotations those alone whose key has ".image-policy.k8s.io/" in it.
//   - What the backend says is remembered by the whole question: approvals and refusals each for a time of their own, of the most questions alone.
//   - An answer without a status refuses, as upstream's does; what is no answer is a failure.
//
// # What it leaves to others
//
// Asking, asking again, and the bounds of an answer: package auth/webhook.
package imagepolicy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/api/imagepolicy/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/auth/webhook"
)

// Name is the plug-in's.
const Name = "ImagePolicyWebhook"

const (
	mostAnswers = 1024
	// Timeout is that of one attempt.
	Timeout = 30 * time.Second

	forBackend  = ".image-policy.k8s.io/"
	auditPrefix = "imagepolicywebhook.image-policy.k8s.io/"
)

// Settings say which backend is asked, and how. They are only read.
type Settings struct {
	// URL is where the backend is, Client how to get there; Client has the timeout of one attempt, and follows no redirects.
	URL    string
	Client *http.Client
	// Allowed and Refused are how long answers are remembered; 0: not at all. Pause is that of the second attempt; 0: it does not wait.
	Allowed, Refused, Pause time.Duration
	FailOpen                bool
}

// New returns the plug-in. s may be nil where it is never asked.
func New(s *Settings, clock clock.WithDelayedExecution, log *slog.Logger) admission.Plugin {
	if s == nil {
		return admission.Plugin{Name: Name}
	}
	p := &plugin{Settings: *s, log: log, answers: cache.NewLRUExpireCacheWithClock(mostAnswers, clock)}
	p.peer = webhook.Peer{URL: s.URL, Client: s.Client, Type: v1alpha1.SchemeGroupVersion.WithKind("ImageReview"), Clock: clock, Pause: s.Pause}
	if s.Pause == 0 {
		p.peer.Pause = -1
	}
	return admission.Plugin{Name: Name, Validate: p.validate}
}

type plugin struct {
	Settings
	peer    webhook.Peer
	answers *cache.LRUExpireCache // v1alpha1.ImageReviewStatus by the sum of the question
	log     *slog.Logger
}

func (p *plugin) validate(ctx context.Context, a *admission.Attributes) error {
	if !a.Is("", "pods", "") && !a.Is("", "pods", "ephemeralcontainers") || a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return apierrors.NewBadRequest("Resource was marked with kind Pod but was unable to be converted")
	}
	spec := v1alpha1.ImageReviewSpec{Containers: images(pod, a.Subresource), Annotations: map[string]string{}, Namespace: a.Namespace}
	for key, value := range pod.Annotations {
		if strings.Contains(key, forBackend) {
			spec.Annotations[key] = value
		}
	}
	status, err := p.ask(ctx, spec)
	if err != nil {
		return p.failed(a, err)
	}
	for key, value := range status.AuditAnnotations {
		if !a.AnnotateAs(auditPrefix+key, value) {
			p.log.Warn("an audit annotation has no valid key", "plugin", Name, "key", key)
		}
	}
	switch {
	case status.Allowed:
		return nil
	case status.Reason != "":
		return a.Forbidf("image policy webhook backend denied one or more images: %s", status.Reason)
	}
	return a.Forbidf("one or more images rejected by webhook backend")
}

// images are those that the backend is asked about.
func images(pod *corev1.Pod, subresource string) (out []v1alpha1.ImageReviewContainerSpec) {
	if subresource != "" {
		for i := range pod.Spec.EphemeralContainers {
			out = append(out, v1alpha1.ImageReviewContainerSpec{Image: pod.Spec.EphemeralContainers[i].Image})
		}
		return out
	}
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			out = append(out, v1alpha1.ImageReviewContainerSpec{Image: list[i].Image})
		}
	}
	return out
}

// ask returns what the backend says, or has said.
func (p *plugin) ask(ctx context.Context, spec v1alpha1.ImageReviewSpec) (status v1alpha1.ImageReviewStatus, err error) {
	review, err := json.Marshal(v1alpha1.ImageReview{TypeMeta: metav1.TypeMeta{APIVersion: p.peer.Type.GroupVersion().String(), Kind: p.peer.Type.Kind}, Spec: spec})
	if err != nil {
		return status, fmt.Errorf("image review: %w", err)
	}
	key := sha256.Sum256(review) // a pod may have much text in its annotations, and the memory is for the answers
	if known, ok := p.answers.Get(key); ok {
		return known.(v1alpha1.ImageReviewStatus), nil
	}
	if _, err := p.peer.Ask(ctx, review, &status); errors.Is(err, webhook.ErrNoStatus) {
		status = v1alpha1.ImageReviewStatus{}
	} else if err != nil {
		return v1alpha1.ImageReviewStatus{}, err
	}
	lasts := p.Refused
	if status.Allowed {
		lasts = p.Allowed
	}
	p.answers.Add(key, status, lasts)
	return status, nil
}

// failed says what follows when the backend could not be asked.
func (p *plugin) failed(a *admission.Attributes, err error) error {
	p.log.Warn("the image policy's backend cannot be asked", "error", err, "failOpen", p.FailOpen)
	if !p.FailOpen {
		return a.Forbid(err)
	}
	a.Annotate(auditPrefix+"failed-open", "true")
	return nil
}
