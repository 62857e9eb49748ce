package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// annotationPrefix begins the annotations by which a pod says itself how it behaves: pull, start, ready, init, run, stop, exit-code, outcome, failures.
const annotationPrefix = "simulate.floe.dev/"

// behaviour is how a pod behaves: as its rule says, and over that its own annotations. What an annotation says that cannot be read is an error; the rest counts.
func (p *Profile) behaviour(pod *corev1.Pod, node *corev1.Node) (podlife.Behaviour, error) {
	var b podlife.Behaviour
	for i := range p.Pods {
		if p.Pods[i].Match.selects(pod, node) {
			b = p.Pods[i].Behaviour
			break
		}
	}
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(pod.Annotations)) {
		name, ok := strings.CutPrefix(key, annotationPrefix)
		if !ok {
			continue
		}
		if err := set(&b, name, pod.Annotations[key]); err != nil {
			wrong = append(wrong, fmt.Sprintf("annotation %s: %v", key, err))
		}
	}
	if len(wrong) > 0 {
		return b, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return b, nil
}

// set changes one field of a behaviour by its name in annotations.
func set(b *podlife.Behaviour, name, text string) error {
	ranges := map[string]*podlife.Range{"pull": &b.Pull, "start": &b.Start, "ready": &b.Ready, "init": &b.Init, "stop": &b.Stop}
	if r := ranges[name]; r != nil {
		parsed, err := podlife.ParseRange(text)
		if err == nil {
			*r = parsed
		}
		return err
	}
	switch name {
	case "run":
		parsed, err := podlife.ParseRange(text)
		if err == nil {
			b.Run = &parsed
		}
		return err
	case "exit-code", "failures":
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return fmt.Errorf("%q: must be a number from 0 to 255", text)
		}
		if name == "failures" {
			b.Failures = int32(n)
		} else {
			b.ExitCode = int32(n)
		}
	case "outcome":
		if !podlife.Outcome(text).Known() {
			return fmt.Errorf("%q: must be one of %v", text, podlife.Outcomes())
		}
		b.Outcome = podlife.Outcome(text)
	default:
		return fmt.Errorf("there is no such setting")
	}
	return nil
}

func (m *Match) selects(pod *corev1.Pod, node *corev1.Node) bool {
	if len(m.Namespaces) > 0 && !slices.Contains(m.Namespaces, pod.Namespace) || !has(pod.Labels, m.Labels) {
		return false
	}
	if len(m.NodeLabels) > 0 && (node == nil || !has(node.Labels, m.NodeLabels)) {
		return false
	}
	containers := pod.Spec.Containers
	if len(m.Images) > 0 && !slices.ContainsFunc(containers, func(c corev1.Container) bool { return slices.Contains(m.Images, c.Image) }) {
		return false
	}
	if len(m.Commands) > 0 && !slices.ContainsFunc(containers, func(c corev1.Container) bool { return slices.Contains(m.Commands, command(&c)) }) {
		return false
	}
	if m.Owner == "" {
		return true
	}
	for _, o := range pod.OwnerReferences {
		if o.Kind == m.Owner {
			return true
		}
	}
	return false
}

// command is what a container runs in place of its image's, with blanks between.
func command(c *corev1.Container) string {
	return strings.Join(slices.Concat(c.Command, c.Args), " ")
}

func has(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
