package queue

import "container/heap"

// itemHeap gives the least item first. Items know their place, so that any can be taken out.
type itemHeap struct {
	list []*Item
	less func(a, b *Item) bool
}

var _ heap.Interface = (*itemHeap)(nil)

func (h *itemHeap) push(it *Item)   { heap.Push(h, it) }
func (h *itemHeap) remove(it *Item) { heap.Remove(h, it.place) }

func (h *itemHeap) peek() *Item {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// Len implements heap.Interface.
func (h *itemHeap) Len() int { return len(h.list) }

// Less implements heap.Interface.
func (h *itemHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

// Swap implements heap.Interface.
func (h *itemHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].place, h.list[j].place = i, j
}

// Push implements heap.Interface.
func (h *itemHeap) Push(x any) {
	it := x.(*Item)
	it.place = len(h.list)
	h.list = append(h.list, it)
}

// Pop implements heap.Interface.
func (h *itemHeap) Pop() any {
	last := len(h.list) - 1
	it := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	return it
}

// flightMost bounds the events that are kept for pods in flight: beyond it, all of them count as helped.
const flightMost = 4096

// flight is the events since the first of the pods in flight was given out.
type flight struct {
	events []Event
	first  uint64 // number of events[0]
	lost   uint64 // events before this number are not all kept
	pods   int
}

func (f *flight) enter()      { f.pods++ }
func (f *flight) end() uint64 { return f.first + uint64(len(f.events)) }

// leave forgets the events with the last pod in flight.
func (f *flight) leave() {
	if f.pods--; f.pods == 0 {
		f.first, f.events = f.end(), nil
	}
}

func (f *flight) add(ev Event) {
	if len(f.events) >= flightMost {
		f.first, f.events = f.end(), nil
		f.lost = f.first
	}
	f.events = append(f.events, ev)
}

// since returns the events from number n on; true when some of them are forgotten.
func (f *flight) since(n uint64) ([]Event, bool) {
	if n < f.lost {
		return nil, true
	}
	return f.events[n-f.first:], false
}
