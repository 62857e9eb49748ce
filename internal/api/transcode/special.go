package transcode

import (
	"encoding/binary"
	"math"
	"reflect"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// special is how the types are written that have their own JSON and stand in nearly every object.
func special(t reflect.Type) (value, bool) {
	switch t {
	case timeType:
		return value{wire: counted, write: writeTime, empty: isZeroTime}, true
	case reflect.TypeFor[metav1.MicroTime]():
		return value{wire: counted, write: writeMicroTime}, true
	case reflect.TypeFor[metav1.Duration]():
		return value{wire: counted, write: writeDuration}, true
	case reflect.TypeFor[metav1.FieldsV1]():
		slow := decoded(t)
		return value{wire: counted, write: func(e *encoder, dst, b []byte) ([]byte, error) {
			if set, ok := ownText(b); ok && isFieldSet(set) {
				return append(dst, set...), nil
			}
			return slow(e, dst, b)
		}}, true
	case reflect.TypeFor[resource.Quantity]():
		return value{wire: counted, write: writeQuantity}, true
	case reflect.TypeFor[intstr.IntOrString]():
		return value{wire: counted, write: writeIntOrString}, true
	}
	return value{}, false
}

func float(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// numbers reads a message that has only numbers, with the tags 1 and 2.
func numbers(b []byte) (one, two uint64, err error) {
	last := uint64(0)
	for at := 0; at < len(b); {
		tag := uint64(b[at])
		n, size := uvarint(b[at+1:])
		switch {
		case size <= 0 || tag <= last:
			return 0, 0, ErrUnusual
		case tag == 1<<3:
			one = n
		case tag == 2<<3:
			two = n
		default:
			return 0, 0, ErrUnusual
		}
		last, at = tag, at+1+size
	}
	return one, two, nil
}

func isZeroTime(b []byte) bool {
	seconds, _, err := numbers(b)
	return len(b) == 0 || err == nil && time.Unix(int64(seconds), 0).IsZero()
}

// appendTime appends a time that layout needs no escapes for; null is what times that are not set are.
func appendTime(dst []byte, t time.Time, layout string) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	return append(t.UTC().AppendFormat(append(dst, '"'), layout), '"')
}

func writeTime(_ *encoder, dst, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return append(dst, "null"...), nil
	}
	seconds, _, err := numbers(b)
	return appendTime(dst, time.Unix(int64(seconds), 0), time.RFC3339), err
}

func writeMicroTime(_ *encoder, dst, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return append(dst, "null"...), nil
	}
	seconds, nanos, err := numbers(b)
	fraction := time.Duration(int32(nanos)).Truncate(time.Microsecond)
	return appendTime(dst, time.Unix(int64(seconds), int64(fraction)), metav1.RFC3339Micro), err
}

func writeDuration(_ *encoder, dst, b []byte) ([]byte, error) {
	n, two, err := numbers(b)
	if two != 0 {
		err = ErrUnusual
	}
	return appendText(dst, []byte(time.Duration(n).String())), err
}

// ownText reads a message that has one field of bytes, with the tag 1, and nothing else.
func ownText(b []byte) ([]byte, bool) {
	text, end, ok := entryKey(b)
	return text, ok && end == len(b)
}

// writeQuantity writes amounts as they are when they are in their shortest form, which is how nearly all are stored.
func writeQuantity(_ *encoder, dst, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return append(dst, `"0"`...), nil
	}
	text, ok := ownText(b)
	if !ok {
		return dst, ErrUnusual
	}
	if isShortest(text) {
		return append(append(append(dst, '"'), text...), '"'), nil
	}
	q, err := resource.ParseQuantity(string(text))
	if err != nil {
		return dst, ErrUnusual
	}
	doc, err := q.MarshalJSON()
	return append(dst, doc...), err
}

// isShortest says of the plainest amounts that no other suffix makes them shorter. It may say no of any.
func isShortest(text []byte) bool {
	n, digits := 0, 0
	for digits < len(text) && text[digits]-'0' <= 9 && digits < 9 {
		n = n*10 + int(text[digits]-'0')
		digits++
	}
	switch {
	case digits == 0 || text[0] == '0':
		return string(text) == "0"
	}
	switch string(text[digits:]) {
	case "", "m", "k", "M", "G":
		return n%1000 != 0
	case "Ki", "Mi", "Gi":
		return n%1024 != 0
	}
	return false
}

func writeIntOrString(_ *encoder, dst, b []byte) ([]byte, error) {
	// Its type and its number, and then its text.
	split := len(b)
	for at := 0; at+1 < len(b); {
		if b[at] == 3<<3|byte(counted) {
			split = at
			break
		}
		_, n := uvarint(b[at+1:])
		if n <= 0 {
			return dst, ErrUnusual
		}
		at += 1 + n
	}
	kind, n, err := numbers(b[:split])
	if err != nil {
		return dst, err
	}
	var text []byte
	if split < len(b) {
		from, to, ok := bounds(b, split+1, counted)
		if !ok || to != len(b) {
			return dst, ErrUnusual
		}
		text = b[from:to]
	}
	switch intstr.Type(kind) {
	case intstr.Int:
		return strconv.AppendInt(dst, int64(int32(n)), 10), nil
	case intstr.String:
		return appendText(dst, text), nil
	}
	return dst, ErrUnusual
}
