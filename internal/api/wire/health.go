package wire

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
)

// check is one line of a health page.
type check struct {
	name string
	fail func() string // "" when all is well
}

// Check is a check of something besides the API; Fail returns why it fails, or "", and does not wait.
type Check struct {
	Name string
	Fail func() string
}

// checks are those of one health page, in upstream's order.
func (h *Handler) checks(kind string) []check {
	well := func() string { return "" }
	stored := func() string {
		if err := h.API.Store.Err(); err != nil {
			return err.Error()
		}
		return ""
	}
	list := []check{{"ping", well}, {"log", well}}
	if kind == "readyz" {
		// The table is what upstream's informers are, and was loaded before there was a server.
		list = append(list, check{"etcd", stored}, check{"etcd-readiness", stored}, check{"informer-sync", well})
	} else {
		// Upstream's has a certificate by which it trusts itself, which may run out. What is in this process needs none.
		list = append(list, check{"loopback-serving-certificate", well}, check{"etcd", stored})
	}
	lives := kind == "livez" && h.LiveGrace > 0 && !h.Clock.Now().After(h.began.Add(h.LiveGrace))
	for _, k := range h.Checks {
		list = append(list, check{k.Name, k.Fail})
	}
	for _, k := range h.hooks {
		state := func() string {
			if lives {
				return ""
			}
			return k.unfinished()
		}
		list = append(list, check{"poststarthook/" + k.name, state})
		if k.name == autoRegistration {
			list = append(list, check{autoRegistrationCompleted, state})
		}
	}
	if kind == "readyz" {
		list = append(list, check{"shutdown", func() string {
			if h.closing.Err() != nil || h.departing.leaving.Load() {
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
	list := h.checks(kind)
	if single {
		h.serveCheck(c, list, one)
		return
	}
	query := c.r.URL.Query()
	unknown := sets.New(query["exclude"]...)
	var out strings.Builder
	failed, reasons := false, map[string][]string{} // the checks that fail, by why
	for _, k := range list {
		if slices.Contains(query["exclude"], k.name) {
			unknown.Delete(k.name)
			fmt.Fprintf(&out, "[+]%s excluded: ok\n", k.name)
			continue
		}
		reason := k.fail()
		h.checked.observe(k.name, kind, reason == "")
		if reason == "" {
			fmt.Fprintf(&out, "[+]%s ok\n", k.name)
			continue
		}
		failed = true
		fmt.Fprintf(&out, "[-]%s failed: reason withheld\n", k.name)
		reasons[reason] = append(reasons[reason], k.name)
	}
	for reason, checks := range reasons {
		h.Log.Info("health checks fail", "path", path, "checks", strings.Join(checks, ","), "reason", reason)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&out, "warn: some health checks cannot be excluded: no matches for %s\n", quoted(sets.List(unknown)))
	}
	text := "ok"
	if query.Has("verbose") {
		text = out.String() + kind + " check passed\n"
	}
	if failed {
		http.Error(c.w, fmt.Sprintf("%s%s check failed", out.String(), kind), http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	send(c.w, mediaText, http.StatusOK, []byte(text))
}

// quoted is a list of names as upstream writes it.
func quoted(names []string) string {
	var out strings.Builder
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q", name)
	}
	return out.String()
}

// serveCheck answers for one check. Whoever may ask for it is told why it fails.
func (h *Handler) serveCheck(c *call, list []check, name string) {
	i := slices.IndexFunc(list, func(k check) bool { return k.name == name })
	if i < 0 {
		c.notFound()
		return
	}
	if reason := list[i].fail(); reason != "" {
		http.Error(c.w, "internal server error: "+reason, http.StatusInternalServerError)
		return
	}
	send(c.w, mediaText, http.StatusOK, []byte("ok"))
}

// version is what the server says that it is.
func (h *Handler) version() version.Info {
	major, minor, before := "", "", ""
	if parts := strings.SplitN(strings.TrimPrefix(h.GitVersion, "v"), ".", 3); len(parts) == 3 {
		major, minor = parts[0], parts[1]
		if n, err := strconv.Atoi(minor); err == nil && n > 0 {
			before = strconv.Itoa(n - 1)
		}
	}
	return version.Info{
		Major: major, Minor: minor, EmulationMajor: major, EmulationMinor: minor, MinCompatibilityMajor: major, MinCompatibilityMinor: before,
		GitVersion: h.GitVersion, GitCommit: h.Build.Commit, BuildDate: h.Build.Date, GitTreeState: "clean",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// serveVersion answers /version, and refuses what is below it.
func (h *Handler) serveVersion(c *call, path string) {
	data, _ := mustJSON(h.version())
	data, err := indent(data)
	if err != nil {
		c.fail(err)
		return
	}
	version := Document{Path: "/version", MediaType: mediaJSON, Read: func() ([]byte, int) { return data, unsaid }}
	version.serve(c, path)
}

// healthPages tell whether the server is well, the names of their checks below them.
var healthPages = [...]string{"healthz", "livez", "readyz"}

func isHealth(path string) bool {
	page, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains(healthPages[:], page)
}
