package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
)

func (c *call) request() api.Request {
	req := api.Request{User: c.user, Kind: c.kind, Namespace: c.path.namespace, Name: c.path.name, Subresource: c.path.subresource, Cause: c.cause(),
		Manager: managed.ManagerOf(c.r.UserAgent()), Warn: c.warn}
	if !c.kind.Namespaced {
		req.Namespace = ""
	}
	return req
}

// cause is why the call writes, from those who are believed.
func (c *call) cause() string {
	text := c.r.Header.Get(joint.CauseHeader)
	if text == "" || !c.user.Ours() {
		return ""
	}
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return strings.ToValidUTF8(text[:min(len(text), joint.MaxCause)], "")
}

// part is the subresource that the path names; nil without one or when the kind has none of that name.
func (c *call) part() *kinds.Subresource {
	for i := range c.kind.Subresources {
		if c.kind.Subresources[i].Name == c.path.subresource {
			return &c.kind.Subresources[i]
		}
	}
	return nil
}

// serves says whether the path makes sense for the kind: a namespace where one is needed, a known subresource.
func (c *call) serves() bool {
	t := c.path
	switch {
	case !c.kind.Namespaced && t.within:
		return false
	case c.kind.Namespaced && t.namespace == "" && t.name != "":
		return false
	}
	part := c.part()
	return t.subresource == "" && t.rest == "" || part != nil && (t.rest == "" || part.Proxy != nil)
}

// noPart answers for a path that makes no sense for the kind. Upstream leads those of what definitions define by hand: a part that there is not is an object that
// there is not, and all else goes to whoever comes next, who knows nothing of it.
func (c *call) noPart() {
	switch {
	case c.kind.Dynamic == nil:
		c.noResource()
	case c.path.subresource != "" && c.kind.Namespaced == c.path.within:
		c.fail(apierrors.NewNotFound(c.path.resource.GroupResource(), c.path.name))
	default:
		c.notFound()
	}
}

func (h *Handler) serveResource(c *call) {
	part := c.part()
	switch {
	case !c.serves():
		h.unserved(c, c.noPart)
	case c.listsOnly():
		if _, ok := c.negotiate(); !ok {
			return
		}
		c.fail(apierrors.NewMethodNotSupported(c.path.resource.GroupResource(), "watch"))
	case !c.allowsVerb():
		h.unserved(c, c.methodNotAllowed)
	case part != nil && part.Proxy != nil:
		h.serveProxy(c, part)
	case part != nil && part.Upgrade:
		h.serveStream(c, part)
	case part != nil && part.Node != nil:
		h.serveNode(c, part)
	case c.path.changes() && !h.allowed(c): // before a body is read: nobody's memory is for those who may not
	default:
		verbs := map[string]func(*call){
			"get": h.get, "list": h.list, "watch": h.watch, "create": h.create, "update": h.update, "patch": h.patch,
			"delete": h.delete, "deletecollection": h.deleteCollection,
		}
		defer c.begin().End()
		verbs[c.path.verb](c)
	}
}

// listsOnly says that the call would watch what is never stored: upstream's handler of lists refuses that itself.
func (c *call) listsOnly() bool {
	return c.kind.Answered && c.path.verb == "watch" && slices.Contains(c.kind.Verbs, "list")
}

// allowsVerb says whether the kind or its part has the verb at this place: all namespaces are only read, a collection is not replaced, and one object is
// not created.
func (c *call) allowsVerb() bool {
	t, verbs := c.path, c.kind.Verbs
	if part := c.part(); part != nil {
		verbs = part.Verbs
	} else if verbs == nil {
		verbs = everyVerb[:]
	}
	if part := c.part(); part != nil && part.Proxy != nil && t.name != "" { // all methods
		return true
	}
	if t.method == http.MethodHead || t.watching && t.method != http.MethodGet {
		return false
	}
	one := t.name != ""
	switch t.verb {
	case "create":
		if one != (t.subresource != "") {
			return false
		}
	case "update", "patch":
		if !one {
			return false
		}
	}
	if c.kind.Namespaced && t.namespace == "" && t.verb != "list" && t.verb != "watch" {
		return false
	}
	return slices.Contains(verbs, t.verb)
}

// agree settles the format of the answer and reads the query's options; ok is false when the call has been refused.
func agree[T any](c *call, convert func(*url.Values, *T, conversionScope) error) (f format, opts T, ok bool) {
	if f, ok = c.negotiate(); !ok {
		return f, opts, false
	}
	if err := readQuery(c.r, &opts, convert); err != nil {
		c.fail(err)
		return f, opts, false
	}
	return f, opts, true
}

func (h *Handler) get(c *call) {
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_GetOptions)
	if !ok {
		return
	}
	result, err := h.API.Get(c.r.Context(), c.request(), opts)
	c.answer(h, f, result, err, http.StatusOK)
}

func (h *Handler) list(c *call) {
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_ListOptions)
	if !ok {
		return
	}
	if c.kind.Answered {
		objects, err := h.API.Answered(c.r.Context(), c.request(), opts)
		c.answerObjects(h, f, objects, err)
		return
	}
	list, err := h.API.List(c.r.Context(), c.request(), opts)
	if err != nil {
		c.fail(err)
		return
	}
	c.answerList(h, f, list)
}

