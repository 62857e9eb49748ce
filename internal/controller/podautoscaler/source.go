package podautoscaler

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	custom "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	resources "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// Source reads from the servers of the metrics APIs. It is safe for concurrent use, and each answer is bounded in time and size.
type Source interface {
	// Serves says whether a version of an API is registered.
	Serves(gv schema.GroupVersion) bool
	// Read reads the JSON that the server of a registered version has at a path, which begins below the version, into a value. resource is the path's, as an error names it:
	// an API status error when the server, or the lack of one, says so.
	Read(gv schema.GroupVersion, resource, path string, query url.Values, into any) error
}

// source is a Source by what is asked of it.
type source struct{ Source }

// read answers as a server without the API would when nobody serves it.
func (s source) read(gv schema.GroupVersion, resource, path string, query url.Values, into any) error {
	if s.Source == nil || !s.Serves(gv) {
		return apierrors.NewGenericServerResponse(http.StatusNotFound, "get", schema.GroupResource{Group: gv.Group, Resource: resource}, "", "", 0, true)
	}
	return s.Read(gv, resource, path, query, into)
}

// usage is what pods, or one container of each, use of a resource.
func (s source) usage(resource corev1.ResourceName, namespace string, selector labels.Selector, container string) (samples, error) {
	var list resources.PodMetricsList
	query := url.Values{"labelSelector": {selector.String()}}
	if err := s.read(resources.SchemeGroupVersion, "pods", "/namespaces/"+url.PathEscape(namespace)+"/pods", query, &list); err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from resource metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no metrics returned from resource metrics API")
	}
	all := samples{}
	for i := range list.Items {
		m := &list.Items[i]
		if n, ok := used(m, resource, container); ok {
			all[m.Name] = sample{n, m.Timestamp.Time, m.Window.Duration}
		}
	}
	return all, nil
}

// used is the sum over a pod's containers, or one of them; false: something is missing.
func used(m *resources.PodMetrics, resource corev1.ResourceName, container string) (sum int64, ok bool) {
	for _, c := range m.Containers {
		if container != "" && c.Name != container {
			continue
		}
		q, found := c.Usage[resource]
		if !found {
			return 0, false
		}
		sum, ok = sum+q.MilliValue(), true
	}
	return sum, ok
}

// usualWindow is that of custom metrics which name none.
const usualWindow = time.Minute

// ofPods is a metric of each pod.
func (s source) ofPods(metric, namespace string, selector, narrowed labels.Selector) (samples, error) {
	list, err := s.custom("/namespaces/"+url.PathEscape(namespace)+"/pods/*/"+url.PathEscape(metric), "pods", url.Values{
		"labelSelector": {selector.String()}, "metricLabelSelector": {narrowed.String()},
	})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no metrics returned from custom metrics API")
	}
	all := samples{}
	for i := range list.Items {
		m, window := &list.Items[i], usualWindow
		if m.WindowSeconds != nil {
			window = time.Duration(*m.WindowSeconds) * time.Second
		}
		all[m.DescribedObject.Name] = sample{m.Value.MilliValue(), m.Timestamp.Time, window}
	}
	return all, nil
}

// ofObject is a metric of an object, in thousandths. A Namespace is always the autoscaler's own.
func (s source) ofObject(metric, namespace string, about autoscalingv2.CrossVersionObjectReference, resource schema.GroupResource, narrowed labels.Selector) (int64, error) {
	path := "/namespaces/" + url.PathEscape(namespace)
	if gvk := schema.FromAPIVersionAndKind(about.APIVersion, about.Kind); gvk.Kind == "Namespace" && gvk.Group == "" {
		path += "/metrics/" + url.PathEscape(metric)
	} else {
		path += "/" + url.PathEscape(resource.String()) + "/" + url.PathEscape(about.Name) + "/" + url.PathEscape(metric)
	}
	list, err := s.custom(path, resource.String(), url.Values{"metricLabelSelector": {narrowed.String()}})
	switch {
	case err != nil:
		return 0, err
	case len(list.Items) != 1:
		return 0, fmt.Errorf("unable to fetch metrics from custom metrics API: the custom metrics API server returned %v results when we asked for exactly one", len(list.Items))
	}
	return list.Items[0].Value.MilliValue(), nil
}

// custom reads from the newest version of the custom metrics API that is served; the older one has the same form but for the metric's name.
func (s source) custom(path, resource string, query url.Values) (*custom.MetricValueList, error) {
	for _, version := range []string{"v1beta2", "v1beta1"} {
		gv := schema.GroupVersion{Group: custom.GroupName, Version: version}
		if s.Source == nil || !s.Serves(gv) {
			continue
		}
		var list struct {
			Items []struct {
				custom.MetricValue
				WindowBefore *int64 `json:"window,omitempty"` // in v1beta1
			} `json:"items"`
		}
		if err := s.Read(gv, resource, path, query, &list); err != nil {
			return nil, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
		}
		all := &custom.MetricValueList{}
		for _, item := range list.Items {
			if item.WindowSeconds == nil {
				item.WindowSeconds = item.WindowBefore
			}
			all.Items = append(all.Items, item.MetricValue)
		}
		return all, nil
	}
	return nil, errors.New("unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered")
}

// outside is the sum of an external metric's values, in thousandths.
func (s source) outside(metric, namespace string, narrowed labels.Selector) (int64, error) {
	var list external.ExternalMetricValueList
	path := "/namespaces/" + url.PathEscape(namespace) + "/" + url.PathEscape(metric)
	if err := s.read(external.SchemeGroupVersion, metric, path, url.Values{"labelSelector": {narrowed.String()}}, &list); err != nil {
		return 0, fmt.Errorf("unable to fetch metrics from external metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return 0, errors.New("no metrics returned from external metrics API")
	}
	var sum int64
	for _, m := range list.Items {
		n := m.Value.MilliValue()
		if n > 0 && sum > math.MaxInt64-n {
			return math.MaxInt64, nil
		}
		sum += n
	}
	return sum, nil
}
