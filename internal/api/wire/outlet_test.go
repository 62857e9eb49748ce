package wire

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/api"
)

// TestEventsAreFrames compares what codecs write with the general way, for an object and for the last state of one that was deleted.
func TestEventsAreFrames(t *testing.T) {
	for _, size := range []int{4, 100, 300, 20_000} { // lengths of one, two and three bytes
		x, items := stored(t, 1, size)
		for _, e := range []api.Event{
			{Type: watch.Added, Item: items[0], Revision: items[0].Revision}, {Type: watch.Deleted, Item: items[0], Revision: 1 << 40},
		} {
			object, err := x.protobuf(e.Item, e.Revision)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := x.typed(e.Item, e.Revision)
			if err != nil {
				t.Fatal(err)
			}
			for media, test := range map[string]struct {
				object []byte
				write  func([]byte, api.Event) ([]byte, error)
			}{mediaProtobuf: {object, x.eventProtobuf}, mediaJSON: {doc, x.eventJSON}} {
				want, err := frame([]byte("before"), media, e.Type, test.object)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := test.write([]byte("before"), e); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s %s of %d bytes: %q, %v, want %q", media, e.Type, size, got, err, want)
				}
			}
		}
	}
}

// TestEventsAllocateNothing: with hundreds of watchers, what one event costs one of them is paid hundreds of times.
func TestEventsAllocateNothing(t *testing.T) {
	x, items := stored(t, 1, 1000)
	e := api.Event{Type: watch.Added, Item: items[0], Revision: items[0].Revision}
	h := &Handler{}
	o := h.outlet(httptest.NewRecorder())
	defer o.close()
	for name, write := range map[string]func([]byte, api.Event) ([]byte, error){"protobuf": x.eventProtobuf, "JSON": x.eventJSON} {
		got := testing.AllocsPerRun(200, func() {
			piece, err := write(o.open()[:0], e)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.put(piece); err != nil {
				t.Fatal(err)
			}
		})
		if got > 0 {
			t.Errorf("%s: %v allocations for an event", name, got)
		}
	}
}

// counter counts writes and flushes.
type counter struct {
	*httptest.ResponseRecorder
	did string
}

func (c *counter) Write(b []byte) (int, error) {
	c.did += fmt.Sprintf("write %d ", len(b))
	return len(b), nil
}

func (c *counter) FlushError() error {
	c.did += "flush "
	return nil
}

// TestOutletGathers: what is there is one write and one flush, a long piece goes out before, and nothing is flushed twice.
func TestOutletGathers(t *testing.T) {
	w := &counter{ResponseRecorder: httptest.NewRecorder()}
	o := (&Handler{}).outlet(w)
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(o.flush())
	step(o.flush())
	for range 3 {
		step(o.put(append(o.open(), "event"...)))
	}
	step(o.flush())
	step(o.flush())
	step(o.put(append(o.open(), make([]byte, listPiece)...)))
	step(o.put(append(o.open(), "last"...)))
	o.close()
	step(o.flush())
	if want := fmt.Sprintf("flush write 15 flush write %d ", listPiece); w.did != want {
		t.Errorf("did %q, want %q", w.did, want)
	}
}
