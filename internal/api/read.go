package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	listvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// freshWait bounds the wait for a revision that a client has seen elsewhere, as upstream's watch cache does.
const freshWait = 3 * time.Second

// List is a collection at one revision. Items are the table's; an empty list has none.
type List struct {
	Items    []*store.Item
	Revision store.Revision
	// Continue asks for what follows; "" when this is all. Remaining counts it; nil when it is not known.
	Continue  string
	Remaining *int64
}

// Get returns one object, or the part of it that the request's subresource is.
func (s *Server) Get(ctx context.Context, req Request, opts metav1.GetOptions) (Result, error) {
	if err := s.authorize(ctx, req, "get"); err != nil {
		return Result{}, err
	}
	if req.Kind.Answered {
		return s.answerGet(ctx, req)
	}
	part, err := subresource(req, "get")
	if err != nil {
		return Result{}, err
	}
	seen, err := parseSeen(opts.ResourceVersion)
	if err != nil {
		if req.Kind.Uncached {
			err = apierrors.NewBadRequest("invalid resource version: " + err.Error())
		}
		return Result{}, err
	}
	if _, err := s.fresh(ctx, opts.ResourceVersion, seen); err != nil {
		return Result{}, err
	}
	item := s.Store.Snapshot().Get(req.key())
	if item == nil {
		return Result{}, apierrors.NewNotFound(req.resource(), req.Name)
	}
	if part == nil || part.Scale == nil {
		return Result{Item: item}, nil
	}
	obj, err := ObjectOf(req.Kind, item)
	if err != nil {
		return Result{}, internal(err)
	}
	if err := scalable(part.Scale, obj); err != nil {
		return Result{}, err
	}
	return Result{Object: scaleOf(part.Scale, obj)}, nil
}

// List returns what is selected of a collection.
func (s *Server) List(ctx context.Context, req Request, opts metav1.ListOptions) (List, error) {
	if err := s.Allow(ctx, req.User, req.selecting("list", opts.FieldSelector, opts.LabelSelector)); err != nil {
		return List{}, err
	}
	return s.list(ctx, req, opts)
}

func (s *Server) list(ctx context.Context, req Request, opts metav1.ListOptions) (List, error) {
	if err := validateList(opts); err != nil {
		return List{}, err
	}
	sel, err := newSelector(req, opts)
	if err != nil {
		return List{}, err
	}
	from, err := s.origin(ctx, req, opts)
	if err != nil {
		return List{}, err
	}
	page := page{List: List{Revision: from.revision}, sel: &sel, limit: opts.Limit}
	if from.snapshot == nil {
		err = s.listPast(ctx, req, &page, from)
	} else {
		err = page.fill(sel.candidates(from.snapshot, from.key))
	}
	if err != nil {
		return List{}, err
	}
	if page.next != "" {
		page.Continue = s.pages.token(from, page.next, s.Clock.Now())
		if from.snapshot != nil && sel.everything() {
			left := remaining(sel.all(from.snapshot, page.next))
			page.Remaining = &left
		}
	}
	return page.List, nil
}

// page is a list that is being filled.
type page struct {
	List
	sel   *selector
	limit int64  // 0: none
	next  string // the first key that was not looked at; "": all were
}

func (p *page) fill(items iter.Seq[*store.Item]) error {
	for item := range items {
		if more, err := p.add(item); err != nil || !more {
			return err
		}
	}
	return nil
}

// add takes an item that is selected, and says whether it wants more. A full page ends at the next item, selected or not: that there is another page says, as
// upstream's, only that there are more objects, and nobody reads a whole collection to say better.
func (p *page) add(item *store.Item) (more bool, err error) {
	if p.limit > 0 && int64(len(p.Items)) == p.limit {
		p.next = item.Key
		return false, nil
	}
	ok, err := p.sel.matches(item)
	if err != nil {
		return false, internal(err)
	}
	if ok {
		p.Items = append(p.Items, item)
	}
	return true, nil
}

