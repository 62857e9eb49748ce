package transcript

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

// What a request may have in its header for the one who sends it. None of it is sent.
const (
	Show = "X-Show" // what is shown that is left out otherwise
	Keep = "X-Keep" // the version that its answer has is FIRSTVERSION from now on
	Form = "X-Form" // protobuf: the body, JSON in the transcript, is sent as that
	// Until is what the answer to an AWAIT's path has when the wait is over.
	Until = "X-Until"
)

// Seen is what later requests may need of an answer. What the answer does not have is "".
type Seen struct {
	Token   string // continues the list
	List    string // the list's resource version
	Version string // the object's
	UID     string // the object's
}

// Memory makes requests that name what earlier answers had. It is of one transcript, and used by one at a time.
type Memory struct {
	seen  Seen
	first string // the version that was to be kept
}

// Note remembers what was seen in the answer to r, unless that was on trial. What it lacks stays as it was.
func (m *Memory) Note(r exchange.Request, s Seen) {
	if strings.Contains(r.Path, "dryRun=") {
		return
	}
	m.seen = Seen{
		Token: cmp.Or(s.Token, m.seen.Token), List: cmp.Or(s.List, m.seen.List),
		Version: cmp.Or(s.Version, m.seen.Version), UID: cmp.Or(s.UID, m.seen.UID),
	}
	if r.Header[Keep] != "" {
		m.first = cmp.Or(s.Version, s.List)
	}
}

// Request is r as it is sent to a server. The header X-User is left to the caller.
func (m *Memory) Request(ctx context.Context, server string, r exchange.Request) (*http.Request, error) {
	words := strings.NewReplacer("CONTINUE", m.seen.Token, "LASTVERSION", m.seen.Version, "FIRSTVERSION", m.first, "LISTVERSION", m.seen.List, "LASTUID", m.seen.UID)
	body := []byte(words.Replace(r.Body))
	if r.Header[Form] == "protobuf" {
		var err error
		if body, err = packed(body); err != nil {
			return nil, fmt.Errorf("%s %s: the body in protobuf: %w", r.Method, r.Path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, server+words.Replace(r.Path), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range r.Header {
		if name != Show && name != Keep && name != Form && name != Until {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// types are the Go types of what may be sent and answered in protobuf.
var types = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(scheme.AddToScheme(s), metav1.AddMetaToScheme(s), apiextensions.AddToScheme(s), apiregistration.AddToScheme(s))
})

// packed is a JSON object in protobuf with its envelope.
func packed(body []byte) ([]byte, error) {
	s, err := types()
	if err != nil {
		return nil, err
	}
	obj, _, err := serializer.NewCodecFactory(s).UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = protobuf.NewSerializer(s, s).Encode(obj, &out)
	return out.Bytes(), err
}

// unpacked is the reverse, of an answer.
func unpacked(body []byte) ([]byte, error) {
	s, err := types()
	if err != nil {
		return nil, err
	}
	obj, gvk, err := protobuf.NewSerializer(s, s).Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	obj.GetObjectKind().SetGroupVersionKind(*gvk)
	return json.Marshal(obj)
}