func (h *Handler) create(c *call) {
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_CreateOptions)
	if !ok {
		return
	}
	if err := api.CheckCreate(opts); err != nil {
		c.fail(err)
		return
	}
	var into runtime.Object = c.kind.New()
	gvk := c.kind.GVK
	part := c.part()
	if part != nil {
		into, gvk = part.New(), part.GVK
	}
	if err := c.body(into, gvk, opts.FieldValidation); err != nil {
		c.fail(err)
		return
	}
	c.sent(into, gvk)
	var result api.Result
	var err error
	if part != nil {
		result, err = h.API.CreatePart(c.r.Context(), c.request(), into, opts)
	} else {
		result, err = h.API.Create(c.r.Context(), c.request(), into.(kinds.Object), opts)
	}
	c.answer(h, f, result, err, http.StatusCreated)
}

func (h *Handler) update(c *call) {
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_UpdateOptions)
	if !ok {
		return
	}
	if err := api.CheckUpdate(opts); err != nil {
		c.fail(err)
		return
	}
	var into runtime.Object = c.kind.New()
	gvk := c.kind.GVK
	if part := c.part(); part != nil && part.New != nil {
		into, gvk = part.New(), part.GVK
	}
	if err := c.body(into, gvk, opts.FieldValidation); err != nil {
		c.fail(err)
		return
	}
	c.sent(into, gvk)
	result, err := h.API.Update(c.r.Context(), c.request(), into, opts)
	status := http.StatusOK
	if result.Created {
		status = http.StatusCreated
	}
	c.answer(h, f, result, err, status)
}

func (h *Handler) patch(c *call) {
	media, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	kind := types.PatchType(strings.TrimSpace(media))
	inCBOR := kind == types.ApplyCBORPatchType && slices.Contains(c.speaks, mediaCBOR)
	if c.kind.Dynamic != nil && kind == types.StrategicMergePatchType && c.path.subresource != "scale" {
		c.fail(unsupportedMedia(string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType)))
		return
	}
	if !inCBOR && !slices.Contains([]types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType}, kind) {
		c.fail(plainStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "415: Unsupported Media Type"))
		return
	}
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_PatchOptions)
	if !ok {
		return
	}
	data, err := c.readBody()
	if err == nil && inCBOR {
		kind = types.ApplyYAMLPatchType
		data, err = applyFromCBOR(data)
	}
	if err == nil {
		err = api.CheckPatch(opts, kind)
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.answered.record.Patch(data)
	gvk := c.kind.GVK
	if part := c.part(); part != nil && part.Scale != nil {
		gvk = part.GVK
	}
	p := api.Patch{Type: kind, Data: data, Validation: opts.FieldValidation, Warn: c.warn, Decode: func(doc []byte, into runtime.Object) ([]error, error) {
		return c.unmarshal(doc, into, gvk, opts.FieldValidation)
	}}
	result, err := h.API.Patch(c.r.Context(), c.request(), p, opts)
	status := http.StatusOK
	if result.Created {
		status = http.StatusCreated
	}
	c.answer(h, f, result, err, status)
}

func (h *Handler) delete(c *call) {
	f, ok := c.negotiate()
	if !ok {
		return
	}
	opts, err := c.deleteOptions()
	if err != nil {
		c.fail(err)
		return
	}
	c.warnOrphaning(opts)
	result, err := h.API.Delete(c.r.Context(), c.request(), opts)
	status, orphan := http.StatusOK, api.OrphanDependents(opts)
	switch {
	case err != nil:
	case result.Removed && !c.kind.ReturnDeleted:
		result = api.Result{Object: api.Gone(c.request(), result.Object), Revision: result.Revision}
	case !result.Removed && orphan != nil && !*orphan:
		status = http.StatusAccepted
	}
	c.answer(h, f, result, err, status)
}

func (h *Handler) deleteCollection(c *call) {
	f, list, ok := agree(c, metav1.Convert_url_Values_To_v1_ListOptions)
	if !ok {
		return
	}
	opts, err := c.deleteOptions()
	if err != nil {
		c.fail(err)
		return
	}
	found, err := h.API.DeleteCollection(c.r.Context(), c.request(), opts, list)
	if err != nil {
		c.fail(err)
		return
	}
	c.warnOrphaning(opts)
	c.answerList(h, f, found)
}

// warnOrphaning tells who deletes something that what it owns stays, unless they have said what becomes of that.
func (c *call) warnOrphaning(opts metav1.DeleteOptions) {
	if opts.PropagationPolicy == nil && api.OrphanDependents(opts) == nil && api.CheckDelete(opts) == nil {
		c.warn(c.kind.Orphaning)
	}
}

// deleteOptions come in the body or, without one, in the query.
func (c *call) deleteOptions() (metav1.DeleteOptions, error) {
	var opts metav1.DeleteOptions
	data, err := c.readBody()
	if err != nil {
		return opts, err
	}
	if len(data) == 0 {
		return opts, readQuery(c.r, &opts, metav1.Convert_url_Values_To_v1_DeleteOptions)
	}
	if err := c.decodeOptions(data, &opts, "DeleteOptions"); err != nil {
		return opts, err
	}
	told := opts
	c.sent(&told, internalOptions) // so upstream tells them
	return opts, nil
}

// readQuery reads options from the query by their generated conversion.
func readQuery[T any](r *http.Request, into *T, convert func(*url.Values, *T, conversionScope) error) error {
	query := r.URL.Query()
	if err := convert(&query, into, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// unsupportedMedia is upstream's answer to a body in a language that is not spoken here.
func unsupportedMedia(accepted ...string) error {
	err := apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "", schema.GroupResource{}, "", "", 0, false)
	err.ErrStatus.Reason = metav1.StatusReasonUnsupportedMediaType
	err.ErrStatus.Message = "the body of the request was in an unknown format - accepted media types include: " + strings.Join(accepted, ", ")
	err.ErrStatus.Details = nil
	return err
}
