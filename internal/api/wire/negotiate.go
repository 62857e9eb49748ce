package wire

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// format is how an answer is written.
type format struct {
	media   string // one of the media constants
	as      string // "", Table, PartialObjectMetadata, PartialObjectMetadataList
	version string // of as: v1 or v1beta1
	pretty  bool
}

// languages are the media types that are spoken, the first by default.
type languages []string

// streams are those of watches.
func (l languages) streams() []string {
	var out []string
	for _, media := range l {
		switch media {
		case mediaYAML:
		case mediaCBOR:
			out = append(out, mediaCBORStream)
		default:
			out = append(out, media+";stream=watch")
		}
	}
	return out
}

// accepted is one clause of an Accept header (RFC 9110 section 12.5.1).
type accepted struct {
	media  string
	params map[string]string
	weight float64
}

// maxAccept bounds how much of an Accept header is read, in bytes. Each clause takes memory, and no client has more than a few.
const maxAccept = 8 << 10

// acceptable reads the header, the most wanted first. What cannot be read is left out. Without a header, there is one clause, for anything.
func acceptable(r *http.Request) []accepted {
	rest := r.Header.Get("Accept")
	if rest == "" {
		return []accepted{{media: "*/*", weight: 1}}
	}
	rest = rest[:min(len(rest), maxAccept)]
	list := make([]accepted, 0, 1+strings.Count(rest, ","))
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		if a, ok := readClause(part); ok {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, before)
	return list
}

// before is upstream's order of clauses. It is not that of the RFC, nor is it an order in all cases: what names a type goes before what does not,
// whatever their weights are.
func before(a, b accepted) int {
	anyType, anySubtype := strings.HasPrefix(b.media, "*/"), strings.HasSuffix(b.media, "/*")
	switch {
	case a.weight > b.weight,
		anyType && !strings.HasPrefix(a.media, "*/"),
		anySubtype && !strings.HasSuffix(a.media, "/*"):
		return -1
	}
	return 1
}

// readClause reads a type and its parameters, as upstream: names are told apart by case, and nothing is quoted.
func readClause(text string) (a accepted, ok bool) {
	media, params, _ := strings.Cut(text, ";")
	a = accepted{media: strings.Trim(media, " "), weight: 1}
	if a.media == "*" {
		a.media = "*/*"
	}
	if kind, subtype, _ := strings.Cut(a.media, "/"); subtype == "" || strings.Contains(subtype, "/") || strings.HasSuffix(kind, " ") {
		return a, false
	}
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if value == "" || strings.Contains(value, "=") {
			continue
		}
		if name = strings.Trim(name, " "); name == "q" {
			a.weight, _ = strconv.ParseFloat(value, 32) // what is no number is 0
			continue
		}
		if a.params == nil {
			a.params = map[string]string{}
		}
		a.params[name] = strings.Trim(value, " ")
	}
	return a, true
}

// spoken are the media types of bodies and answers by default.
var spoken = languages{mediaJSON, mediaYAML, mediaProtobuf}

func (a accepted) spokenIn(l languages) (media string, ok bool) {
	switch {
	case a.media == "*/*", a.media == "application/*":
		return mediaJSON, true
	case slices.Contains(l, a.media):
		return a.media, true
	}
	return "", false
}

// plain says that nothing is wished that only objects allow.
func (a accepted) plain(media string) bool {
	return a.params == nil || !a.converts() && a.params["sv"] == "" && a.streams(media)
}

// converts says that a transformation is wished.
func (a accepted) converts() bool {
	for _, name := range [...]string{"as", "g", "v"} {
		if _, ok := a.params[name]; ok {
			return true
		}
	}
	return false
}

// streams says that no stream is wished, or the one that there is. YAML has none.
func (a accepted) streams(media string) bool {
	stream := a.params["stream"]
	return stream == "" || stream == "watch" && media != mediaYAML
}

// transforms says whether all that is wished of an answer in a media type is something that objects allow.
func (a accepted) transforms(media string) bool {
	if a.params == nil {
		return true
	}
	if sv := a.params["sv"]; sv != "" && sv != "v1" || !a.streams(media) {
		return false
	}
	if !a.converts() {
		return true
	}
	if v := a.params["v"]; a.params["g"] != metav1.GroupName || v != "v1" && v != "v1beta1" { // the types are the same in both versions
		return false
	}
	switch a.params["as"] {
	case "Table":
		return media == mediaJSON || media == mediaYAML
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		return true
	}
	return false
}

