package wire

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
)

// The pages that tell of the running program (KEP-4827 and KEP-4828): its flags, and how long it has run. People get text whose form is not the same twice, so
// that no program reads it; programs ask for an object of one of two versions, of which the older warns.
const (
	flagsPage   = "/flagz"
	statusPage  = "/statusz"
	zpagesGroup = "config.k8s.io"
	zpagesName  = "apiserver" // what upstream's server calls itself there
	mediaPlain  = "text/plain"
)

// zpage is one of these pages.
type zpage struct {
	kind string
	text func(delimiter string) string // what stands below its heading
	body func(head told) any           // its object
}

// told is the object that a zpage is to programs.
type told struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

// zpage is the page at a path; nil when none is served there.
func (h *Handler) zpage(c *call) *zpage {
	switch path := c.r.URL.Path; {
	case path == flagsPage && h.Flags != nil:
		return h.flagz()
	case path == statusPage && h.Statusz:
		return h.statusz(h.rootPaths(c))
	}
	return nil
}

func (h *Handler) flagz() *zpage {
	flags := h.Flags()
	return &zpage{
		kind: "Flagz", body: func(head told) any {
			return struct {
				told
				Flags map[string]string `json:"flags,omitempty"`
			}{head, flags}
		},
		text: func(delimiter string) string {
			var out strings.Builder
			for _, name := range slices.Sorted(maps.Keys(flags)) {
				out.WriteString(name + delimiter + flags[name] + "\n")
			}
			return out.String()
		},
	}
}

// uninstructive are the first parts of paths that lead to no page about the server itself.
var uninstructive = [...]string{"", "apis", "api", "openid", "openapi", ".well-known"}

func (h *Handler) statusz(paths []string) *zpage {
	var pages []string
	for _, p := range paths {
		page, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
		if page != statusPage[1:] && !slices.Contains(uninstructive[:], page) && !slices.Contains(pages, "/"+page) {
			pages = append(pages, "/"+page)
		}
	}
	slices.Sort(pages)
	version := h.version()
	since, up := h.began, max(0, h.Clock.Since(h.began))
	binary, emulated := strings.TrimPrefix(h.GitVersion, "v"), version.EmulationMajor+"."+version.EmulationMinor
	return &zpage{
		kind: "Statusz", body: func(head told) any {
			return struct {
				told
				StartTime        metav1.Time `json:"startTime"`
				UptimeSeconds    int64       `json:"uptimeSeconds"`
				GoVersion        string      `json:"goVersion"`
				BinaryVersion    string      `json:"binaryVersion"`
				EmulationVersion string      `json:"emulationVersion,omitempty"`
				Paths            []string    `json:"paths"`
			}{
				told: head, StartTime: metav1.NewTime(since), UptimeSeconds: int64(up / time.Second), GoVersion: runtime.Version(),
				BinaryVersion: binary, EmulationVersion: emulated, Paths: pages,
			}
		},
		text: func(delimiter string) string {
			hours, minutes, seconds := int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60
			var out strings.Builder
			for _, line := range [...][2]string{
				{"\nStarted", since.Format(time.UnixDate)}, {"Up", fmt.Sprintf("%d hr %02d min %02d sec", hours, minutes, seconds)}, {"Go version", runtime.Version()},
				{"Binary version", binary}, {"Emulation version", emulated}, {"Paths", strings.Join(pages, " ")},
			} {
				out.WriteString(line[0] + delimiter + " " + html.EscapeString(line[1]) + "\n")
			}
			return out.String()
		},
	}
}

// delimiters stand between names and values, one of them for each answer.
var delimiters = [...]string{":", ": ", "=", " "}

// serveZpage answers in text, unless an object of the page's kind is asked for.
func (h *Handler) serveZpage(c *call, page *zpage) {
	spoken := slices.DeleteFunc(slices.Clone(h.speaks), func(media string) bool { return media == mediaProtobuf })
	if strings.TrimSpace(c.r.Header.Get("Accept")) == "" {
		h.servePlain(c, page)
		return
	}
	for _, a := range acceptable(c.r) {
		switch f, version, ok := page.form(a, spoken); {
		case !ok:
		case f.media == mediaPlain:
			h.servePlain(c, page)
			return
		default:
			f.pretty = f.media == mediaJSON && (a.params["pretty"] == "1" || wantsPretty(c.r))
			page.serve(c, f, version)
			return
		}
	}
	spoken = append(spoken, mediaPlain)
	spoken.refuse(c.w, c.r, onlyAccepted(spoken))
}

// form is what one clause of an Accept header asks for: text, or an object of a version.
func (p *zpage) form(a accepted, spoken languages) (f format, version string, ok bool) {
	wishes := a.converts()
	for _, media := range append(slices.Clone(spoken), mediaPlain) {
		kind, _, _ := strings.Cut(media, "/")
		if a.media != media && a.media != "*/*" && a.media != kind+"/*" || a.params["stream"] != "" || a.params["sv"] != "" {
			continue
		}
		version = a.params["v"]
		ours := a.params["g"] == zpagesGroup && a.params["as"] == p.kind && (version == "v1beta1" || version == "v1alpha1")
		if media == mediaPlain && !wishes || media != mediaPlain && ours {
			return format{media: media}, version, true
		}
	}
	return f, "", false
}

func (h *Handler) servePlain(c *call, page *zpage) {
	h.randMu.Lock()
	delimiter := delimiters[h.Rand.Intn(len(delimiters))]
	h.randMu.Unlock()
	text := "\n" + zpagesName + " " + strings.ToLower(page.kind) + "\nWarning: This endpoint is not meant to be machine parseable, " +
		"has no formatting compatibility guarantees and is for debugging purposes only.\n" + page.text(delimiter)
	send(c.w, mediaText, http.StatusOK, []byte(text))
}

// serve answers with the page's object.
func (p *zpage) serve(c *call, f format, version string) {
	doc, err := p.object(f, version)
	if err != nil {
		c.fail(err)
		return
	}
	if version == "v1alpha1" {
		c.warn("This version of the " + strings.ToLower(p.kind) + " endpoint is deprecated. Please use a newer version.")
	}
	send(c.w, f.media, http.StatusOK, doc)
}

func (p *zpage) object(f format, version string) ([]byte, error) {
	body := p.body(told{metav1.TypeMeta{Kind: p.kind, APIVersion: zpagesGroup + "/" + version}, metav1.ObjectMeta{Name: zpagesName}})
	if f.media == mediaCBOR {
		return direct.Marshal(body)
	}
	doc, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return f.finish(doc)
}
