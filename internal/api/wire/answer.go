package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

const (
	gzipFrom  = 128 << 10 // larger answers are compressed when the client wishes, as upstream
	gzipLevel = 1         // as upstream: a quarter of the bytes for a fraction of the time
)

// fail answers the call with a Status.
func (c *call) fail(err error) { c.speaks.refuse(c.w, c.r, err) }

// refuse answers with the Status that err is, in the media type that the client reads.
func (l languages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	audit.From(r.Context()).Status(&status)
	f := l.ofRefusal(r)
	data, err := encode(f, &status, schema.GroupVersionKind{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	send(w, f.media, int(status.Code), data)
}

// statusOf is the Status that err is.
func statusOf(err error) metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(api.Classed(err), &known) {
		panic(fmt.Sprintf("an error without a status: %v", err)) // Classed gives every error one
	}
	return known.Status()
}

func send(w http.ResponseWriter, media string, status int, data []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client is gone when this fails
}

// answer writes a verb's result.
func (c *call) answer(h *Handler, f format, result api.Result, err error, status int) {
	for _, text := range result.Warnings {
		c.warn(text)
	}
	if err != nil {
		c.fail(err)
		return
	}
	if result.Revision != 0 && c.user.Ours() {
		c.w.Header().Set(joint.RevisionHeader, api.Version(result.Revision))
	}
	defer c.answered.record.Timed(audit.Serialization)()
	told := trace.From(c.r.Context())
	told.Event("About to write a response")
	defer told.Event("Writing http response done")
	_, span := trace.Start(c.r.Context(), "SerializeObject")
	data, err := h.object(c, f, result)
	span.Set("mediaType", f.media).End()
	if err != nil {
		c.fail(encodingFailed(err))
		return
	}
	c.got(h, f, result)
	if len(data) > gzipFrom && acceptsGzip(c.r) {
		_ = c.stream(f, status, true, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
		return
	}
	send(c.w, f.media, status, data)
}

// between measures a part of the answer that is not its serialization.
func (c *call) between(p audit.Part) (end func()) {
	return c.answered.record.Between(p, audit.Serialization)
}

// answerList writes a list in the agreed format.
func (c *call) answerList(h *Handler, f format, list api.List) {
	defer c.answered.record.Timed(audit.Serialization)()
	opts, err := c.tableOptions(f)
	if err != nil {
		c.fail(err)
		return
	}
	c.gotList(h, f, opts, list)
	if f.as != "" {
		decoded := c.between(audit.Decoding)
		objects, err := objectsOf(c.kind, list)
		decoded()
		if err != nil {
			c.fail(err)
			return
		}
		data, err := h.transformed(c, f, opts, objects, listMeta(list), true)
		c.whole(f, data, err)
		return
	}
	if f.media == mediaCBOR {
		data, err := listCBOR(c.kind, list)
		c.whole(f, data, err)
		return
	}
	size := 0
	for _, item := range list.Items {
		size += item.Size()
	}
	write := c.codec.listJSON
	if f.media == mediaProtobuf {
		write = c.codec.listProtobuf
	}
	if f.media == mediaYAML || f.pretty {
		var doc []byte
		err := c.codec.listJSON(list, func(b []byte) error {
			doc = append(doc, b...)
			return nil
		})
		if err == nil {
			doc, err = f.finish(doc[:len(doc)-1])
		}
		c.whole(f, doc, err)
		return
	}
	err = c.stream(f, http.StatusOK, size > gzipFrom && acceptsGzip(c.r), func(w io.Writer) error {
		return write(list, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
	})
	if err != nil {
		h.Log.Debug("a list was not delivered whole", "path", c.r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // what was sent must not look complete
	}
}

// answerObjects writes a list of objects that are not stored.
func (c *call) answerObjects(h *Handler, f format, objects []kinds.Object, err error) {
	if err != nil {
		c.fail(err)
		return
	}
	defer c.answered.record.Timed(audit.Serialization)()
	opts, err := c.tableOptions(f)
	if err != nil {
		c.fail(err)
		return
	}
	if f.as != "" {
		data, err := h.transformed(c, f, opts, objects, metav1.ListMeta{}, true)
		c.whole(f, data, err)
		return
	}
	list, items := c.kind.NewList(), make([]runtime.Object, len(objects))
	for i, obj := range objects {
		items[i] = obj
	}
	if err := meta.SetList(list, items); err != nil {
		c.fail(apierrors.NewInternalError(err))
		return
	}
	data, err := encode(f, list, listGVK(c.kind))
	c.whole(f, data, err)
}

func (c *call) whole(f format, data []byte, err error) {
	if err != nil {
		c.fail(encodingFailed(err))
		return
	}
	if len(data) <= gzipFrom || !acceptsGzip(c.r) {
		send(c.w, f.media, http.StatusOK, data)
		return
	}
	_ = c.stream(f, http.StatusOK, true, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// stream writes an answer whose size is not known beforehand.
func (c *call) stream(f format, status int, compress bool, write func(io.Writer) error) error {
	header := c.w.Header()
	header.Set("Content-Type", f.media)
	if compress {
		header.Set("Content-Encoding", "gzip")
		header.Add("Vary", "Accept-Encoding")
	}
	c.w.WriteHeader(status)
	through := c.pools
	if through == nil {
		through = &pools{}
	}
	return through.through(c.w, compress, write)
}

// acceptsGzip says that the client names gzip, without a weight: upstream does not read these.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(coding) == "gzip" {
			return true
		}
	}
	return false
}

// notFound answers for a path that nothing serves, as upstream: plain text where no group and version is served.
func (c *call) notFound() {
	http.Error(c.w, "404 page not found", http.StatusNotFound)
}

// noResource answers for a resource that a served group and version does not have.
func (c *call) noResource() {
	c.fail(plainStatus(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource"))
}

func (c *call) methodNotAllowed() {
	c.fail(plainStatus(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the server does not allow this method on the requested resource"))
}

func plainStatus(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{},
	}}
}
