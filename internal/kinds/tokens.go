package kinds

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Tokens says how tokens of service accounts are made. It is immutable.
type Tokens struct {
	Audiences []string // of the API, which a token is for when nobody says another
	// MaxLife is how long a token may be good, whatever was asked for; 0: as long as was asked for.
	MaxLife time.Duration
	// Extend is how long a pod's token with the life that the ServiceAccount admission gives one lives, MaxLife or not; it is noted as late after what was asked
	// for. 0: no longer than that.
	Extend time.Duration
	// Issue signs a token; nil: the server has no key. It may be called concurrently, and may ask others for as long as ctx lasts.
	Issue func(ctx context.Context, w TokenWish) (Token, error)
}

// Token is a token that was made.
type Token struct {
	Text string
	ID   string // which it carries
}

// TokenWish is what a token shall say. Of Pod and Secret at most one is not nil; with Pod, Node is where it runs. What is pointed to is only read.
type TokenWish struct {
	Account   *corev1.ServiceAccount
	Pod       *corev1.Pod
	Secret    *corev1.Secret
	Node      *corev1.Node
	Audiences []string
	Now       time.Time
	Life      time.Duration
	WarnAfter time.Duration // 0: never
}
