package encryption

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

var errObject = errors.New("the stored data is no EncryptedObject")

// decodeObject reads what encode wrote. The object shares b's memory.
func decodeObject(b []byte) (*encryptedObject, error) {
	e := &encryptedObject{}
	err := eachField(b, func(n protowire.Number, value []byte, number uint64) error {
		switch n {
		case 1:
			e.data = value
		case 2:
			e.keyID = string(value)
		case 3:
			e.source = value
		case 4:
			return e.note(value)
		case 5:
			e.kind = number
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(e.data) == 0 || len(e.source) == 0 || e.keyID == "":
		return nil, fmt.Errorf("%w: data, key or its name are missing", errObject)
	case e.kind > seedByHKDF:
		return nil, fmt.Errorf("%w: unknown type of key %d", errObject, e.kind)
	}
	return e, nil
}

// note reads one entry of the annotations.
func (e *encryptedObject) note(entry []byte) error {
	var key string
	var value []byte
	err := eachField(entry, func(n protowire.Number, b []byte, _ uint64) error {
		if n == 1 {
			key = string(b)
		} else if n == 2 {
			value = b
		}
		return nil
	})
	if e.notes == nil {
		e.notes = map[string][]byte{}
	}
	e.notes[key] = value
	return err
}

func eachField(b []byte, each func(n protowire.Number, value []byte, number uint64) error) error {
	for len(b) > 0 {
		n, wire, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errObject
		}
		b = b[size:]
		var value []byte
		var number uint64
		switch wire {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(b)
		default:
			size = protowire.ConsumeFieldValue(n, wire, b)
		}
		if size < 0 {
			return errObject
		}
		b = b[size:]
		if err := each(n, value, number); err != nil {
			return err
		}
	}
	return nil
}
