package wire

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// format is how an answer is written.
type format struct {
	media  string // one of the media constants
	as     string // "", Table, PartialObjectMetadata, PartialObjectMetadataList
	pretty bool
}

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
		media, params, err := mime.ParseMediaType(part)
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
		return a.params["g"] == metav1.GroupName && a.params["v"] == "v1" && a.media != mediaProtobuf
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		return a.params["g"] == metav1.GroupName && a.params["v"] == "v1"
	}
	return false
}

// negotiate chooses the format of an answer, or refuses the call.
func (c *call) negotiate() (format, bool) {
	for _, a := range acceptable(c.r) {
		media, ok := a.speaks()
		if !ok || !a.transforms() || media == mediaYAML && c.path.verb == "watch" {
			continue
		}
		return format{media: media, as: a.params["as"], pretty: media == mediaJSON && wantsPretty(c.r)}, true
	}
	list := []string{mediaJSON, mediaYAML, mediaProtobuf}
	if c.path.verb == "list" || c.path.verb == "watch" {
		list = append(list, mediaJSON+";stream=watch", mediaProtobuf+";stream=watch")
	}
	c.fail(notAcceptable(list...))
	return format{}, false
}

// wantsPretty follows upstream: on request, and for programs behind which a person sits.
func wantsPretty(r *http.Request) bool {
	if values, ok := r.URL.Query()["pretty"]; ok {
		return isTrue(values)
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func notAcceptable(list ...string) error {
	err := apierrors.NewGenericServerResponse(http.StatusNotAcceptable, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Reason = metav1.StatusReasonNotAcceptable
	err.ErrStatus.Message = "406: Not Acceptable\n\nAvailable representations: " + strings.Join(list, ", ")
	err.ErrStatus.Details = &metav1.StatusDetails{}
	return err
}
