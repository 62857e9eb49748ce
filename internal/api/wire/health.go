package wire

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// check is one line of a health page.
type check struct {
	name string
	fail func() string // "" when all is well
}

func (h *Handler) checks(path string) []check {
	well := func() string { return "" }
	list := []check{{"ping", well}, {"log", well}, {"etcd", func() string {
		if err := h.API.Store.Err(); err != nil {
			return err.Error()
		}
		return ""
	}}}
	if strings.HasPrefix(path, "/readyz") {
		list = append(list, check{"poststarthook/bootstrap", func() string {
			if !h.ready.Load() {
				return "not finished"
			}
			return ""
		}}, check{"shutdown", func() string {
			if h.closing.Err() != nil {
				return "process is shutting down"
			}
			return ""
		}})
	}
	return list
}

// serveHealth answers /healthz, /livez and /readyz, and each check below them, as upstream words them.
func (h *Handler) serveHealth(c *call, path string) {
	kind, one, single := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	list := h.checks(path)
	if single {
		i := slices.IndexFunc(list, func(k check) bool { return k.name == one })
		if i < 0 {
			c.notFound()
			return
		}
		list = list[i : i+1]
	}
	excluded := c.r.URL.Query()["exclude"]
	var out strings.Builder
	failed := false
	for _, k := range list {
		switch reason := k.fail(); {
		case slices.Contains(excluded, k.name):
			fmt.Fprintf(&out, "[+]%s excluded: ok\n", k.name)
		case reason != "":
			failed = true
			fmt.Fprintf(&out, "[-]%s failed: reason withheld\n", k.name)
			h.Log.Info("a health check fails", "path", path, "check", k.name, "reason", reason)
		default:
			fmt.Fprintf(&out, "[+]%s ok\n", k.name)
		}
	}
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	_, verbose := c.r.URL.Query()["verbose"]
	switch {
	case failed:
		http.Error(c.w, fmt.Sprintf("%s%s check failed", out.String(), kind), http.StatusInternalServerError)
	case verbose && !single:
		send(c.w, "text/plain; charset=utf-8", http.StatusOK, []byte(out.String()+kind+" check passed\n"))
	default:
		send(c.w, "text/plain; charset=utf-8", http.StatusOK, []byte("ok"))
	}
}

// serveVersion answers /version, and refuses what is below it, as upstream's router.
func (h *Handler) serveVersion(c *call, path string) {
	json := languages{mediaJSON}
	switch {
	case path != "/version":
		c.noResource()
		return
	case c.r.Method != http.MethodGet:
		c.methodNotAllowed()
		return
	case !json.understand(c.r):
		c.fail(notProduced(json))
		return
	}
	major, minor, before := "", "", ""
	if parts := strings.SplitN(strings.TrimPrefix(h.GitVersion, "v"), ".", 3); len(parts) == 3 {
		major, minor = parts[0], parts[1]
		if n, err := strconv.Atoi(minor); err == nil && n > 0 {
			before = strconv.Itoa(n - 1)
		}
	}
	info := version.Info{
		Major: major, Minor: minor, EmulationMajor: major, EmulationMinor: minor, MinCompatibilityMajor: major, MinCompatibilityMinor: before,
		GitVersion: h.GitVersion, GitCommit: h.Build.Commit, BuildDate: h.Build.Date, GitTreeState: "clean",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	data, _ := mustJSON(info)
	data, err := indent(data)
	if err != nil {
		c.fail(err)
		return
	}
	send(c.w, mediaJSON, http.StatusOK, data)
}
