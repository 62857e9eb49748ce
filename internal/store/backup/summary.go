package backup

import (
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/floe-k8s/floe/internal/store"
)

// Errors of snapshots. They come wrapped with the offset, the key or the path that they concern.
var (
	// ErrDamaged: the bytes are no whole snapshot: cut off, changed, followed by others, or never one.
	ErrDamaged = errors.New("snapshot is damaged")
	// ErrFormat: the file is a snapshot of a format that this version of floe does not know.
	ErrFormat = errors.New("snapshot format is not known to this version of floe")
	// ErrSealed: the values are sealed, and the codec given does not open them.
	ErrSealed = errors.New("snapshot cannot be opened")
	// ErrUnfit: the source handed over what no snapshot holds, or the destination gave what no restore may end with.
	ErrUnfit = errors.New("log is not fit for it")
)

// Sealing is a codec and the name that a snapshot knows it by, such as "aesgcm". The zero value seals nothing.
type Sealing struct {
	// Name is of 1 to 64 printable characters when there is a codec, else empty.
	Name  string
	Codec store.Codec
}

func (s Sealing) check() error {
	if (s.Name == "") != (s.Codec == nil) {
		return fmt.Errorf("a codec and its name go together: name %q, codec given: %t", s.Name, s.Codec != nil)
	}
	return checkName("name of the codec", s.Name)
}

// Options say what a snapshot states about itself, and how its values are kept.
type Options struct {
	// Version of floe that saves, of at most 64 printable characters.
	Version string
	// Time at which it is saved; the snapshot keeps seconds. It may not be zero.
	Time time.Time
	Sealing
}

func (o *Options) check() error {
	if o.Time.IsZero() {
		return errors.New("no time is given for the snapshot")
	}
	if err := checkName("version of floe", o.Version); err != nil {
		return err
	}
	return o.Sealing.check()
}

// Summary is what a snapshot says of itself, all of it checked.
type Summary struct {
	Format   int
	Version  string    // of the floe that saved it
	Time     time.Time // when it was saved, UTC
	Sealed   bool
	Codec    string         // name of the codec; empty: not sealed
	Revision store.Revision // of the state
	Records  int64
	Bytes    int64 // of the whole file
	// Collections stand in the order of their prefixes.
	Collections []Collection
}

// Collection counts the records whose keys begin with the same two path elements.
type Collection struct {
	// Prefix is such as "/registry/pods"; OtherPrefix gathers what is too long or too many to tell apart.
	Prefix  string
	Records int64
	// Bytes of keys and values as they stand in the file.
	Bytes int64
}

// OtherPrefix stands for the collections beyond the first maxCollections, and for those with long names.
const OtherPrefix = "..."

const (
	maxName        = 64   // characters of a version or of a codec's name: they are printed
	maxPrefix      = 512  // bytes: a group and a resource have at most 253 and 63
	maxCollections = 4096 // with maxPrefix, what bounds the memory that a hostile file can have counted
)

// checkName refuses what would spoil a terminal. An empty name passes.
func checkName(what, s string) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName {
		return fmt.Errorf("%s %.80q is longer than %d characters or not UTF-8", what, s, maxName)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s %q holds characters that cannot be printed", what, s)
		}
	}
	return nil
}
