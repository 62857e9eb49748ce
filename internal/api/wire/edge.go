package wire

import (
	"net/http"
	"regexp"
)

// Edge is what is done to every request before anybody asks whose it is, and how clients are sent away when the server ends. Its zero value does
// nothing. The header fields and their values are upstream's.
type Edge struct {
	// Origins match the Origin of pages whose scripts may use the API (--cors-allowed-origins).
	Origins []*regexp.Regexp
	// TransportSecurity is the value of Strict-Transport-Security in every answer; "": there is none (--strict-transport-security-directives).
	TransportSecurity string
	// Goaway is the share of HTTP/2 calls, 0 to 0.02, with which a client is told to take another connection (--goaway-chance).
	Goaway float64
	// Departure is how clients are sent away.
	Departure Departure
}

// What a page of an allowed origin may do.
const (
	corsMethods = "POST, GET, OPTIONS, PUT, DELETE, PATCH"
	corsHeaders = "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since"
)

// mark sets what every answer says, and sometimes asks the client to leave.
func (h *Handler) mark(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if h.Edge.TransportSecurity != "" {
		header.Set("Strict-Transport-Security", h.Edge.TransportSecurity)
	}
	header["Cache-Control"] = []string{"no-cache, private"}
	if h.Edge.Goaway > 0 && r.ProtoMajor == 2 && h.chance() < h.Edge.Goaway {
		header.Set("Connection", "close") // net/http says GOAWAY, and what is under way on the connection ends in peace
	}
}

// chance is a random number in [0, 1).
func (h *Handler) chance() float64 {
	h.randMu.Lock()
	defer h.randMu.Unlock()
	return h.Rand.Float64()
}

// crossOrigin tells a browser that a page may ask. It returns true when that was the question, which needs no further answer.
func (h *Handler) crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !h.Edge.allows(origin) {
		return false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Methods", corsMethods)
	header.Set("Access-Control-Allow-Headers", corsHeaders)
	header.Set("Access-Control-Expose-Headers", "Date")
	header.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		return false
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (e *Edge) allows(origin string) bool {
	for _, pattern := range e.Origins {
		if pattern.MatchString(origin) {
			return true
		}
	}
	return false
}
