package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/floe-k8s/floe/internal/store"
)

var names = regexp.MustCompile(`byte \d+: `)

func checkRefused(t *testing.T, what string, file []byte, want error) {
	t.Helper()
	s, err := Verify(bytes.NewReader(file))
	if !errors.Is(err, want) || !names.MatchString(err.Error()) {
		t.Errorf("%s: got %v, want %q with an offset", what, err, want)
	}
	if s.Format != 0 {
		t.Errorf("%s: refused, and yet a summary comes back: %+v", what, s)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	for n := range file {
		checkRefused(t, fmt.Sprintf("first %d of %d bytes", n, len(file)), file[:n], ErrDamaged)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	version := len(magicStem) // what stands there names the format
	for i := range file {
		for bit := range 8 {
			changed := bytes.Clone(file)
			changed[i] ^= 1 << bit
			want := ErrDamaged
			if i == version || i == version+1 {
				want = ErrFormat
			}
			checkRefused(t, fmt.Sprintf("byte %d, bit %d", i, bit), changed, want)
		}
	}
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	for i := range file {
		for _, b := range []byte{0, '\n', 0xff, file[i] + 1} {
			if b == file[i] {
				continue
			}
			changed := bytes.Clone(file)
			changed[i] = b
			if _, err := Verify(bytes.NewReader(changed)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
				t.Errorf("byte %d is %#x for %#x: got %v", i, b, file[i], err)
			}
		}
	}
}

func TestWhatFollowsIsRefused(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	for _, more := range []string{"\x00", "\n", "t", string(file)} {
		checkRefused(t, fmt.Sprintf("%d bytes more", len(more)), append(bytes.Clone(file), more...), ErrDamaged)
	}
	_, err := Verify(strings.NewReader(string(file) + "x"))
	if want := fmt.Sprintf("byte %d:", len(file)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to name %q", err, want)
	}
}

func TestOtherFormatsAreRefusedByName(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	for _, version := range []string{"2", "0", "10", "1.1", "next"} {
		_, err := Verify(strings.NewReader(magicStem + version + "\n" + string(file[len(magic):])))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), version) {
			t.Errorf("format %s: got %v, want ErrFormat that names it", version, err)
		}
	}
	for _, other := range []string{"", "x", "SQLite format 3\x00", "floe log 1\n", strings.Repeat("z", 4096)} {
		checkRefused(t, fmt.Sprintf("%.20q", other), []byte(other), ErrDamaged)
	}
}

// frame makes one with a right checksum.
func frame(kind byte, payload []byte) []byte {
	f := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	f = append(f, payload...)
	return binary.BigEndian.AppendUint32(f, crc32.Checksum(f, crc32.MakeTable(crc32.Castagnoli)))
}

// forge makes a file of frames whose trailer is right but for what change does to it.
func forge(header string, records [][]byte, change func(*trailer)) []byte {
	file := append([]byte(magic), frame(kindHeader, []byte(header))...)
	for _, r := range records {
		file = append(file, frame(kindRecord, r)...)
	}
	end := trailer{records: uint64(len(records)), revision: 100, bytes: uint64(len(file)), digest: digestOf(file)}
	if change != nil {
		change(&end)
	}
	return append(file, frame(kindTrailer, end.append(nil))...)
}

const goodHeader = `{"format":1,"version":"v1","time":"2026-11-21T12:00:00Z"}`

func payload(r store.Record) []byte { return appendRecord(nil, &r, r.Value) }

