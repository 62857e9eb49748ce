package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Handler is the agent's own API: /healthz, /pods, and /containerLogs/NAMESPACE/POD/CONTAINER, as kubelets serve them.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /pods", a.servePods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", a.serveLog)
	return mux
}

func (a *Agent) servePods(w http.ResponseWriter, _ *http.Request) {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	a.mu.Lock()
	for _, worker := range a.workers {
		pod, _ := worker.wanted()
		list.Items = append(list.Items, *pod)
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(list); err != nil {
		a.Log.Debug("a list of pods was not delivered", "err", err)
	}
}

// podNamed finds a pod of this node; nil when it is not here.
func (a *Agent) podNamed(namespace, name string) *corev1.Pod {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, worker := range a.workers {
		if pod, _ := worker.wanted(); pod.Namespace == namespace && pod.Name == name {
			return pod
		}
	}
	return nil
}

func (a *Agent) serveLog(w http.ResponseWriter, r *http.Request) {
	namespace, name, wanted := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	opts, previous, err := parseLogOptions(r.URL.Query(), a.Clock.Now())
	if err != nil {
		http.Error(w, fmt.Sprintf(`{"message": %q}`, err), http.StatusUnprocessableEntity)
		return
	}
	pod := a.podNamed(namespace, name)
	if pod == nil {
		http.Error(w, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
		return
	}
	c, err := a.logOf(r, pod, wanted, previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/plain")
	file := filepath.Join(a.logDir(pod), wanted, strconv.FormatUint(uint64(c.attempt), 10)+".log")
	alive := func() bool {
		obs, err := a.observe(r.Context(), pod.UID)
		if err != nil {
			return false
		}
		for _, o := range obs.containers {
			if o.id == c.id {
				return o.state != exited
			}
		}
		return false
	}
	err = readLog(r.Context(), file, opts, w, func() { _ = out.Flush() }, alive)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, fmt.Sprintf("the log of container %q in pod %q is not there", wanted, name), http.StatusNotFound)
	case err != nil:
		a.Log.Debug("a log was not delivered whole", "file", file, "err", err)
	}
}

// logOf finds the attempt whose log is asked for, and says in kubelets' words why there is none.
func (a *Agent) logOf(r *http.Request, pod *corev1.Pod, wanted string, previous bool) (*container, error) {
	known := false
	for _, c := range containersOf(pod) {
		known = known || c.Name == wanted
	}
	if !known {
		return nil, fmt.Errorf("container %q in pod %q is not available", wanted, pod.Name)
	}
	obs, err := a.observe(r.Context(), pod.UID)
	if err != nil {
		return nil, err
	}
	last, before := obs.newest(wanted)
	if previous {
		if last != nil && last.state == exited && isPrevious(pod, wanted, last.id) {
			return last, nil
		}
		if before == nil {
			return nil, fmt.Errorf("previous terminated container %q in pod %q not found", wanted, pod.Name)
		}
		return before, nil
	}
	if last != nil {
		return last, nil
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := s.State.Waiting; s.Name == wanted && w != nil {
			switch w.Reason {
			case reasonPull, reasonPullBackOff:
				return nil, fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", wanted, pod.Name)
			case "":
			default:
				return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", wanted, pod.Name, w.Reason)
			}
		}
	}
	return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", wanted, pod.Name, reasonCreating)
}

// isPrevious says that the pod's status shows this attempt as the one before: while a container waits to begin again, that is its last.
func isPrevious(pod *corev1.Pod, name, id string) bool {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := s.LastTerminationState.Terminated; s.Name == name && t != nil && t.ContainerID == runtimeScheme+id {
			return true
		}
	}
	return false
}

// parseLogOptions reads the query of a log.
func parseLogOptions(q url.Values, now time.Time) (opts logOptions, previous bool, err error) {
	opts = logOptions{tail: -1, limit: -1}
	number := func(name string, least int64, into *int64) {
		text := q.Get(name)
		if text == "" || err != nil {
			return
		}
		n, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil || n < least {
			err = fmt.Errorf("%s: invalid value %q: must be a number of at least %d", name, text, least)
			return
		}
		*into = n
	}
	truth := func(name string) bool {
		v, ok := q[name]
		return ok && (v[0] == "" || v[0] == "1" || strings.EqualFold(v[0], "true"))
	}
	seconds := int64(0)
	number("tailLines", 0, &opts.tail)
	number("limitBytes", 1, &opts.limit)
	number("sinceSeconds", 1, &seconds)
	if seconds > 0 {
		opts.since = now.Add(-time.Duration(seconds) * time.Second)
	}
	if t := q.Get("sinceTime"); t != "" && err == nil {
		if opts.since, err = time.Parse(time.RFC3339, t); err != nil {
			err = fmt.Errorf("sinceTime: %w", err)
		}
	}
	opts.follow, opts.timestamps = truth("follow"), truth("timestamps")
	return opts, truth("previous"), err
}
