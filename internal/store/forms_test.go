package store

import "testing"

// formsOf caches a form of size bytes for each of n cells.
func formsOf(cache *formCache, n int, size int64) []*cell {
	cells := make([]*cell, n)
	for i := range cells {
		cells[i] = &cell{collection: &collection{cache: cache}}
		cells[i].keep(&form{size: size})
	}
	return cells
}

func TestSweepTakesWhatWasNotUsedSinceTheLastOne(t *testing.T) {
	const n, size = 3 * sweepStep, 100
	cache := &formCache{limit: 1 << 30}
	cells := formsOf(cache, n, size)
	check := func(when string, want func(i int) bool) {
		t.Helper()
		held := 0
		for i, c := range cells {
			there := c.forms.Load() != nil // find would mark it as used
			if there != want(i) {
				t.Fatalf("%s: form %d is cached: %v", when, i, there)
			}
			if there {
				held++
			}
		}
		if forms, bytes, _ := cache.count(); forms != held || bytes != int64(held)*(size+formOverhead) {
			t.Errorf("%s: %d forms of %d bytes are counted, %d are there", when, forms, bytes, held)
		}
	}
	cache.sweep()
	check("all are younger than a sweep", func(int) bool { return true })
	for i := 0; i < n; i += 3 {
		cells[i].find(0)
	}
	cache.sweep()
	check("a third was used", func(i int) bool { return i%3 == 0 })
	cache.sweep()
	check("none was used", func(int) bool { return false })
	if c := cap(cache.slots); c > n/4 {
		t.Errorf("an empty cache keeps %d slots", c)
	}
}

func TestCacheIsBoundedBetweenSweeps(t *testing.T) {
	cache := &formCache{limit: 10 * (100 + formOverhead)}
	for round := range 3 {
		formsOf(cache, 25, 100)
		if forms, bytes, most := cache.count(); forms != 10 || bytes > most {
			t.Errorf("round %d: %d forms, %d bytes of %d", round, forms, bytes, most)
		}
		cache.sweep()
	}
}

// TestAFullCacheKeepsTheNewest: a change is decoded for all who follow it, so what is newest must stay for as long as a round takes.
func TestAFullCacheKeepsTheNewest(t *testing.T) {
	const room = 10
	cache := &formCache{limit: room * (100 + formOverhead)}
	cells := formsOf(cache, 5*room, 100) // none is used
	for i, c := range cells {
		if there := c.forms.Load() != nil; there != (i >= len(cells)-room) {
			t.Errorf("form %d of %d is cached: %v, want the newest %d", i, len(cells), there, room)
		}
	}
}