func TestForgeriesWithRightChecksumsAreRefused(t *testing.T) {
	a := payload(store.Record{Key: "a", Revision: 1, Value: []byte("v")})
	b := payload(store.Record{Key: "b", Revision: 2, Value: []byte("v")})
	if s, err := Verify(bytes.NewReader(forge(goodHeader, [][]byte{a, b}, nil))); err != nil || s.Records != 2 {
		t.Fatalf("the pattern of all forgeries is refused itself: %v", err)
	}
	with := func(payload ...byte) []byte { return forge(goodHeader, [][]byte{payload}, nil) }
	record := func(r store.Record) []byte { return forge(goodHeader, [][]byte{payload(r)}, nil) }
	for name, file := range map[string][]byte{
		"keys fall":                   forge(goodHeader, [][]byte{b, a}, nil),
		"key twice":                   forge(goodHeader, [][]byte{a, a}, nil),
		"count":                       forge(goodHeader, [][]byte{a, b}, func(e *trailer) { e.records++ }),
		"bytes":                       forge(goodHeader, [][]byte{a, b}, func(e *trailer) { e.bytes-- }),
		"digest":                      forge(goodHeader, [][]byte{a, b}, func(e *trailer) { e.digest[0]++ }),
		"state older than its record": forge(goodHeader, [][]byte{a, b}, func(e *trailer) { e.revision = 1 }),
		"revision without room":       forge(goodHeader, nil, func(e *trailer) { e.revision = maxRevision + 1 }),
		"revision at the very end":    forge(goodHeader, nil, func(e *trailer) { e.revision = ^store.Revision(0) }),
		"empty record":                with(),
		"unknown flags":               with(2, 1, 0, 0, 1, 'a', 0, 0),
		"flags only":                  with(0),
		"endless number":              with(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"key beyond the record":       with(0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'),
		"no cause":                    with(0, 1, 0, 0, 1, 'a', 0),
		"no key":                      record(store.Record{Revision: 1}),
		"zero byte in the key":        record(store.Record{Key: "a\x00", Revision: 1}),
		"no revision":                 record(store.Record{Key: "a"}),
		"previous is not before":      record(store.Record{Key: "a", Revision: 2, Previous: 2}),
		"value no log takes":          record(store.Record{Key: "a", Revision: 2, Value: make([]byte, store.MaxTxnBytes)}),
		"header is no JSON":           forge(`{`, nil, nil),
		"header of another format":    forge(`{"format":2,"time":"2026-11-21T12:00:00Z"}`, nil, nil),
		"header without time":         forge(`{"format":1}`, nil, nil),
		"escape in the version":       forge(`{"format":1,"version":"\u001b[2J","time":"2026-11-21T12:00:00Z"}`, nil, nil),
		"codec's name too long":       forge(`{"format":1,"codec":"`+strings.Repeat("c", 65)+`","time":"2026-11-21T12:00:00Z"}`, nil, nil),
		"record for a header":         append([]byte(magic), frame(kindRecord, a)...),
		"second header":               append(append([]byte(magic), frame(kindHeader, []byte(goodHeader))...), frame(kindHeader, []byte(goodHeader))...),
		"short trailer":               append(append([]byte(magic), frame(kindHeader, []byte(goodHeader))...), frame(kindTrailer, []byte("short"))...),
		"unknown kind":                append(append([]byte(magic), frame(kindHeader, []byte(goodHeader))...), frame('z', nil)...),
	} {
		checkRefused(t, name, file, ErrDamaged)
	}
}

func TestDamageNamesTheByte(t *testing.T) {
	a := payload(store.Record{Key: "a", Revision: 1, Value: []byte("v")})
	file := forge(goodHeader, [][]byte{a}, nil)
	at := len(magic) + frameExtra + len(goodHeader)
	file[at+frameHead+3] ^= 1
	_, err := Verify(bytes.NewReader(file))
	if want := fmt.Sprintf("byte %d: checksum", at); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to say %q", err, want)
	}
}

func TestVerifyReportsWhatItsReaderFailedWith(t *testing.T) {
	file, _ := mustSave(t, sample(t), plainly)
	broken := errors.New("input/output error")
	for _, n := range []int{0, 3, len(magic), len(magic) + 2, 200, len(file) - 1, len(file)} {
		_, err := Verify(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("after %d bytes: got %v, want the reader's error, and no word of damage", n, err)
		}
	}
	if _, err := Verify(iotest.OneByteReader(bytes.NewReader(file))); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

// allocated returns how many bytes f allocates, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLengthsCostMemoryOnlyAsBytesArrive(t *testing.T) {
	start := append([]byte(magic), frame(kindHeader, []byte(goodHeader))...)
	for _, length := range []uint32{1 << 20, maxRecord, maxRecord + 1, 1 << 31, ^uint32(0)} {
		for _, kind := range []byte{kindHeader, kindRecord, kindTrailer, 0} {
			file := binary.BigEndian.AppendUint32(append(bytes.Clone(start), kind), length)
			file = append(file, make([]byte, 100)...)
			got := allocated(func() { checkRefused(t, fmt.Sprintf("kind %q of %d bytes", kind, length), file, ErrDamaged) })
			if limit := uint64(ioBuffer + 4*growStep); got > limit {
				t.Errorf("kind %q of %d bytes, with 100 there: %d bytes allocated, at most %d", kind, length, got, limit)
			}
		}
	}
	whole := append(binary.BigEndian.AppendUint32(append(bytes.Clone(start), kindRecord), maxRecord), make([]byte, maxRecord)...)
	if got := allocated(func() { checkRefused(t, "largest record, cut off", whole, ErrDamaged) }); got > 4*maxRecord {
		t.Errorf("%d bytes allocated for the largest record", got)
	}
}

func TestSaveAndVerifyHoldOneRecord(t *testing.T) {
	src := list{rev: 50_000}
	value := make([]byte, 1024)
	for i := range 50_000 {
		src.records = append(src.records, store.Record{Key: fmt.Sprintf("/registry/pods/default/p%06d", i), Revision: store.Revision(i + 1), Value: value})
	}
	const limit = 2 << 20 // of 53 MB
	var file bytes.Buffer
	file.Grow(60 << 20)
	if got := allocated(func() {
		if _, err := Save(t.Context(), src, &file, plainly); err != nil {
			t.Error(err)
		}
	}); got > limit {
		t.Errorf("Save allocated %d bytes, at most %d", got, limit)
	}
	if got := allocated(func() {
		if _, err := Verify(bytes.NewReader(file.Bytes())); err != nil {
			t.Error(err)
		}
	}); got > limit {
		t.Errorf("Verify allocated %d bytes, at most %d", got, limit)
	}
}
