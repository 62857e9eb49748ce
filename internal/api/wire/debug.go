package wire

import (
	"context"
	"fmt"
	"html"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
)

// The paths for those who look into a running server.
const (
	debugPath     = "/debug/"
	profilePath   = debugPath + "pprof/"
	flagsPath     = debugPath + "flags/"
	verbosityFlag = "v"
)

// serveDebug answers the paths of upstream's --profiling: Go's profiles, and the flags that can be changed in a running server.
func (h *Handler) serveDebug(c *call) {
	path := c.r.URL.Path
	switch name, profile := strings.CutPrefix(path, profilePath); {
	case path+"/" == profilePath:
		http.Redirect(c.w, c.r, profilePath, http.StatusFound)
	case profile:
		serveProfile(c, name)
	case path == flagsPath+verbosityFlag:
		h.serveVerbosity(c)
	case strings.HasPrefix(path+"/", flagsPath):
		page := fmt.Sprintf("<html>\n<head>\n<title>%[1]s</title>\n</head>\n<body>\n%[1]s<br>\n<br>\nflags:<br>\n<table>\n<tr>%[2]s<br>\n"+
			"</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n", flagsPath, html.EscapeString(verbosityFlag))
		send(c.w, "text/html; charset=utf-8", http.StatusOK, []byte(page))
	default:
		c.notFound()
	}
}

// ServeDebug answers these paths on the listener, whoever asks, until ctx ends (--debug-socket-path): whom a listener's address keeps out is its owner's
// business. It closes the listener.
func (h *Handler) ServeDebug(ctx context.Context, listener net.Listener) error {
	server := &http.Server{ReadHeaderTimeout: headerTime, MaxHeaderBytes: maxHeader, IdleTimeout: idleTime, ErrorLog: stdlog.New(logWriter{h.Log, nil}, "", 0)}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer h.recover(w, r)
		c := &call{r: r, path: parse(r), speaks: h.speaks, answered: recorder{ResponseWriter: w}}
		c.w = &c.answered
		if !strings.HasPrefix(r.URL.Path, debugPath) {
			c.notFound()
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.serveDebug(c)
	})
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve profiles: %w", err)
	}
	return ctx.Err()
}

func serveProfile(c *call, name string) {
	// A profile may take longer than the server's deadlines, which are not those of this call: pprof must not find them.
	r := c.r.WithContext(context.WithValue(c.r.Context(), http.ServerContextKey, nil))
	r.Body = http.MaxBytesReader(c.w, r.Body, maxBody)
	switch name {
	case "profile":
		pprof.Profile(c.w, r)
	case "symbol":
		pprof.Symbol(c.w, r)
	case "trace":
		pprof.Trace(c.w, r)
	case "cmdline": // its flags may hold secrets; upstream does not serve it either
		c.w.Header().Set("X-Go-Pprof", "1")
		http.Error(c.w, "Unknown profile", http.StatusNotFound)
	default:
		pprof.Index(c.w, r)
	}
}

// serveVerbosity changes what --v is.
func (h *Handler) serveVerbosity(c *call) {
	answer := func(code int, text string) {
		c.w.Header().Set("X-Content-Type-Options", "nosniff")
		send(c.w, "text/plain", code, []byte(text))
	}
	if c.r.Method != http.MethodPut || h.SetVerbosity == nil {
		answer(http.StatusNotAcceptable, "unsupported http method")
		return
	}
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		answer(http.StatusBadRequest, "error reading request body: "+err.Error())
		return
	}
	level, err := strconv.ParseUint(string(body), 10, 31)
	if err != nil {
		answer(http.StatusBadRequest, err.Error())
		return
	}
	h.SetVerbosity(int(level))
	answer(http.StatusOK, fmt.Sprintf("successfully set klog.logging.verbosity to %d", level))
}
