package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestConstant(t *testing.T) {
	got, err := constant(strings.NewReader(`00400000-010a2000 r-xp 00000000 fe:00 42 /opt/my floe
Size:               1234 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
010a2000-02000000 r--p 00ca2000 fe:00 42 /opt/my floe
Anonymous:             0 kB
02000000-02080000 r--p 01c00000 fe:00 42 /opt/my floe
Anonymous:            12 kB
02080000-02100000 rw-p 01c00000 fe:00 42 /opt/my floe
Anonymous:             0 kB
02100000-02200000 r--p 00000000 fe:00 43 /opt/other
Anonymous:             0 kB
02200000-02300000 r-xs 00000000 fe:00 42 /opt/my floe
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7ffc0000-7ffd0000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`), "/opt/my floe")
	if want := []mapping{{0x400000, 0x10a2000}, {0x10a2000, 0x2000000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v; want %x", got, err, want)
	}
	if _, err := constant(strings.NewReader("x-y r-xp 0 fe:00 42 /f\n"), "/f"); err == nil {
		t.Error("addresses that are none were read")
	}
}

// TestReleaseCode: the process goes on, with fewer pages of its program.
func TestReleaseCode(t *testing.T) {
	before := fileKiB(t)
	if err := releaseCode(); err != nil {
		t.Fatal(err)
	}
	if after := fileKiB(t); after >= before {
		t.Errorf("%d KiB of files' pages before, %d after", before, after)
	}
}

// fileKiB is how much of files the process has in memory.
func fileKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
