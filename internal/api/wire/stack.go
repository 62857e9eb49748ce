package wire

import "net/http"

// Bytes of stack that requests need, each a few KiB less than the next power of two: for the frames that are there already.
const (
	stackToRead  = 5 << 10
	stackToWrite = 11 << 10
	stackToParse = 27 << 10 // objects and patches in JSON, whose decoder calls itself for each of their levels
)

// growStack makes the goroutine's stack as large as the request will need it.
//
// HTTP/2 answers each request in a goroutine of its own, which begins with 2 KiB. It would grow three or four times on the way down to the store, and each
// time all frames that are there are copied, with every pointer into them: a twentieth of what a request costs. Here there are two frames.
func growStack(r *http.Request) {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		roomToRead(none)
	case r.Header.Get("Content-Type") != mediaProtobuf:
		roomToParse(none)
	default:
		roomToWrite(none)
	}
}

// none is no place in a room.
const none = -1

// Each of these has a frame that is as large as it says. Asked for no place in it, it leaves the memory alone: to clear it would cost more than is won.

//go:noinline
func roomToRead(at int) byte {
	if at < 0 {
		return 0
	}
	var room [stackToRead]byte
	return room[at]
}

//go:noinline
func roomToWrite(at int) byte {
	if at < 0 {
		return 0
	}
	var room [stackToWrite]byte
	return room[at]
}

//go:noinline
func roomToParse(at int) byte {
	if at < 0 {
		return 0
	}
	var room [stackToParse]byte
	return room[at]
}
