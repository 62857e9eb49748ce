package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/floe-k8s/floe/internal/store"
)

// Loader is the part of store.Source that is saved from.
type Loader interface {
	// Load is store.Source's.
	Load(ctx context.Context, each func(store.Record) error) (store.Revision, error)
}

// Save writes a snapshot of src's newest state to w, record by record, while others write to src. It neither syncs nor
// closes w, and when it fails w holds a part that Verify refuses. It returns what src or w failed with, and ErrUnfit when
// src hands over what could not be restored.
func Save(ctx context.Context, src Loader, w io.Writer, opts Options) (Summary, error) {
	s, err := save(ctx, src, w, opts)
	if err != nil {
		return Summary{}, fmt.Errorf("save: %w", err)
	}
	return s, nil
}

func save(ctx context.Context, src Loader, w io.Writer, opts Options) (Summary, error) {
	if err := opts.check(); err != nil {
		return Summary{}, err
	}
	s := &saver{codec: opts.Codec, tally: newTally(), header: header{
		Format: format, Version: opts.Version, Time: opts.Time.UTC().Truncate(time.Second), Codec: opts.Name,
	}}
	if err := s.start(w); err != nil {
		return Summary{}, err
	}
	rev, err := src.Load(ctx, func(r store.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.add(&r)
	})
	if err != nil {
		return Summary{}, err
	}
	return s.finish(rev)
}

// saver writes one snapshot.
type saver struct {
	out    *frameWriter
	codec  store.Codec // nil: values are not sealed
	header header
	tally  *tally
}

func (s *saver) start(w io.Writer) error {
	out, err := newFrameWriter(w)
	if err != nil {
		return err
	}
	s.out = out
	head, err := json.Marshal(s.header)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return out.end(append(out.begin(kindHeader), head...))
}

func (s *saver) add(r *store.Record) error {
	if r.Value == nil {
		return fmt.Errorf("key %.200q is deleted and yet in the state: %w", r.Key, ErrUnfit)
	}
	if err := checkSize(r.Key, r.Value); err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnfit)
	}
	value := r.Value
	if s.codec != nil {
		sealed, err := s.codec.Seal(r.Key, r.Value)
		if err != nil {
			return fmt.Errorf("seal %.200q: %w", r.Key, err)
		}
		value = sealed
	}
	frame := appendRecord(s.out.begin(kindRecord), r, value)
	// What is about to be written goes past the same eyes that will read it: a snapshot that is refused when it is needed would
	// be worse than none.
	read, err := parseRecord(frame[frameHead:])
	if err == nil {
		err = s.tally.add(&read)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnfit)
	}
	if err := s.out.end(frame); err != nil {
		return fmt.Errorf("key %.200q: %w", r.Key, err)
	}
	return nil
}

func (s *saver) finish(rev store.Revision) (Summary, error) {
	if err := s.tally.end(rev); err != nil {
		return Summary{}, fmt.Errorf("%w: %w", err, ErrUnfit)
	}
	end := trailer{records: uint64(s.tally.records), revision: rev, bytes: uint64(s.out.offset)}
	s.out.digest.Sum(end.digest[:0])
	if err := s.out.end(end.append(s.out.begin(kindTrailer))); err != nil {
		return Summary{}, err
	}
	if err := s.out.flush(); err != nil {
		return Summary{}, err
	}
	return s.tally.summary(&s.header, rev, s.out.offset), nil
}
