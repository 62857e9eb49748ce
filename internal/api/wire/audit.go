package wire

import (
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// internalOptions is the type by which upstream's audit trail tells the options of a deletion, in whatever version they came.
var internalOptions = schema.GroupVersionKind{Group: metav1.GroupName, Version: runtime.APIVersionInternal, Kind: "DeleteOptions"}

// told is what the audit trail is told when a request comes.
func (h *Handler) told(w http.ResponseWriter, r *http.Request, v *visit) *audit.Request {
	path := &v.path
	attrs := path.attributes()
	if path.resource.Resource == "" {
		attrs = auth.Attributes{Verb: strings.ToLower(r.Method), Path: r.URL.Path}
	}
	req := &audit.Request{
		ID: w.Header().Get("Audit-Id"), Received: v.came, Known: v.known, User: v.sender, Attributes: attrs, URI: r.URL.RequestURI(), UserAgent: r.UserAgent(),
		Long: path.verb == "watch" || path.profile || slices.Contains(connecting[:], path.subresource),
	}
	for _, ip := range utilnet.SourceIPs(r) {
		req.SourceIPs = append(req.SourceIPs, ip.String())
	}
	return req
}

// record begins the record of a call and returns what ends it, which is to be deferred; nil: none is kept. ok is false when the call was refused, since it
// cannot be told.
func (h *Handler) record(c *call, v *visit) (end func(), ok bool) {
	if h.API.Audit == nil {
		return nil, true
	}
	ctx, record, ok := h.API.Audit.Begin(c.r.Context(), h.told(c.w, c.r, v))
	if !ok {
		c.fail(apierrors.NewInternalError(audit.ErrNotStored))
		return nil, false
	}
	if record == nil {
		return nil, true
	}
	c.r = c.r.WithContext(ctx)
	c.answered.record = record
	return func() {
		v := recover()
		record.End(v)
		if v != nil {
			panic(v) // whoever answers it is above
		}
	}, true
}

// unknown tells of a request whose credentials were refused.
func (h *Handler) unknown(w http.ResponseWriter, r *http.Request, v *visit) {
	if h.API.Audit == nil {
		return
	}
	tried := "Authentication failed, no credentials provided"
	var methods []string
	if scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		switch scheme = strings.ToLower(scheme); scheme {
		case "basic", "bearer":
			methods = append(methods, scheme)
		}
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		methods = append(methods, "x509")
	}
	if len(methods) > 0 {
		tried = "Authentication failed, attempted: " + strings.Join(methods, ", ")
	}
	h.API.Audit.Unauthenticated(h.told(w, r, v), tried)
}

// sent tells the object that the call has sent, as it is with what it leaves out filled in.
func (c *call) sent(obj runtime.Object, gvk schema.GroupVersionKind) {
	record := c.answered.record
	if record == nil {
		return
	}
	meta, _ := obj.(metav1.Object)
	record.Request(meta, func() ([]byte, error) {
		if own, ok := obj.(kinds.Object); ok && c.kind.Default != nil && c.path.subresource == "" {
			own = own.DeepCopyObject().(kinds.Object)
			c.kind.Default(own)
			obj = own
		}
		return audit.Document(obj, gvk)
	})
}

// got tells the object of an answer.
func (c *call) got(h *Handler, f format, result api.Result) {
	record := c.answered.record
	if record == nil {
		return
	}
	if status, ok := result.Object.(*metav1.Status); ok {
		told := *status
		told.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		record.Status(&told)
		return
	}
	f.media, f.pretty = mediaJSON, false
	record.Response(func() ([]byte, error) { return h.object(c, f, result) })
}

// gotList tells the list of an answer.
func (c *call) gotList(h *Handler, f format, opts *metav1.TableOptions, list api.List) {
	if !c.answered.record.TellsAnswers() {
		return
	}
	c.answered.record.Response(func() (doc []byte, err error) {
		if f.as == "" {
			err = c.codec.listJSON(list, func(b []byte) error {
				doc = append(doc, b...)
				return nil
			})
			return doc, err
		}
		objects, err := objectsOf(c.kind, list)
		if err != nil {
			return nil, err
		}
		f.media, f.pretty = mediaJSON, false
		return h.transformed(c, f, opts, objects, listMeta(list), true)
	})
}

// objectsOf decodes a list.
func objectsOf(k *kinds.Kind, list api.List) ([]kinds.Object, error) {
	objects := make([]kinds.Object, 0, len(list.Items))
	for _, item := range list.Items {
		obj, err := api.ObjectOf(k, item)
		if err != nil {
			return nil, err
		}
		objects = append(objects, obj)
	}
	return objects, nil
}
