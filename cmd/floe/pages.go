package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseCode lets go of the program's own pages that nothing can have changed: its code and constants. Start touches most of them, and what runs afterwards
// needs few; those come back from the page cache, or the file, as they are touched.
func releaseCode() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read the program's mappings: %w", err)
	}
	defer maps.Close()
	list, err := constant(maps, exe)
	for _, m := range list {
		if _, _, failed := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); failed != 0 {
			err = errors.Join(err, fmt.Errorf("let go of the program's pages: %w", failed))
		}
	}
	return err
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// constant reads, from what proc(5) says of a process's smaps, those of a file that cannot be written to and of which every page is as it is in the
// file. What a linker fills in at the start and then protects (RELRO, which Go makes where cgo is on) cannot be written to either, but would come back
// from the file as it was before.
func constant(smaps io.Reader, file string) (list []mapping, err error) {
	lines := bufio.NewScanner(smaps)
	var at *mapping // of the file; nil: the lines are about another one
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"): // a mapping's first line
			if at, err = constantAt(fields, file); err != nil {
				return nil, err
			}
		case at != nil && fields[0] == "Anonymous:" && len(fields) > 1 && fields[1] == "0": // no page is the process's own
			list = append(list, *at)
		}
	}
	return list, lines.Err()
}

// constantAt returns where a mapping is whose first line has these fields; nil when it is of another file or can be written to.
func constantAt(fields []string, file string) (*mapping, error) {
	if len(fields) < 6 || strings.Join(fields[5:], " ") != file || fields[1] != "r-xp" && fields[1] != "r--p" {
		return nil, nil
	}
	first, last, _ := strings.Cut(fields[0], "-")
	from, err1 := strconv.ParseUint(first, 16, 64)
	to, err2 := strconv.ParseUint(last, 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("read the program's mappings: %w", err)
	}
	return &mapping{uintptr(from), uintptr(to)}, nil
}
