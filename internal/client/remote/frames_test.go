package remote

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

func framed(data string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// anEvent is one of a config map default/a at revision 7.
const anEvent = "\x0a\x05ADDED\x12\x30\x0a\x2ek8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x13\x0a\x0c\x0a\x01a\x1a\x07default\x0a\x03\x32\x017\x1a\x00\x22\x00"

func TestReadEvent(t *testing.T) {
	in := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(append(framed(anEvent), framed(anEvent)...))))
	for range 2 {
		e, err := readEvent(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.object.meta(); err != nil {
			t.Fatal(err)
		}
		o := e.object
		rev, err := o.revision()
		if e.kind != "ADDED" || o.apiVersion != "v1" || o.typ != "ConfigMap" || o.namespace != "default" || o.name != "a" || rev != 7 || err != nil {
			t.Errorf("%s %+v, %v", e.kind, o, err)
		}
		var m corev1.ConfigMap
		if err := m.Unmarshal(o.message); err != nil || m.Name != "a" || m.ResourceVersion != "7" {
			t.Errorf("the message is %+v, %v", m, err)
		}
	}
	if _, err := readEvent(in); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestReadEventThatEndsEarly(t *testing.T) {
	whole := framed(anEvent)
	for n := 1; n < len(whole); n++ {
		if _, err := readEvent(bufio.NewReader(bytes.NewReader(whole[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	_, err := readEvent(bufio.NewReader(strings.NewReader("\xff\xff\xff\xff")))
	if !errors.Is(err, errLie) {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}

// FuzzWatch reads anything as a joint watch: it is an error, or what the table can hold.
func FuzzWatch(f *testing.F) {
	f.Add(framed(anEvent))
	f.Add(append(framed(anEvent), framed(strings.ReplaceAll(strings.ReplaceAll(anEvent, "ADDED", "BOOKMARK"), "\x0a\x05", "\x0a\x08"))...))
	f.Add(framed("\x0a\x05ERROR\x12\x02\x0a\x00"))
	f.Add([]byte("\x00\x00\x00\x00"))
	k := core.ConfigMap()
	s := &source{kinds: map[schema.GroupVersionKind]*kinds.Kind{k.GVK: k}}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			e, err := readEvent(in)
			if err != nil {
				return
			}
			_ = e.object.status()
			r, err := s.record(&e, time.Time{})
			if err != nil {
				continue
			}
			if r.Revision == 0 || !strings.HasPrefix(r.Key, k.Prefix()) || strings.Count(r.Key, "/") != 4 {
				t.Errorf("a record %q at %d", r.Key, r.Revision)
			}
			obj := k.New()
			if err := obj.(*corev1.ConfigMap).Unmarshal(e.object.message); err != nil {
				t.Errorf("the table would hold what cannot be read: %v", err)
			}
		}
	})
}
