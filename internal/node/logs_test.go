package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const logStamp = "2026-01-02T03:04:0%d.000000001Z"

func logLine(second int, tag, text string) string {
	return fmt.Sprintf(logStamp+" stdout %s %s\n", second, tag, text)
}

func readAll(t *testing.T, content string, opts logOptions) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := readLog(t.Context(), file, opts, &out, func() {}, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReadLog(t *testing.T) {
	three := logLine(1, "F", "one") + logLine(2, "F", "two") + logLine(3, "F", "three")
	parts := logLine(1, "P", "half ") + logLine(1, "P", "and ") + logLine(1, "F", "half")
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }
	all := logOptions{tail: -1, limit: -1}
	with := func(f func(*logOptions)) logOptions {
		o := all
		f(&o)
		return o
	}
	for name, c := range map[string]struct {
		content string
		opts    logOptions
		want    string
	}{
		"all":                      {three, all, "one\ntwo\nthree\n"},
		"empty":                    {"", all, ""},
		"last two":                 {three, with(func(o *logOptions) { o.tail = 2 }), "two\nthree\n"},
		"last none":                {three, with(func(o *logOptions) { o.tail = 0 }), ""},
		"last of few":              {three, with(func(o *logOptions) { o.tail = 9 }), "one\ntwo\nthree\n"},
		"since":                    {three, with(func(o *logOptions) { o.since = at(3) }), "three\n"},
		"seven bytes":              {three, with(func(o *logOptions) { o.limit = 7 }), "one\ntwo"},
		"one byte":                 {three, with(func(o *logOptions) { o.limit = 1 }), "o"},
		"parts":                    {parts, all, "half and half\n"},
		"parts have one timestamp": {parts, with(func(o *logOptions) { o.timestamps = true }), fmt.Sprintf(logStamp, 1) + " half and half\n"},
		"half a line at the end":   {three + "2026-01-02T03:04:04.0Z stdout F fo", all, "one\ntwo\nthree\n"},
		"nonsense between":         {"x\n" + three, all, "one\ntwo\nthree\n"},
		"text with spaces":         {logLine(1, "F", " a  b "), all, " a  b \n"},
		"no text":                  {logLine(1, "F", ""), all, "\n"},
	} {
		if got := readAll(t, c.content, c.opts); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestFollow reads what is written later, and ends when the container has.
func TestFollow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "0.log")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w := io.Pipe()
	var alive atomic.Bool
	alive.Store(true)
	done := make(chan error, 1)
	go func() {
		err := readLog(context.Background(), file, logOptions{follow: true, tail: -1, limit: -1}, w, func() {}, alive.Load)
		w.CloseWithError(err)
		done <- err
	}()
	for i := range 3 {
		if _, err := f.WriteString(logLine(i, "F", fmt.Sprint("line ", i))); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("line %d\n", i)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := f.WriteString(logLine(9, "F", "last")); err != nil {
		t.Fatal(err)
	}
	alive.Store(false)
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "last\n" {
		t.Errorf("at the end %q, %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFollowGoesOnAfterRotation reads through a change of files.
func TestFollowGoesOnAfterRotation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(file, []byte(logLine(1, "F", "before")), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	var alive atomic.Bool
	alive.Store(true)
	go func() {
		w.CloseWithError(readLog(context.Background(), file, logOptions{follow: true, tail: 1, limit: -1}, w, func() {}, alive.Load))
	}()
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	read("before\n")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(logLine(2, "F", "after")+logLine(3, "F", "more")), 0o600); err != nil {
		t.Fatal(err)
	}
	read("after\nmore\n")
	alive.Store(false)
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("at the end %q, %v", rest, err)
	}
}

func TestRotationKeepsAFewFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "0.log")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 8 {
		if err := os.WriteFile(file, make([]byte, logMaxSize), 0o600); err != nil {
			t.Fatal(err)
		}
		if rotated, err := rotate(file, now.Add(time.Duration(i)*time.Minute)); !rotated || err != nil {
			t.Fatal(rotated, err)
		}
	}
	if err := os.WriteFile(file, []byte("small"), 0o600); err != nil {
		t.Fatal(err)
	}
	if rotated, err := rotate(file, now); rotated || err != nil {
		t.Errorf("a small file was rotated (%v, %v)", rotated, err)
	}
	left, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != logMaxFiles || !strings.HasSuffix(left[len(left)-1], "031105") {
		t.Errorf("left are %v, want the newest %d", left, logMaxFiles)
	}
}

func TestLogOptionsAreChecked(t *testing.T) {
	for query, bad := range map[string]bool{
		"": false, "tailLines=3&follow=true&timestamps": false, "tailLines=-1": true, "tailLines=x": true, "limitBytes=0": true, "sinceSeconds=0": true,
		"sinceTime=yesterday": true, "sinceTime=2026-01-02T03:04:05Z": false,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := parseLogOptions(q, time.Time{}); (err != nil) != bad {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// FuzzLog reads anything as a log: whatever it is, the end of it is among the whole.
func FuzzLog(f *testing.F) {
	f.Add(logLine(1, "F", "a")+logLine(2, "P", "b"), int64(1))
	f.Add("\n\n\n", int64(2))
	f.Add("2026-01-02T03:04:05Z stdout F", int64(1))
	f.Fuzz(func(t *testing.T, content string, tail int64) {
		if tail < 0 || len(content) > 1<<16 {
			return
		}
		all := readAll(t, content, logOptions{tail: -1, limit: -1})
		end := readAll(t, content, logOptions{tail: tail, limit: -1})
		if !strings.HasSuffix(all, end) {
			t.Errorf("the last %d lines %q are no end of %q", tail, end, all)
		}
	})
}
