package wire

import (
	"mime"
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

// spoken are the media types of bodies and answers.
var spoken = [...]string{mediaJSON, mediaYAML, mediaProtobuf}

// accepted is one element of an Accept header (RFC 9110 section 12.5.1).
type accepted struct {
	media  string
	params map[string]string
	weight float64
}

// acceptable reads the header, the most wanted first. What cannot be read is left out.
func acceptable(r *http.Request) []accepted {
	var list []accepted
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(strings.ReplaceAll(part, "@", ".")) // the older names of OpenAPI's types have one
		if err != nil {
			continue
		}
		a := accepted{media, params, 1}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			a.weight = q
		}
		list = append(list, a)
	}
	if len(list) == 0 && len(r.Header.Values("Accept")) == 0 {
		list = []accepted{{media: "*/*", weight: 1}}
	}
	slices.SortStableFunc(list, func(a, b accepted) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	return list
}

func (a accepted) speaks() (media string, ok bool) {
	switch a.media {
	case "*/*", "application/*":
		return mediaJSON, true
	case mediaJSON, mediaYAML, mediaProtobuf:
		return a.media, true
	}
	return "", false
}

// transforms says whether the wished transformation is one of those for objects.
func (a accepted) transforms() bool {
	switch as := a.params["as"]; as {
	case "":
		return true
	case "Table":
		return a.ofMeta() && a.media != mediaProtobuf
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		return a.ofMeta()
	}
	return false
}

// ofMeta says that what is wished is a type of meta.k8s.io, which are the same in both versions.
func (a accepted) ofMeta() bool {
	return a.params["g"] == metav1.GroupName && (a.params["v"] == "v1" || a.params["v"] == "v1beta1")
}

// negotiate chooses the format of an answer, or refuses the call.
func (c *call) negotiate() (format, bool) {
	streams := c.path.verb == "list" || c.path.verb == "watch"
	if c.kind != nil && !understood(c.r, spoken[:]) {
		list := spoken[:]
		if streams {
			list = append(slices.Clip(list), mediaJSON+";stream=watch", mediaProtobuf+";stream=watch")
		}
		c.fail(notProduced(list))
		return format{}, false
	}
	for _, a := range acceptable(c.r) {
		media, ok := a.speaks()
		if !ok || !a.transforms() || media == mediaYAML && c.path.verb == "watch" {
			continue
		}
		return format{media: media, as: a.params["as"], version: a.params["v"], pretty: media == mediaJSON && wantsPretty(c.r)}, true
	}
	c.fail(notAcceptable("only the following media types are accepted: " + strings.Join(spoken[:], ", ")))
	return format{}, false
}

// understood says that the header names a media type that is produced, whatever is wished of it: upstream's router asks this before a handler
// looks closer.
func understood(r *http.Request, produced []string) bool {
	header := r.Header.Get("Accept")
	if header == "" {
		return true
	}
	for _, part := range strings.Split(header, ",") {
		media, _, _ := strings.Cut(part, ";")
		if media = strings.TrimSpace(media); media == "*/*" || slices.Contains(produced, media) {
			return true
		}
	}
	return false
}

// wantsPretty follows upstream: on request, and for programs behind which a person sits.
func wantsPretty(r *http.Request) bool {
	if text := r.URL.Query().Get("pretty"); text != "" {
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

// notProduced is the router's refusal of media types that nothing here speaks.
func notProduced(list []string) error {
	return plainStatus(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "406: Not Acceptable\n\nAvailable representations: "+strings.Join(list, ", "))
}