// listPast fills a page from the log's history.
func (s *Server) listPast(ctx context.Context, req Request, p *page, from origin) error {
	begin, end := p.sel.span(from.key)
	err := s.Store.At(ctx, from.revision, begin, end, p.add)
	switch {
	case errors.Is(err, store.ErrExpired) && from.key != "":
		return s.pages.expired(from.key)
	case errors.Is(err, store.ErrExpired):
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return storeError(err)
}

func remaining(items iter.Seq[*store.Item]) (n int64) {
	for range items {
		n++
	}
	return n
}

func validateList(opts metav1.ListOptions) error {
	check := internalversion.ListOptions{
		Watch: opts.Watch, AllowWatchBookmarks: opts.AllowWatchBookmarks, ResourceVersion: opts.ResourceVersion,
		ResourceVersionMatch: opts.ResourceVersionMatch, Limit: opts.Limit, Continue: opts.Continue, SendInitialEvents: opts.SendInitialEvents,
	}
	return invalidOptions("ListOptions", listvalidation.ValidateListOptions(&check, true))
}

// origin is the state that a list is answered from, and the key at which it begins.
type origin struct {
	revision store.Revision
	snapshot *store.Snapshot // nil: the state is history
	key      string          // "": at the beginning
}

func (s *Server) origin(ctx context.Context, req Request, opts metav1.ListOptions) (origin, error) {
	if opts.Continue != "" {
		return s.next(req, opts)
	}
	version, err := parseVersion(opts.ResourceVersion)
	if err != nil {
		return origin{}, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: resourceVersion: Invalid value: %q: %v", opts.ResourceVersion, err))
	}
	rev, err := s.fresh(ctx, opts.ResourceVersion, version)
	if err != nil {
		return origin{}, err
	}
	snapshot := s.Store.Snapshot()
	if opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact && snapshot.Revision() != rev {
		return origin{revision: rev}, nil
	}
	return origin{revision: snapshot.Revision(), snapshot: snapshot}, nil
}

// next is the state that a page after the first is answered from.
func (s *Server) next(req Request, opts metav1.ListOptions) (origin, error) {
	from, err := s.pages.find(opts.Continue, req.prefix(), s.Store.Snapshot())
	if err == nil && opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
		err = apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	return from, err
}

// parseVersion reads a resourceVersion; "" is 0.
func parseVersion(version string) (store.Revision, error) {
	if version == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(version, 10, 64)
	return store.Revision(n), err
}

// parseSeen reads the version that a client has seen, for a read of one object and for a watch: upstream has no status for what is no number.
func parseSeen(version string) (store.Revision, error) {
	rev, err := parseVersion(version)
	if err != nil {
		return 0, plain(fmt.Sprintf("resourceVersion: Invalid value: %q: %v", version, err))
	}
	return rev, nil
}

// fresh waits until the table has the version that a client has seen, rev as a number. "" asks for what is newest, "0" for anything.
func (s *Server) fresh(ctx context.Context, version string, rev store.Revision) (store.Revision, error) {
	if version == "" {
		return 0, storeError(s.Store.Sync(ctx))
	}
	if s.Store.Snapshot().Revision() >= rev {
		return rev, nil
	}
	wait, cancel := WithTimeout(ctx, s.Clock, freshWait)
	defer cancel()
	if err := s.Store.Wait(wait, rev); err != nil {
		if ctx.Err() != nil {
			return 0, storeError(err)
		}
		return 0, tooLarge(rev, s.Store.Snapshot().Revision())
	}
	return rev, nil
}

// tooLarge is upstream's answer for a version that is not there yet.
func tooLarge(wanted, have store.Revision) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", wanted, have), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// Parent returns the object whose subresource a node answers, after asking whether the user may.
func (s *Server) Parent(ctx context.Context, req Request, verb string) (kinds.Object, error) {
	if err := s.authorize(ctx, req, verb); err != nil {
		return nil, err
	}
	item := s.Store.Snapshot().Get(req.key())
	if item == nil {
		return nil, apierrors.NewNotFound(req.resource(), req.Name)
	}
	obj, err := ObjectOf(req.Kind, item)
	if err != nil {
		return nil, internal(err)
	}
	return obj, nil
}
