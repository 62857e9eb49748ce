package wire

import (
	"encoding/json"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// WhyPath is where the API says why a pod has the node that it has, or none, as JSON. The query names the pod by pod and, unless it is default,
// namespace. Who may get the pod may ask; the answer names all nodes.
const WhyPath = "/floe.dev/v1/why"

func (h *Handler) serveWhy(c *call) {
	query := c.r.URL.Query()
	namespace, pod := query.Get("namespace"), query.Get("pod")
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	switch {
	case pod == "":
		c.fail(apierrors.NewBadRequest("the query must name a pod"))
		return
	case !h.may(c, auth.Attributes{Verb: "get", Version: "v1", Resource: "pods", Namespace: namespace, Name: pod}):
		return
	}
	answer, err := h.Why(c.r.Context(), namespace, pod)
	if err != nil {
		c.fail(err)
		return
	}
	data, err := json.Marshal(answer)
	if err != nil {
		c.fail(apierrors.NewInternalError(err))
		return
	}
	send(c.w, "application/json", http.StatusOK, data)
}
