package fairness

import "github.com/floe-k8s/floe/internal/auth"

// Count counts a request that runs whatever room there is, as those of the server's own parts do: it takes no seat, waits for nobody and is never refused, and shows in
// the metrics of the flow schema that it matches. What it returns ends it, once.
func (c *Controller) Count(user auth.User, attributes auth.Attributes) (end func()) {
	for {
		f := c.current.Load().match(&user, &attributes)
		if end := f.level.count(f.tally); end != nil {
			return end
		}
	}
}

// count counts one request from now on; nil: the level is gone, and another one has the flow.
func (l *level) count(by *tally) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil
	}
	by.dispatched++
	by.running++
	began := l.clock.Now()
	return func() {
		took := l.clock.Since(began).Seconds()
		l.mu.Lock()
		defer l.mu.Unlock()
		by.running--
		by.ran.observe(took)
	}
}
