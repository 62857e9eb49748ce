package wire

// End does what Serve does at its end to calls that last, and returns when no connection is left.
func (h *Handler) End() {
	h.stop()
	h.connections.open.Wait()
}

// InFlight is how many calls Drain would wait for.
func (h *Handler) InFlight() int64 { return h.departing.inFlight.Load() }
