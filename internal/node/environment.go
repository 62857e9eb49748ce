package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
)

// environment is what a container finds in its environment: all of envFrom, then env, in which a value may use what stands before it.
func (a *Agent) environment(ctx context.Context, in input, c *corev1.Container) ([]corev1.EnvVar, error) {
	var out []corev1.EnvVar
	set := func(name, value string) {
		if i := slices.IndexFunc(out, func(e corev1.EnvVar) bool { return e.Name == name }); i >= 0 {
			out[i].Value = value
			return
		}
		out = append(out, corev1.EnvVar{Name: name, Value: value})
	}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			continue
		}
		data, err := a.configMap(ctx, in.pod, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			set(from.Prefix+key, data[key])
		}
	}
	for _, e := range c.Env {
		value := expand(e.Value, out)
		if e.ValueFrom != nil {
			v, ok, err := a.valueFrom(ctx, in, c, e.ValueFrom)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			value = v
		}
		set(e.Name, value)
	}
	return out, nil
}

// configMap returns the data of a pod's config map; nil when it is not there and need not be.
func (a *Agent) configMap(ctx context.Context, pod *corev1.Pod, name string, optional *bool) (map[string]string, error) {
	obj, err := a.Client.Get(ctx, corev1.SchemeGroupVersion.WithResource("configmaps"), pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if optional != nil && *optional {
			return nil, nil
		}
		return nil, fmt.Errorf("configmap %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.ConfigMap).Data, nil
}

// valueFrom looks a value up; ok false when it is optional and not there.
func (a *Agent) valueFrom(ctx context.Context, in input, c *corev1.Container, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = a.podField(in, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = resourceField(in.pod, c, from.ResourceFieldRef)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := a.configMap(ctx, in.pod, ref.Name, ref.Optional)
		if err != nil {
			return "", false, err
		}
		value, ok := data[ref.Key]
		if !ok && (ref.Optional == nil || !*ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, in.pod.Namespace, ref.Name)
		}
		return value, ok, nil
	}
	return "", false, fmt.Errorf("an environment variable names a source that this release does not read")
}

func (a *Agent) podField(in input, path string) (string, error) {
	pod := in.pod
	if name, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[name], nil
	}
	if name, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[name], nil
	}
	var status corev1.PodStatus
	setAddresses(in, &status)
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return status.HostIP, nil
	case "status.podIP":
		return status.PodIP, nil
	case "status.hostIPs":
		var list []string
		for _, ip := range status.HostIPs {
			list = append(list, ip.IP)
		}
		return strings.Join(list, ","), nil
	case "status.podIPs":
		var list []string
		for _, ip := range status.PodIPs {
			list = append(list, ip.IP)
		}
		return strings.Join(list, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %s", path)
}

// subscript reads name from path['name'].
func subscript(path, field string) (string, bool) {
	rest, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

// resourceField is a container's request or limit in units of the divisor, rounded up; an absent limit is all that the node has.
func resourceField(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" {
		found := false
		for _, other := range containersOf(pod) {
			if other.Name == ref.ContainerName {
				c, found = other, true
			}
		}
		if !found {
			return "", fmt.Errorf("container %s not found", ref.ContainerName)
		}
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Requests
	if kind == "limits" {
		list = c.Resources.Limits
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok && kind == "limits" {
		q = capacity()[corev1.ResourceName(name)]
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	switch name {
	case "cpu":
		return strconv.FormatInt(ceil(q.MilliValue(), divisor.MilliValue()), 10), nil
	case "memory", "ephemeral-storage":
		return strconv.FormatInt(ceil(q.Value(), divisor.Value()), 10), nil
	}
	return "", fmt.Errorf("unsupported container resource : %s", ref.Resource)
}

func ceil(n, d int64) int64 {
	if d <= 0 {
		return n
	}
	return (n + d - 1) / d
}

// expandAll expands every word.
func expandAll(words []string, env []corev1.EnvVar) []string {
	var out []string
	for _, w := range words {
		out = append(out, expand(w, env))
	}
	return out
}

// expand replaces $(NAME) by the variable's value. $$ is one $, and so $$(NAME) is left as $(NAME); a name that is not known stays as it is.
func expand(text string, env []corev1.EnvVar) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch end := strings.IndexByte(text[i:], ')'); {
		case text[i+1] == '$':
			out.WriteByte('$')
			i++
		case text[i+1] == '(' && end > 0:
			name := text[i+2 : i+end]
			if at := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name }); at >= 0 {
				out.WriteString(env[at].Value)
			} else {
				out.WriteString(text[i : i+end+1])
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
