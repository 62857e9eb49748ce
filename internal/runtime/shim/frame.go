package shim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame bounds the body of a frame, in bytes. The largest are start requests.
const MaxFrame = 8 << 20

// ErrFrame says that the other side sent what is no frame; the connection is of no further use.
var ErrFrame = errors.New("shim protocol: bad frame")

// Frame is one message in either direction.
type Frame struct {
	// ID pairs an answer with its request; 0 marks an event.
	ID uint64 `json:"id,omitempty"`
	// Method names the request or event; answers leave it empty.
	Method string `json:"method,omitempty"`
	// Error is set in answers only; then Body is absent.
	Error *Error `json:"error,omitempty"`
	// Files is how many descriptors come with the frame.
	Files int `json:"files,omitempty"`
	// Body is the JSON of the message that belongs to the method.
	Body json.RawMessage `json:"body,omitempty"`
}

// WriteFrame writes f to w with a single Write. It is not safe for concurrent use on one w.
func WriteFrame(w io.Writer, f Frame) error {
	buf, err := encodeFrame(f)
	if err != nil {
		return err
	}
	_, err = w.Write(buf)
	return err
}

func encodeFrame(f Frame) ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("shim protocol: encode %s: %w", f.Method, err)
	}
	if len(body) > MaxFrame {
		return nil, fmt.Errorf("shim protocol: %s of %d bytes, at most %d are allowed", f.Method, len(body), MaxFrame)
	}
	buf := make([]byte, 4+len(body))
	binary.BigEndian.PutUint32(buf, uint32(len(body)))
	copy(buf[4:], body)
	return buf, nil
}

// ReadFrame reads one frame from r. It returns io.EOF only between frames, and an error that is ErrFrame when what came is no frame.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxFrame {
		return Frame{}, fmt.Errorf("%w: length %d, allowed are 1 to %d", ErrFrame, n, MaxFrame)
	}
	// The buffer grows with what really arrives, so a liar's length costs nothing.
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Frame{}, err
	}
	var f Frame
	if err := json.Unmarshal(body, &f); err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return f, nil
}

func encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}
