// Package eventratelimit is the admission plug-in EventRateLimit, off by default: events are written only so often.
//
// # Vocabulary
//
// A limit has buckets: one for all events, or one for each namespace, user, or source and object of events. A bucket holds up to Burst events and gets QPS new ones
// a second; an event takes one out of its bucket of every limit, and passes when each had one.
//
// # Laws
//
//   - Events of the core group are limited, as upstream does; dry runs are not.
//   - A limit has at most CacheSize buckets: the one that was used last the longest ago makes place, and is full when it comes again.
//   - An event that one limit refuses has still taken from the others.
package eventratelimit

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/lru"

	"github.com/floe-k8s/floe/internal/admission"
)

// Name is the plug-in's.
const Name = "EventRateLimit"

// Type says which events share a bucket.
type Type string

// The types, as upstream writes them.
const (
	Server          Type = "Server"
	Namespace       Type = "Namespace"
	User            Type = "User"
	SourceAndObject Type = "SourceAndObject"
)

// Limit is one limit, as upstream's file has it (eventratelimit.admission.k8s.io/v1alpha1).
type Limit struct {
	Type      Type  `json:"type"`
	QPS       int32 `json:"qps"`   // events a second; above 0
	Burst     int32 `json:"burst"` // events at once; above 0
	CacheSize int32 `json:"cacheSize,omitempty"`
}

// buckets are how many a limit has that does not say.
const buckets = 4096

// New returns the plug-in, with every bucket full.
func New(limits []Limit, clock flowcontrol.Clock) admission.Plugin {
	var list []*limit
	for _, l := range limits {
		size := int(l.CacheSize)
		if size == 0 {
			size = buckets
		}
		if l.Type == Server {
			size = 1
		}
		list = append(list, &limit{Limit: l, clock: clock, buckets: lru.New(size)})
	}
	return admission.Plugin{Name: Name, Validate: func(_ context.Context, a *admission.Attributes) error { return validate(list, a) }}
}

func validate(list []*limit, a *admission.Attributes) error {
	if kind := a.Kind.GVK; kind.Group != "" || kind.Kind != "Event" || a.DryRun || a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	var errs []error
	for _, l := range list {
		if key := l.key(a); !l.take(key) {
			errs = append(errs, fmt.Errorf("limit reached on type %s for key %s", l.Type, key))
		}
	}
	if err := utilerrors.NewAggregate(errs); err != nil {
		return apierrors.NewTooManyRequestsError(err.Error())
	}
	return nil
}

// limit is one limit with its buckets. It is safe for concurrent use.
type limit struct {
	Limit
	clock flowcontrol.Clock

	mu      sync.Mutex // held from the search for a bucket until it is there: two events that come first share it
	buckets *lru.Cache // flowcontrol.RateLimiter by key
}

// take takes an event out of a bucket, and says whether there was one.
func (l *limit) take(key string) bool {
	l.mu.Lock()
	bucket, ok := l.buckets.Get(key)
	if !ok {
		bucket = flowcontrol.NewTokenBucketRateLimiterWithClock(float32(l.QPS), int(l.Burst), l.clock)
		l.buckets.Add(key, bucket)
	}
	l.mu.Unlock()
	return bucket.(flowcontrol.RateLimiter).TryAccept()
}

// key names the bucket of the wish.
func (l *limit) key(a *admission.Attributes) string {
	switch l.Type {
	case Namespace:
		return a.Namespace
	case User:
		return a.User.Name
	case SourceAndObject:
		event, ok := a.Object.(*corev1.Event)
		if !ok {
			return ""
		}
		of := event.InvolvedObject
		return strings.Join([]string{event.Source.Component, event.Source.Host, of.Kind, of.Namespace, of.Name, string(of.UID), of.APIVersion}, "")
	}
	return ""
}
