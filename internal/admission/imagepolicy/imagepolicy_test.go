package imagepolicy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/api/imagepolicy/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/imagepolicy"
	"github.com/floe-k8s/floe/internal/auth/webhook/webhooktest"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

func pod(images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"a.image-policy.k8s.io/ticket": "7", "other": "x"}}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: image})
	}
	return p
}

// wish is a new pod; its notes come into the map.
func wish(p *corev1.Pod, notes map[string]string) *admission.Attributes {
	k := core.Pod()
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: "web", Object: p,
		Annotated: func(key, value string) { notes[key] = value }}
}

func settings(peer *webhooktest.Peer) *imagepolicy.Settings {
	return &imagepolicy.Settings{URL: peer.URL, Client: peer.Impatient(), Allowed: time.Minute, Refused: time.Second, Pause: time.Millisecond}
}

func plugin(s *imagepolicy.Settings) admission.Plugin {
	return imagepolicy.New(s, &webhooktest.Clock{}, slog.New(slog.DiscardHandler))
}

// status is an answer with a status.
func status(text string) webhooktest.Answer {
	return webhooktest.Says(http.StatusOK, "application/json", `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","status":`+text+`}`)
}

func TestBackendIsAskedOfImages(t *testing.T) {
	peer := webhooktest.Serve(t, status(`{"allowed":true,"auditAnnotations":{"scanned":"yes","no/key":"x"}}`))
	p, notes := plugin(settings(peer)), map[string]string{}
	one := pod("a", "b")
	one.Spec.InitContainers = []corev1.Container{{Image: "i"}}
	one.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "e"}}}
	a := wish(one, notes)
	if err := p.Validate(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"imagepolicywebhook.image-policy.k8s.io/scanned": "yes"}; !maps.Equal(notes, want) {
		t.Errorf("the audit trail keeps %v, want %v", notes, want)
	}
	a.Operation, a.Subresource = admission.Update, "ephemeralcontainers"
	if err := p.Validate(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, question := range peer.Asked() {
		var review v1alpha1.ImageReview
		if err := json.Unmarshal([]byte(question), &review); err != nil || review.APIVersion != "imagepolicy.k8s.io/v1alpha1" || review.Kind != "ImageReview" {
			t.Errorf("asked %s, %v", question, err)
		}
		spec, err := json.Marshal(review.Spec)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(spec))
	}
	const rest = `"annotations":{"a.image-policy.k8s.io/ticket":"7"},"namespace":"ns"}`
	if want := `{"containers":[{"image":"a"},{"image":"b"},{"image":"i"}],` + rest + ` {"containers":[{"image":"e"}],` + rest; strings.Join(got, " ") != want {
		t.Errorf("asked\n%s, want\n%s", strings.Join(got, " "), want)
	}
}

// TestAnswers: what the backend says, and what it means when it says nothing that can be understood.
func TestAnswers(t *testing.T) {
	const refused = `pods "web" is forbidden: one or more images rejected by webhook backend`
	says := webhooktest.Says
	for name, c := range map[string]struct {
		answer webhooktest.Answer
		open   bool // what cannot be asked passes
		want   string
		failed bool // it could not be asked
	}{
		"allowed":             {status(`{"allowed":true}`), false, "", false},
		"refused":             {status(`{"allowed":false}`), false, refused, false},
		"refused with reason": {status(`{"allowed":false,"reason":"old"}`), false, `pods "web" is forbidden: image policy webhook backend denied one or more images: old`, false},
		"refused, open":       {status(`{"allowed":false}`), true, refused, false},
		"no status, open":     {says(200, "application/json", `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview"}`), true, refused, false},
		"garbage":             {says(200, "application/json", "allowed: yes"), false, "the answer is no ImageReview", true},
		"HTML":                {says(200, "text/html", "<html>"), false, `the answer is "text/html", not JSON`, true},
		"another kind":        {says(200, "application/json", `{"apiVersion":"v1","kind":"Pod","status":{"allowed":true}}`), false, `the answer is a "Pod" of "v1"`, true},
		"another type":        {status(`{"allowed":"true"}`), false, "cannot unmarshal string", true},
		"an error":            {says(503, "text/plain", "no"), false, "the server is currently unable to handle the request", true},
		"forbidden":           {says(403, "text/plain", "no"), false, "no", true},
		"moved":               {says(302, "application/json", `{}`), false, "", true},
		"too much":            {says(200, "application/json", `{"status":{"allowed":true},"x":"`+strings.Repeat("x", 1<<20)+`"}`), false, "more than 1048576 bytes", true},
		"broken":              {webhooktest.Breaks, false, "EOF", true},
		"hanging":             {webhooktest.Hangs, false, "deadline exceeded", true},
		"hanging, open":       {webhooktest.Hangs, true, "", true},
		"garbage, open":       {says(200, "application/json", "{"), true, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			peer := webhooktest.Serve(t, c.answer)
			s, notes := settings(peer), map[string]string{}
			s.FailOpen = c.open
			s.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			err := plugin(s).Validate(context.Background(), wish(pod("a"), notes))
			if passes := c.want == "" && (c.open || !c.failed); passes != (err == nil) || err != nil && !(apierrors.IsForbidden(err) && strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := notes["imagepolicywebhook.image-policy.k8s.io/failed-open"]; (got == "true") != (c.failed && c.open) {
				t.Errorf("the audit trail keeps %v", notes)
			}
		})
	}
}

