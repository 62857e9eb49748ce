package bench

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// maxFrame bounds one watch event; an object may have 1.5 MiB and JSON makes that a few times larger.
const maxFrame = 16 << 20

// frameReader cuts a watch's stream into events: lines of JSON, or protobuf behind four bytes of length, highest first.
type frameReader struct {
	lines    *bufio.Scanner // nil for protobuf
	protobuf *bufio.Reader
	buf      []byte
}

func newFrameReader(r io.Reader, mediaType string) *frameReader {
	if mediaType == mediaProtobuf {
		return &frameReader{protobuf: bufio.NewReaderSize(r, 32<<10)}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 32<<10), maxFrame)
	return &frameReader{lines: lines}
}

// next returns the next event's bytes, valid until the next call; io.EOF at a clean end.
func (f *frameReader) next() ([]byte, error) {
	if f.lines != nil {
		if f.lines.Scan() {
			return f.lines.Bytes(), nil
		}
		if err := f.lines.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	var size [4]byte
	if _, err := io.ReadFull(f.protobuf, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: a watch event of %d bytes", errGarbage, n)
	}
	if int(n) > cap(f.buf) {
		f.buf = make([]byte, n)
	}
	f.buf = f.buf[:n]
	if _, err := io.ReadFull(f.protobuf, f.buf); err != nil {
		return nil, readError(err)
	}
	return f.buf, nil
}

// podEvent is what a pod's life is followed by.
type podEvent struct {
	kind  string // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
	name  string
	node  string // "" until bound
	phase corev1.PodPhase
}

// readPodEvent decodes one event of a watch on pods.
func readPodEvent(frame []byte, mediaType string) (podEvent, error) {
	var event metav1.WatchEvent
	var pod corev1.Pod
	read := func(raw []byte, into unmarshaler) error { return json.Unmarshal(raw, into) }
	if mediaType == mediaProtobuf {
		read = unwrap
	}
	decode := read
	if mediaType == mediaProtobuf { // the frame itself has no envelope, only the object in it
		decode = func(raw []byte, into unmarshaler) error { return into.Unmarshal(raw) }
	}
	if err := decode(frame, &event); err != nil {
		return podEvent{}, fmt.Errorf("%w: watch event: %w", errGarbage, err)
	}
	if event.Type == "ERROR" {
		var status metav1.Status
		if err := read(event.Object.Raw, &status); err != nil {
			return podEvent{}, fmt.Errorf("%w: error in a watch: %w", errGarbage, err)
		}
		return podEvent{}, &statusError{code: int(status.Code), message: status.Message}
	}
	if err := read(event.Object.Raw, &pod); err != nil {
		return podEvent{}, fmt.Errorf("%w: pod in a watch event: %w", errGarbage, err)
	}
	return podEvent{kind: event.Type, name: pod.Name, node: pod.Spec.NodeName, phase: pod.Status.Phase}, nil
}

// unmarshaler is a generated API type.
type unmarshaler interface{ Unmarshal(raw []byte) error }

// unwrap takes an object in protobuf out of its envelope.
func unwrap(raw []byte, into unmarshaler) error {
	if len(raw) < len(protobufMagic) || string(raw[:len(protobufMagic)]) != protobufMagic {
		return fmt.Errorf("no protobuf object: %.20q", raw)
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(raw[len(protobufMagic):]); err != nil {
		return err
	}
	return into.Unmarshal(envelope.Raw)
}
