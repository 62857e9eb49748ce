package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// frameOf writes a watch event as a server does in protobuf: the pod in its envelope, the event around it without one.
func frameOf(t *testing.T, kind string, pod *corev1.Pod) string {
	t.Helper()
	raw, err := encode(mediaProtobuf, corev1.SchemeGroupVersion, pod)
	if err != nil {
		t.Fatal(err)
	}
	event, err := (&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: raw}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(event)))) + string(event)
}

func TestWatchEventsAreRead(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	want := podEvent{kind: "MODIFIED", name: "p", node: "n", phase: corev1.PodRunning}
	for media, stream := range map[string]string{
		mediaProtobuf: frameOf(t, "MODIFIED", pod),
		mediaJSON:     `{"type":"MODIFIED","object":{"metadata":{"name":"p"},"spec":{"nodeName":"n"},"status":{"phase":"Running"}}}` + "\n",
	} {
		frames := newFrameReader(strings.NewReader(stream+stream), media)
		for range 2 {
			frame, err := frames.next()
			if err != nil {
				t.Fatalf("%s: %v", media, err)
			}
			if got, err := readPodEvent(frame, media); err != nil || got != want {
				t.Errorf("%s: %+v, %v; want %+v", media, got, err, want)
			}
		}
		if _, err := frames.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: error %v at the end, want EOF", media, err)
		}
	}
}

func TestDamagedWatchStreamsAreErrors(t *testing.T) {
	whole := frameOf(t, "ADDED", &corev1.Pod{})
	for name, stream := range map[string]string{
		"cut in a frame": whole[:len(whole)-3],
		"huge frame":     "\xff\xff\xff\xff",
	} {
		if frame, err := newFrameReader(strings.NewReader(stream), mediaProtobuf).next(); err == nil {
			t.Errorf("%s: frame %q, want an error", name, frame)
		}
	}
	for media, frame := range map[string]string{mediaProtobuf: "k8s\x00\xff\xff", mediaJSON: "<html>"} {
		if event, err := readPodEvent([]byte(frame), media); !errors.Is(err, errGarbage) {
			t.Errorf("%s: %+v, %v; want garbage", media, event, err)
		}
	}
}
