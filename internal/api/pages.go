package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

const (
	maxPinned = 64              // snapshots kept for lists in pages; the eldest goes first
	pinnedFor = 5 * time.Minute // after its first page
)

// pages keeps the snapshots that lists in pages are answered from, so that every page is of one revision.
type pages struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	pinned []pin // in order of time
}

type pin struct {
	snapshot *store.Snapshot
	at       time.Time
}

// token is upstream's continue token, with the time of issue added.
type pageToken struct {
	Version  string         `json:"v"`
	Revision store.Revision `json:"rv"`
	Start    string         `json:"start"`
	Issued   int64          `json:"t,omitempty"` // seconds
}

const tokenVersion = "meta.k8s.io/v1"

// token pins the state, when it is a snapshot, and returns what asks for the page that begins at key.
func (p *pages) token(from origin, key string, now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(now)
	if from.snapshot != nil && p.findLocked(from.revision) == nil {
		if len(p.pinned) == maxPinned {
			p.pinned = p.pinned[1:]
		}
		p.pinned = append(p.pinned, pin{from.snapshot, now})
	}
	data, err := json.Marshal(pageToken{tokenVersion, from.revision, key, now.Unix()})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func (p *pages) dropLocked(now time.Time) {
	for len(p.pinned) > 0 && now.Sub(p.pinned[0].at) > pinnedFor {
		p.pinned[0] = pin{}
		p.pinned = p.pinned[1:]
	}
}

func (p *pages) findLocked(rev store.Revision) *store.Snapshot {
	for _, pin := range p.pinned {
		if pin.snapshot.Revision() == rev {
			return pin.snapshot
		}
	}
	return nil
}

// find returns the state of a token for a collection. A token whose snapshot is pinned no longer asks for history, and when that is gone as well gets
// what expired says.
func (p *pages) find(text, prefix string, newest *store.Snapshot) (origin, error) {
	var t pageToken
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	switch {
	case err != nil:
		return origin{}, badToken(err)
	case t.Version != tokenVersion:
		return origin{}, badToken(fmt.Errorf("server does not recognize this encoded version %s", t.Version))
	case !strings.HasPrefix(t.Start, prefix):
		return origin{}, badToken(errors.New(t.Start))
	}
	if t.Revision == 0 {
		return origin{newest.Revision(), newest, t.Start}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(p.clock.Now())
	return origin{t.Revision, p.findLocked(t.Revision), t.Start}, nil
}

// badToken is upstream's answer to a token that nobody gave out for the list.
func badToken(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: continue key is not valid: %v", err))
}

// expired is a 410 with a token that continues from key at the newest state, as upstream's inconsistent continuation.
func (p *pages) expired(key string) error {
	next, err := json.Marshal(pageToken{Version: tokenVersion, Start: key})
	if err != nil {
		panic(err) // strings and numbers only
	}
	expired := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue " +
		"parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an " +
		"inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	expired.ErrStatus.ListMeta = metav1.ListMeta{Continue: base64.RawURLEncoding.EncodeToString(next)}
	return expired
}
