package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// trim makes the process small again after work: it gives free heap back, and unmaps the pages of its own program, of which starting a
// container touches nearly all and waiting for its end very few. What is needed again is mapped again from the page cache, where it is
// once for all shims.
func trim() {
	debug.FreeOSMemory()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	var begin, end uintptr
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 6 && strings.Contains(fields[0], "-"):
			begin, end = 0, 0
			if fields[5] == exe && !strings.Contains(fields[1], "w") {
				begin, end = addresses(fields[0])
			}
		case len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" && begin < end:
			// No page of this mapping differs from the file, so dropping them loses nothing. (A mapping without write permission may
			// have been written to before: relocations are.) The wrapper for madvise wants a slice, which this memory is not.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED)
		}
	}
}

// addresses reads "begin-end"; both are 0 when it is not that.
func addresses(span string) (uintptr, uintptr) {
	from, to, _ := strings.Cut(span, "-")
	begin, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return uintptr(begin), uintptr(end)
}
