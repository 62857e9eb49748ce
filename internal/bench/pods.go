package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

func preparePodStart(ctx context.Context, w *workspace) (*plan, error) {
	return preparePods(ctx, w, livePods(), untilRunning)
}

// prepareBound makes nodes of the run's own first, when it is asked to.
func prepareBound(ctx context.Context, w *workspace) (*plan, error) {
	removeNodes := func(ctx context.Context, _ int) error { return w.remove(ctx, nodes(), w.Nodes, "") }
	if w.Nodes > 0 {
		if err := w.fill(ctx, nodes(), w.Nodes); err != nil {
			return nil, w.undo(ctx, removeNodes, err)
		}
	}
	p, err := preparePods(ctx, w, boundPods(), untilBound)
	if err != nil {
		return nil, w.undo(ctx, removeNodes, err)
	}
	removePods := p.cleanup
	p.cleanup = func(ctx context.Context, begun int) error {
		return errors.Join(removePods(ctx, begun), removeNodes(ctx, 0))
	}
	return p, nil
}

// preparePods measures from the request that creates a pod to the watch event that ends the wait.
func preparePods(ctx context.Context, w *workspace, kind resourceKind, end until) (*plan, error) {
	create, err := w.creator(kind)
	if err != nil {
		return nil, err
	}
	t, err := w.track(ctx, kind)
	if err != nil {
		return nil, err
	}
	return &plan{
		do: w.awaited(t, create, end),
		cleanup: func(ctx context.Context, begun int) error {
			t.close()
			if w.Nodes > 0 {
				return w.remove(ctx, kind, begun, "0") // no node will ever confirm that they have ended
			}
			return w.endPods(ctx, kind, begun)
		},
	}, nil
}

// awaited is the operation that creates pod i and waits for the event that ends the wait.
func (w *workspace) awaited(t *tracker, create operation, end until) operation {
	return func(ctx context.Context, s *session, i int) error {
		ctx, cancel := context.WithTimeout(ctx, w.Timeout)
		defer cancel()
		seen := t.expect(i, end)
		defer t.forget(i)
		if err := create(ctx, s, i); err != nil {
			return err
		}
		if err := seen.wait(ctx); err != nil {
			return fmt.Errorf("pod %s: %w", name(w.prefix(), i), err)
		}
		return nil
	}
}

// endPods deletes pods 0 to n-1 with their own grace period, and waits until each is gone, so that the next scenario finds a quiet node.
func (w *workspace) endPods(ctx context.Context, kind resourceKind, n int) error {
	if n == 0 {
		return nil
	}
	w.OnProgress(fmt.Sprintf("ending %d pods", n))
	t, err := w.track(ctx, kind)
	if err != nil {
		return err
	}
	defer t.close()
	out, err := load{clock: w.Clock, sessions: w.sessions[:setupWorkers], count: n}.run(ctx, func(ctx context.Context, s *session, i int) error {
		ctx, cancel := context.WithTimeout(ctx, w.Timeout)
		defer cancel()
		gone := t.expect(i, untilGone)
		defer t.forget(i)
		_, err := s.do(ctx, request{method: "DELETE", path: w.collection(kind) + "/" + name(w.prefix(), i), accept: w.media})
		switch {
		case isStatus(err, http.StatusNotFound):
			return nil
		case err != nil:
			return err
		}
		return gone.wait(ctx)
	})
	return failFirst("end pods", out, err)
}
