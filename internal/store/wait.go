package store

import (
	"container/heap"
	"sync"
	"sync/atomic"
)

// waiters holds who waits for a revision, the least first, so that the applier touches only those it wakes.
type waiters struct {
	count atomic.Int64 // len(heap); lets the applier pass without the lock
	mu    sync.Mutex
	heap  waitHeap
}

type waiter struct {
	rev   Revision
	place int           // in the heap; -1: not in it
	ready chan struct{} // closed by wake
}

func (w *waiters) add(rev Revision) *waiter {
	x := &waiter{rev: rev, ready: make(chan struct{})}
	w.mu.Lock()
	heap.Push(&w.heap, x)
	w.count.Store(int64(len(w.heap)))
	w.mu.Unlock()
	return x
}

func (w *waiters) remove(x *waiter) {
	w.mu.Lock()
	if x.place >= 0 {
		heap.Remove(&w.heap, x.place)
		w.count.Store(int64(len(w.heap)))
	}
	w.mu.Unlock()
}

// wake is called after the table has been published at rev.
func (w *waiters) wake(rev Revision) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	for len(w.heap) > 0 && w.heap[0].rev <= rev {
		x := heap.Pop(&w.heap).(*waiter)
		close(x.ready)
	}
	w.count.Store(int64(len(w.heap)))
	w.mu.Unlock()
}

type waitHeap []*waiter

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].rev < h[j].rev }

func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *waitHeap) Push(x any) {
	w := x.(*waiter)
	w.place = len(*h)
	*h = append(*h, w)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.place = -1
	return w
}
