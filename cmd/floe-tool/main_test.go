package main

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{"5": 5 * time.Second, "1m30s": 90 * time.Second, "forever": math.MaxInt64, "infinity": math.MaxInt64} {
		if got, err := duration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if d, err := duration("soon"); err == nil {
		t.Errorf("soon is %v", d)
	}
}

func TestCommands(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel() // as when SIGTERM came
	for _, c := range []struct {
		line string
		want string // in the error; "": none
	}{
		{"echo hi", ""}, {"sleep forever", ""}, {"burn --memory 100000", ""}, {"serve --port 0", ""}, {"fail", "exit code 1"},
		{"fail --code 9", "exit code 9"}, {"", "which?"}, {"dance", `"dance" is none of`}, {"sleep", "usage: floe-tool sleep DURATION"},
		{"burn", "usage:"}, {"print nothing", "usage:"}, {"lookup", "usage:"}, {"get", "usage:"}, {"serve --port x", "usage:"},
	} {
		err := run(ended, strings.Fields(c.line))
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: got %v, want %q", c.line, err, c.want)
		}
	}
	var code exitCode
	if err := run(ended, []string{"fail", "--code", "7"}); !errors.As(err, &code) || code != 7 {
		t.Errorf("fail: %v", err)
	}
	for name := range commands() {
		if !strings.Contains(names(), name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestServedPages(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	for path, want := range map[string]string{"/healthz": "ok\n", "/a/b": "path /a/b\n"} {
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	if err := run(context.Background(), []string{"get", server.URL + "/x"}); err != nil {
		t.Error(err)
	}
}
