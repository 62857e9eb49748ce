package runtime

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The range of real-time signals as programs see it; the kernel's first two are the C library's own.
const (
	firstRealTime = 34
	lastRealTime  = 64
)

// signalAliases are names that mean a signal of another name.
var signalAliases = [...]struct{ alias, name string }{{"SIGCLD", "SIGCHLD"}, {"SIGPOLL", "SIGIO"}, {"SIGIOT", "SIGABRT"}}

// stopSignal is what the request asks, or the image, or SIGTERM.
func stopSignal(asked runtimeapi.Signal, image string) (int, error) {
	name := image
	if asked != runtimeapi.Signal_RUNTIME_DEFAULT {
		name = strings.NewReplacer("PLUS", "+", "MINUS", "-").Replace(asked.String())
	}
	if name == "" {
		return int(unix.SIGTERM), nil
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= lastRealTime {
		return n, nil
	}
	full := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	for _, a := range signalAliases {
		if a.alias == full {
			full = a.name
		}
	}
	if n := unix.SignalNum(full); n != 0 {
		return int(n), nil
	}
	if n, ok := realTime(full); ok {
		return n, nil
	}
	return 0, invalid("stop signal %q is unknown", name)
}

// realTime understands SIGRTMIN, SIGRTMIN+N, SIGRTMAX and SIGRTMAX-N.
func realTime(name string) (int, bool) {
	base, rest, ok := firstRealTime, "", false
	if rest, ok = strings.CutPrefix(name, "SIGRTMIN"); !ok {
		base = lastRealTime
		if rest, ok = strings.CutPrefix(name, "SIGRTMAX"); !ok {
			return 0, false
		}
	}
	if rest == "" {
		return base, true
	}
	n, err := strconv.Atoi(rest)
	return base + n, err == nil && base+n >= firstRealTime && base+n <= lastRealTime
}

// criSignal is the CRI name of a signal number.
func criSignal(n int) runtimeapi.Signal {
	name := unix.SignalName(unix.Signal(n))
	switch {
	case n == firstRealTime:
		name = "SIGRTMIN"
	case n > firstRealTime && n < 50:
		name = "SIGRTMINPLUS" + strconv.Itoa(n-firstRealTime)
	case n >= 50 && n < lastRealTime:
		name = "SIGRTMAXMINUS" + strconv.Itoa(lastRealTime-n)
	case n == lastRealTime:
		name = "SIGRTMAX"
	}
	return runtimeapi.Signal(runtimeapi.Signal_value[name])
}
