package etcd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var fullTxn = txnRecord{
	id: identity{1 << 60, 77}, time: time.UnixMicro(1_700_000_000_123_456).UTC(), actor: "ann", cause: "deployment default/web@12",
	keys: []txnRecordKey{{key: "/registry/a", minor: true}, {key: "/registry/b", deleted: true}, {key: ""}},
}

func TestTxnRecord(t *testing.T) {
	got, err := decodeTxn(fullTxn.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullTxn, got, cmp.AllowUnexported(txnRecord{}, txnRecordKey{}, identity{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestTxnRecordRefused(t *testing.T) {
	good := fullTxn.encode()
	if _, err := decodeTxn(append([]byte{2}, good[1:]...)); err == nil || !strings.Contains(err.Error(), "format 2 is not known") {
		t.Errorf("unknown format: got %v", err)
	}
	for n := range good {
		if _, err := decodeTxn(good[:n]); !errors.Is(err, errDamaged) {
			t.Errorf("cut after %d of %d bytes: got %v, want %v", n, len(good), err, errDamaged)
		}
	}
	if _, err := decodeTxn(append(good, 0)); !errors.Is(err, errDamaged) {
		t.Errorf("one byte more: got %v, want %v", err, errDamaged)
	}
}

func FuzzDecodeTxn(f *testing.F) {
	f.Add(fullTxn.encode())
	f.Add([]byte{txnFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeTxn(b)
		if err != nil {
			return
		}
		again, err := decodeTxn(r.encode())
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(txnRecord{}, txnRecordKey{}, identity{})); diff != "" {
			t.Errorf("decoded again (-want +got):\n%s", diff)
		}
	})
}
