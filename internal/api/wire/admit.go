package wire

import (
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// mayConnect asks admission about a connection, whose user has been authorized, and answers when it is refused.
func (h *Handler) mayConnect(c *call, part *kinds.Subresource) bool {
	options := connectOptions(part.GVK.Kind, c.r.URL.Query(), c.below("/"+part.Name))
	if err := h.API.Connect(c.r.Context(), c.request(), part.GVK, options); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// connectOptions are what a connection's query and the path after its subresource say, in the type of that name; nil when there is none.
func connectOptions(kind string, query url.Values, path string) runtime.Object {
	is := func(name string) (set bool) {
		if values, given := query[name]; given {
			_ = runtime.Convert_Slice_string_To_bool(&values, &set, nil) // it never fails
		}
		return set
	}
	switch kind {
	case "PodExecOptions":
		return &corev1.PodExecOptions{
			Stdin: is("stdin"), Stdout: is("stdout"), Stderr: is("stderr"), TTY: is("tty"), Container: query.Get("container"), Command: query["command"],
		}
	case "PodAttachOptions":
		return &corev1.PodAttachOptions{
			Stdin: is("stdin"), Stdout: is("stdout"), Stderr: is("stderr"), TTY: is("tty"), Container: query.Get("container"),
		}
	case "PodPortForwardOptions":
		options := &corev1.PodPortForwardOptions{}
		for _, text := range query["ports"] {
			if port, err := strconv.ParseInt(text, 10, 32); err == nil { // what is no number is for the node to refuse
				options.Ports = append(options.Ports, int32(port))
			}
		}
		return options
	case "PodProxyOptions":
		return &corev1.PodProxyOptions{Path: path}
	case "ServiceProxyOptions":
		return &corev1.ServiceProxyOptions{Path: path}
	case "NodeProxyOptions":
		return &corev1.NodeProxyOptions{Path: path}
	}
	return nil
}
