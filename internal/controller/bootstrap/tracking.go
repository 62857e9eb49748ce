package bootstrap

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	trackingName  = "kube-apiserver-legacy-service-account-token-tracking"
	trackingSince = "since"
	// trackingRests is how long a server waits before it makes the config map once more: beside one of another version, which removes it, they would do so for ever.
	trackingRests = 30 * time.Minute
)

// trackTokens keeps the config map that says since when the use of service accounts' tokens in secrets is noticed. One that is gone is made anew, which begins
// the time anew; a date that cannot be read is replaced by today.
func (b *Bootstrap) trackTokens(ctx context.Context) error {
	res, now := corev1.SchemeGroupVersion.WithResource("configmaps"), b.Clock.Now()
	today := now.UTC().Format(time.DateOnly)
	have, ok, err := get[*corev1.ConfigMap](ctx, b, res, metav1.NamespaceSystem, trackingName)
	if err != nil {
		return err
	}
	if !ok {
		if !b.tracks.IsZero() && now.Sub(b.tracks) < trackingRests {
			return nil
		}
		made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: trackingName, Namespace: metav1.NamespaceSystem}, Data: map[string]string{trackingSince: today}}
		if err := b.create(ctx, res, made); err != nil {
			return err
		}
		b.tracks = now
		return nil
	}
	if _, err := time.Parse(time.DateOnly, have.Data[trackingSince]); err == nil {
		return nil
	}
	next := have.DeepCopy()
	if next.Data == nil {
		next.Data = map[string]string{}
	}
	next.Data[trackingSince] = today
	if _, err := b.Client.Update(ctx, res, next, ""); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("config map %s: %w", trackingName, err)
	}
	return nil
}
