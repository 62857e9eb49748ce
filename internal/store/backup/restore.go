package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/floe-k8s/floe/internal/store"
)

// Appender is the part of store.Writer that is restored into.
type Appender interface {
	// Append is store.Writer's.
	Append(ctx context.Context, txn store.Txn) ([]store.Revision, error)
}

// Restore reads the snapshot in r twice from its start: once to verify it and to open every sealed value, and then to append
// its records to dst, in no order. Each keeps its actor, its cause and whether it is minor.
//
// dst must have been created for this, empty, with revisions that begin at least store.RevisionLeap above the snapshot's.
// A key that exists is refused with store.ErrConflict; a revision that is too low with ErrUnfit. A snapshot that is not
// sealed is restored with or without a codec; one that is needs the codec of that name, and returns ErrSealed without.
//
// When the snapshot is refused nothing has been written. When dst fails, or ctx ends, a part has, and the error says so:
// dst is to be removed. A snapshot that changes between the two readings is found out at the end of the second.
func Restore(ctx context.Context, r io.ReadSeeker, dst Appender, sealing Sealing) (Summary, error) {
	s, err := restore(ctx, r, dst, sealing)
	if err != nil {
		return Summary{}, fmt.Errorf("restore: %w", err)
	}
	return s, nil
}

func restore(ctx context.Context, r io.ReadSeeker, dst Appender, sealing Sealing) (Summary, error) {
	if err := sealing.check(); err != nil {
		return Summary{}, err
	}
	o := &opener{sealing: sealing}
	s, digest, err := pass(ctx, r, o, func(*record, []byte) error { return nil })
	if err != nil {
		return Summary{}, fmt.Errorf("%w; nothing was written", err)
	}
	p := newPipeline(ctx, dst, s.Revision+store.RevisionLeap)
	_, again, err := pass(p.ctx, r, o, p.add)
	if err == nil && again != digest {
		err = errors.New("the snapshot changed while it was restored")
	}
	written, err := p.wait(err)
	if err != nil {
		return Summary{}, fmt.Errorf("%w; at least %d of %d records were written: remove the new log before it is tried again", err, written, s.Records)
	}
	return s, nil
}

// pass reads the whole snapshot and hands each record over with its plain value, which may share memory with the record.
func pass(ctx context.Context, r io.ReadSeeker, o *opener, each func(*record, []byte) error) (Summary, [digestSize]byte, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Summary{}, [digestSize]byte{}, fmt.Errorf("go to the start of the snapshot: %w", err)
	}
	return scan(r, visitor{header: o.header, record: func(rec *record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain, err := o.open(rec)
		if err != nil {
			return err
		}
		return each(rec, plain)
	}})
}

// opener opens the values of one snapshot.
type opener struct {
	sealing Sealing
	sealed  bool // as the header says
}

func (o *opener) header(h *header) error {
	o.sealed = h.Codec != ""
	switch {
	case !o.sealed:
	case o.sealing.Codec == nil:
		return fmt.Errorf("values are sealed by codec %q, and none is given: %w", h.Codec, ErrSealed)
	case o.sealing.Name != h.Codec:
		return fmt.Errorf("values are sealed by codec %q, not by %q, which is given: %w", h.Codec, o.sealing.Name, ErrSealed)
	}
	return nil
}

// open returns the record's plain value.
func (o *opener) open(r *record) ([]byte, error) {
	if !o.sealed {
		return r.value, nil
	}
	plain, err := o.sealing.Codec.Open(string(r.key), r.value)
	if err != nil {
		return nil, fmt.Errorf("open %.200q by codec %q: %w: %w", r.key, o.sealing.Name, err, ErrSealed)
	}
	if err := checkSize(r.key, plain); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return plain, nil
}