// steps is a clock that is stepped, on which no wait lasts.
type steps struct {
	*clocktesting.FakeClock
}

func TestAnswersAreRemembered(t *testing.T) {
	peer := webhooktest.Serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		status(fmt.Sprintf(`{"allowed":%t}`, n%2 == 1))(n, w, r)
	})
	clock := steps{clocktesting.NewFakeClock(time.Unix(1000, 0))}
	p := imagepolicy.New(settings(peer), clock, slog.New(slog.DiscardHandler))
	ask := func(images string, allowed bool, asked int) {
		t.Helper()
		if err := p.Validate(context.Background(), wish(pod(strings.Fields(images)...), map[string]string{})); (err == nil) != allowed || len(peer.Asked()) != asked {
			t.Errorf("%s: got %v after %d questions, want %t after %d", images, err, len(peer.Asked()), allowed, asked)
		}
	}
	ask("a", true, 1)
	ask("a", true, 1)
	ask("a b", false, 2)
	ask("a b", false, 2)
	clock.Step(2 * time.Second) // a refusal lasts for one
	ask("a b", true, 3)
	ask("a", true, 3)
	clock.Step(2 * time.Minute)
	ask("a", false, 4)
}

// TestNothingIsRememberedOfFailures, and what may pass is asked again, at most five times, in growing distances.
func TestNothingIsRememberedOfFailures(t *testing.T) {
	peer := webhooktest.Serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n <= 6 {
			webhooktest.Says(http.StatusInternalServerError, "text/plain", "no")(n, w, r)
			return
		}
		status(`{"allowed":true}`)(n, w, r)
	})
	s, clock := settings(peer), &webhooktest.Clock{}
	s.Pause = 0
	p := imagepolicy.New(s, clock, slog.New(slog.DiscardHandler))
	if err := p.Validate(context.Background(), wish(pod("a"), map[string]string{})); !apierrors.IsForbidden(err) || len(peer.Asked()) != 5 {
		t.Errorf("got %v after %d attempts", err, len(peer.Asked()))
	}
	if err := p.Validate(context.Background(), wish(pod("a"), map[string]string{})); err != nil || len(peer.Asked()) != 7 {
		t.Errorf("got %v after %d attempts", err, len(peer.Asked()))
	}
	for _, d := range clock.Waits() {
		if d != 0 {
			t.Errorf("it has waited for %v, want no waits", clock.Waits())
			break
		}
	}
}

func TestOtherWishesAreNotAsked(t *testing.T) {
	peer := webhooktest.Serve(t, status(`{"allowed":false}`))
	p := plugin(settings(peer))
	for name, change := range map[string]func(*admission.Attributes){
		"a part":      func(a *admission.Attributes) { a.Subresource = "status" },
		"a deletion":  func(a *admission.Attributes) { a.Operation, a.Object = admission.Delete, nil },
		"another one": func(a *admission.Attributes) { a.Kind = core.ConfigMap() },
	} {
		a := wish(pod("a"), nil)
		change(a)
		if err := p.Validate(context.Background(), a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(peer.Asked()); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
	a := wish(pod("a"), nil)
	a.Object = &corev1.Binding{}
	if err := p.Validate(context.Background(), a); !apierrors.IsBadRequest(err) {
		t.Errorf("what is no pod: %v", err)
	}
}