// only is the media type that a header names without more, as most do; ok false: the header is to be read.
func (l languages) only(header string) (media string, ok bool) {
	if header == "" {
		return l[0], true
	}
	i := slices.Index(l, header)
	if i < 0 {
		return "", false
	}
	return l[i], true
}

// negotiate chooses the format of an answer, or refuses the call.
func (c *call) negotiate() (format, bool) {
	if media, ok := c.speaks.only(c.r.Header.Get("Accept")); ok && (media != mediaYAML || c.path.verb != "watch") && c.writes(media, "") {
		c.warnDeprecated()
		return format{media: media, pretty: media == mediaJSON && wantsPretty(c.r)}, true
	}
	if c.kind != nil {
		list := c.speaks
		if c.path.verb == "list" || c.path.verb == "watch" {
			list = append(slices.Clip(list), list.streams()...)
		}
		if c.kind.Dynamic == nil && !list.understand(c.r) { // what definitions define is behind no router
			c.fail(notProduced(list))
			return format{}, false
		}
		c.warnDeprecated()
	}
	for _, a := range acceptable(c.r) {
		media, ok := a.spokenIn(c.speaks)
		switch {
		case !ok || !a.transforms(media), a.params["as"] == "Table" && !c.tabled(), !c.writes(media, a.params["as"]):
		case media == mediaYAML && c.path.verb == "watch":
			c.fail(onlyAccepted(c.speaks.streams()))
			return format{}, false
		default:
			pretty := media == mediaJSON && (a.params["pretty"] == "1" || wantsPretty(c.r))
			return format{media: media, as: a.params["as"], version: a.params["v"], pretty: pretty}, true
		}
	}
	c.fail(onlyAccepted(c.speaks))
	return format{}, false
}

// writes says whether what the call is about can be written in a media type: objects without a Go type have no protobuf, though what is shown of them has.
func (c *call) writes(media, as string) bool {
	return media != mediaProtobuf || as != "" || c.kind == nil || c.kind.Dynamic == nil || c.path.subresource == "scale"
}

// tabled says whether what the call is about has a table.
func (c *call) tabled() bool {
	if c.kind == nil {
		return true
	}
	if part := c.part(); part != nil && part.Tableless {
		return false
	}
	return c.kind.Columns != nil || !c.kind.Answered
}

// warnDeprecated tells who uses what something else has taken the place of, as soon as the call is one that is served.
func (c *call) warnDeprecated() {
	if c.kind != nil && c.kind.Dynamic != nil {
		c.warn(c.kind.Dynamic.Warning)
		return
	}
	if c.kind != nil && c.kind.Deprecated != "" && c.path.subresource == "" {
		c.warn(c.kind.GVK.GroupVersion().String() + " " + c.kind.GVK.Kind + " is deprecated in " + c.kind.Deprecated)
	}
}

// understand says that the header names a media type that is spoken, whatever is wished of it: upstream's router asks this before a handler
// looks closer.
func (l languages) understand(r *http.Request) bool {
	header := r.Header.Get("Accept")
	if header == "" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		media, _, _ := strings.Cut(part, ";")
		if media = strings.Trim(media, " "); media == "*/*" || slices.Contains(l, media) {
			return true
		}
	}
	return false
}

// ofRefusal is the format of a refusal. A client that accepts nothing that is spoken gets upstream's last resort, indented JSON.
func (l languages) ofRefusal(r *http.Request) format {
	if media, ok := l.only(r.Header.Get("Accept")); ok {
		return format{media: media, pretty: media == mediaJSON && wantsPretty(r)}
	}
	for _, a := range acceptable(r) {
		if media, ok := a.spokenIn(l); ok && a.plain(media) {
			return format{media: media, pretty: media == mediaJSON && (a.params["pretty"] == "1" || wantsPretty(r))}
		}
	}
	return format{media: mediaJSON, pretty: true}
}

// wantsPretty follows upstream: on request, and for programs behind which a person sits.
func wantsPretty(r *http.Request) bool {
	if text := queryValue(r, "pretty"); text != "" {
		pretty, err := strconv.ParseBool(text)
		return err == nil && pretty
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

// notAcceptable is a refusal by what was wished of the answer.
func notAcceptable(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: message,
	}}
}

func onlyAccepted(list []string) error {
	return notAcceptable("only the following media types are accepted: " + strings.Join(list, ", "))
}

// notProduced is the router's refusal of media types that nothing here speaks.
func notProduced(list []string) error {
	return plainStatus(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "406: Not Acceptable\n\nAvailable representations: "+strings.Join(list, ", "))
}
