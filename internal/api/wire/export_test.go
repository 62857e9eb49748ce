package wire

// End does what Serve does at its end to calls that last, and returns when no connection is left.
func (h *Handler) End() {
	h.stop()
	h.connections.open.Wait()
}
