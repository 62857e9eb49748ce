package remote

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/store"
)

// maxFrame bounds one event. An object is at most 1.5 MiB in the log.
const maxFrame = 4 << 20

// errLie: what the server sent is not what a server sends. It comes with what was found.
var errLie = errors.New("the server's watch makes no sense")

// event is one WatchEvent. Its bytes are its own.
type event struct {
	kind   watch.EventType
	object envelope
}

// readEvent reads the next frame: a length of four bytes, and a WatchEvent. It returns io.EOF when the stream has ended between frames.
func readEvent(r *bufio.Reader) (event, error) {
	head, err := r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return event{}, err
	}
	size := binary.BigEndian.Uint32(head)
	if size == 0 || size > maxFrame {
		return event{}, fmt.Errorf("%w: a frame of %d bytes, at most %d", errLie, size, maxFrame)
	}
	if _, err := r.Discard(4); err != nil {
		return event{}, err
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(r, frame); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return event{}, err
	}
	return parseEvent(frame)
}

// parseEvent reads metav1.WatchEvent without copying the object.
func parseEvent(frame []byte) (event, error) {
	var e event
	var object []byte
	ok := eachField(frame, func(number protowire.Number, value []byte) bool {
		switch number {
		case 1:
			e.kind = watch.EventType(value)
		case 2: // runtime.RawExtension
			return eachField(value, func(number protowire.Number, value []byte) bool {
				if number == 1 {
					object = value
				}
				return true
			})
		}
		return true
	})
	if !ok {
		return event{}, fmt.Errorf("%w: a frame that is no event", errLie)
	}
	var err error
	if e.object, err = parseEnvelope(object); err != nil {
		return event{}, fmt.Errorf("an event of type %q: %w", e.kind, err)
	}
	return e, nil
}

// envelope is an object in Kubernetes' protobuf encoding.
type envelope struct {
	whole               []byte // as it came, and as tables hold it
	apiVersion, typ     string
	message             []byte
	namespace, name     string // of its metadata; "" when it has none
	resourceVersionText string
}

// parseEnvelope reads what an object is, and which one. The message beyond its metadata is not looked at.
func parseEnvelope(data []byte) (envelope, error) {
	e := envelope{whole: data}
	if len(data) < len(api.Magic) || string(data[:len(api.Magic)]) != api.Magic {
		return e, fmt.Errorf("%w: %d bytes that are no object in protobuf", errLie, len(data))
	}
	ok := eachField(data[len(api.Magic):], func(number protowire.Number, value []byte) bool {
		switch number {
		case 1: // runtime.TypeMeta
			return eachField(value, func(number protowire.Number, value []byte) bool {
				switch number {
				case 1:
					e.apiVersion = string(value)
				case 2:
					e.typ = string(value)
				}
				return true
			})
		case 2:
			e.message = value
		}
		return true
	})
	if !ok {
		return e, fmt.Errorf("%w: a damaged envelope", errLie)
	}
	return e, nil
}

// meta reads the object's name, namespace and resourceVersion. Metadata may stand in several fields, which add up.
func (e *envelope) meta() error {
	ok := eachField(e.message, func(number protowire.Number, value []byte) bool {
		if number != 1 {
			return true
		}
		return eachField(value, func(number protowire.Number, value []byte) bool {
			switch number {
			case 1:
				e.name = string(value)
			case 3:
				e.namespace = string(value)
			case 6:
				e.resourceVersionText = string(value)
			}
			return true
		})
	})
	if !ok {
		return fmt.Errorf("%w: a damaged %s", errLie, e.typ)
	}
	return nil
}

// revision is the object's resourceVersion.
func (e *envelope) revision() (store.Revision, error) {
	rev, err := strconv.ParseUint(e.resourceVersionText, 10, 64)
	if err != nil || rev == 0 {
		return 0, fmt.Errorf("%w: %s %s/%s has the resourceVersion %q", errLie, e.typ, e.namespace, e.name, e.resourceVersionText)
	}
	return store.Revision(rev), nil
}

// status is the error that an envelope holds.
func (e *envelope) status() error {
	var s metav1.Status
	if e.typ != "Status" || s.Unmarshal(e.message) != nil {
		return fmt.Errorf("%w: an error that is no Status but %s", errLie, e.typ)
	}
	if s.Message == "" {
		s.Message = "the server ended the watch without a word"
	}
	return &apierrors.StatusError{ErrStatus: s}
}

// validName says whether a part of a key may stand in one.
func validName(s string) bool { return s != "" && !strings.ContainsAny(s, "/\x00") }

// eachField calls each with every field of a message that holds bytes, until it returns false. It returns false then, and for a damaged message.
func eachField(msg []byte, each func(protowire.Number, []byte) bool) bool {
	for len(msg) > 0 {
		number, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return false
		}
		msg = msg[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, msg); n < 0 {
				return false
			}
			msg = msg[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(msg)
		if n < 0 {
			return false
		}
		msg = msg[n:]
		if !each(number, value) {
			return false
		}
	}
	return true
}
