package wire

import (
	"encoding/binary"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/api"
)

const (
	firstPiece = 4 << 10       // bytes that a new piece has room for
	keptPiece  = 2 * listPiece // bytes of the largest piece whose memory is used again
)

// outlet gathers the events of one answer, so that all that is there goes out in one piece: each write and each flush is a walk through HTTP/2 and TLS.
// It has memory only while something waits in it. One goroutine uses it.
type outlet struct {
	h     *Handler
	w     http.ResponseWriter
	to    *http.ResponseController
	piece *[]byte // nil: nothing waits
	begun bool    // the answer's header has been flushed
}

func (h *Handler) outlet(w http.ResponseWriter) *outlet {
	return &outlet{h: h, w: w, to: http.NewResponseController(w)}
}

// open returns what waits, for its user to append to and to put back.
func (o *outlet) open() []byte {
	if o.piece == nil {
		o.piece, _ = o.h.pieces.Get().(*[]byte)
	}
	if o.piece == nil {
		piece := make([]byte, 0, firstPiece)
		o.piece = &piece
	}
	return *o.piece
}

// put keeps what open returned and its user has made longer, and sends it when it is long enough.
func (o *outlet) put(piece []byte) error {
	*o.piece = piece
	if len(piece) < listPiece {
		return nil
	}
	return o.push()
}

func (o *outlet) waiting() bool { return o.piece != nil && len(*o.piece) > 0 }

// push writes what waits.
func (o *outlet) push() error {
	if o.piece == nil {
		return nil
	}
	if len(*o.piece) > 0 {
		if _, err := o.w.Write(*o.piece); err != nil {
			o.piece = nil // HTTP/2 may still be writing what it has given up on: nobody else may put their own there
			return err
		}
	}
	o.close()
	return nil
}

// flush sends what waits, and the answer's header when nothing has been sent yet.
func (o *outlet) flush() error {
	if o.begun && !o.waiting() {
		return nil
	}
	o.begun = true
	all := func() error {
		if err := o.push(); err != nil {
			return err
		}
		return o.to.Flush()
	}
	if r, ok := o.w.(*recorder); ok {
		return r.together(all)
	}
	return all()
}

// close gives the memory back; what waits is lost.
func (o *outlet) close() {
	if o.piece == nil {
		return
	}
	if *o.piece = (*o.piece)[:0]; cap(*o.piece) <= keptPiece {
		o.h.pieces.Put(o.piece)
	}
	o.piece = nil
}

// eventProtobuf appends one event: its length in four bytes, and a WatchEvent around the stored message in its envelope.
func (x *codec) eventProtobuf(dst []byte, e api.Event) ([]byte, error) {
	const typeTag, objectTag, rawTag = 0x0a, 0x12, 0x0a
	message, err := x.message(e.Item, nil)
	if err != nil {
		return dst, err
	}
	var room [24]byte
	version := api.AppendVersion(room[:0], e.Revision)
	size := len(message) + len(version)
	object := len(x.envelope.opening) + uvarint(size) + size + len(x.envelope.closing)
	extension := 1 + uvarint(object) + object
	whole := 2 + len(e.Type) + 1 + uvarint(extension) + extension
	dst = slices.Grow(dst, 4+whole)
	dst = binary.BigEndian.AppendUint32(dst, uint32(whole))
	dst = append(append(dst, typeTag, byte(len(e.Type))), e.Type...)
	dst = binary.AppendUvarint(append(dst, objectTag), uint64(extension))
	dst = binary.AppendUvarint(append(dst, rawTag), uint64(object))
	dst = binary.AppendUvarint(append(dst, x.envelope.opening...), uint64(size))
	dst = append(append(dst, message...), version...)
	return append(dst, x.envelope.closing...), nil
}

// uvarint is how many bytes a length takes.
func uvarint(n int) int {
	bytes := 1
	for ; n >= 0x80; n >>= 7 {
		bytes++
	}
	return bytes
}

// eventJSON appends one event as a line.
func (x *codec) eventJSON(dst []byte, e api.Event) ([]byte, error) {
	var doc []byte
	var err error
	if e.Revision == e.Item.Revision && x.kind.View == nil { // others will ask for it as well
		if doc, err = x.cached(e.Item); err != nil {
			return dst, err
		}
	}
	out, err := x.alone(openLine(dst, e.Type), doc, e.Item, e.Revision)
	if err != nil {
		return dst, err
	}
	return append(out, "}\n"...), nil
}

func openLine(dst []byte, kind watch.EventType) []byte {
	dst = append(append(dst, `{"type":"`...), kind...)
	return append(dst, `","object":`...)
}

// frame appends one event whose object is encoded already.
func frame(dst []byte, media string, kind watch.EventType, object []byte) ([]byte, error) {
	switch media {
	case mediaProtobuf:
		event := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: object}}
		data, err := event.Marshal()
		return append(binary.BigEndian.AppendUint32(dst, uint32(len(data))), data...), err
	case mediaCBOR:
		data, err := frameCBOR(string(kind), object)
		return append(dst, data...), err
	}
	if n := len(object); n > 0 && object[n-1] == '\n' {
		object = object[:n-1]
	}
	return append(append(openLine(dst, kind), object...), "}\n"...), nil
}
