package transcode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

func isEmpty(b []byte) bool { return len(b) == 0 }

// scalar is how values of the plain kinds are written.
func scalar(kind reflect.Kind) (value, bool) {
	switch kind {
	case reflect.String:
		return value{wire: counted, write: writeText, empty: isEmpty}, true
	case reflect.Bool:
		return value{wire: varint, write: writeBool, empty: func(b []byte) bool { return number(b) == 0 }}, true
	case reflect.Int32:
		return value{wire: varint, write: writeInt32, empty: func(b []byte) bool { return int32(number(b)) == 0 }}, true
	case reflect.Int64:
		return value{wire: varint, write: writeInt64, empty: func(b []byte) bool { return number(b) == 0 }}, true
	case reflect.Float64:
		return value{wire: fixed64, write: writeFloat, empty: func(b []byte) bool { return len(b) < 8 || float(b) == 0 }}, true
	}
	return value{}, false
}

// number reads a varint that scan has found whole; no bytes are 0.
func number(b []byte) uint64 {
	n, _ := uvarint(b)
	return n
}

func writeText(_ *encoder, dst, b []byte) ([]byte, error) { return appendText(dst, b), nil }

func writeBool(_ *encoder, dst, b []byte) ([]byte, error) {
	return strconv.AppendBool(dst, number(b) != 0), nil
}

// writeInt32 keeps the low bits, as the generated code does.
func writeInt32(_ *encoder, dst, b []byte) ([]byte, error) {
	return strconv.AppendInt(dst, int64(int32(number(b))), 10), nil
}

func writeInt64(_ *encoder, dst, b []byte) ([]byte, error) {
	return strconv.AppendInt(dst, int64(number(b)), 10), nil
}

func writeFloat(_ *encoder, dst, b []byte) ([]byte, error) {
	var f float64
	if len(b) == 8 {
		f = float(b)
	}
	doc, err := json.Marshal(f)
	return append(dst, doc...), err
}

func writeBytes(_ *encoder, dst, b []byte) ([]byte, error) {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"'), nil
}

// decoded is for types that write their own JSON: the value alone is decoded, and asked.
func decoded(t reflect.Type) codec {
	return func(_ *encoder, dst, b []byte) ([]byte, error) {
		v := reflect.New(t).Interface()
		if err := v.(message).Unmarshal(b); err != nil {
			return dst, fmt.Errorf("%w: %w", ErrUnusual, err)
		}
		doc, err := json.Marshal(v)
		if err != nil {
			return dst, fmt.Errorf("%w: %w", ErrUnusual, err)
		}
		return append(dst, doc...), nil
	}
}

// The tags of a map's entry: its key and its value, where that has a length.
const (
	keyTag   = 1<<3 | byte(counted)
	valueTag = 2 << 3
)

// entryKey reads the key of a map's entry, and says where what follows begins.
func entryKey(entry []byte) (key []byte, rest int, ok bool) {
	if len(entry) == 0 || entry[0] != keyTag {
		return nil, 0, false
	}
	from, to, ok := bounds(entry, 1, counted)
	if !ok {
		return nil, 0, false
	}
	return entry[from:to], to, true
}

// entries is how the entries of a map to such values are written.
func entries(of value) value {
	tag := valueTag | byte(of.wire)
	return value{wire: counted, write: func(e *encoder, dst, entry []byte) ([]byte, error) {
		key, at, ok := entryKey(entry)
		if !ok {
			return dst, ErrUnusual
		}
		dst = append(appendText(dst, key), ':')
		if at == len(entry) {
			return of.write(e, dst, nil)
		}
		from, to, ok := bounds(entry, at+1, of.wire)
		if !ok || entry[at] != tag || to != len(entry) {
			return dst, ErrUnusual
		}
		return of.write(e, dst, entry[from:to])
	}}
}
