package fairness

import (
	"fmt"
	"math"
	"time"
)

// seatSeconds is an amount of work, or a reading of R, in hundred-millionths of a seat-second.
type seatSeconds int64

const (
	perSeatSecond = 100_000_000
	nanosPerUnit  = float64(time.Second) / perSeatSecond

	// assumed is how long a request is taken to run before it has.
	assumed = 3 * time.Millisecond
	// epochLength is by how much R is set back when it has grown to twice that.
	epochLength = seatSeconds(math.MaxInt64 / 4)
)

func seatTime(seats float64, d time.Duration) seatSeconds {
	return seatSeconds(math.Round(seats * float64(d) / nanosPerUnit))
}

// perSeat is how long the work takes on a number of seats.
func (s seatSeconds) perSeat(seats float64) time.Duration {
	return time.Duration(float64(s) / seats * nanosPerUnit)
}

func (s seatSeconds) float() float64 { return float64(s) / perSeatSecond }

// String is as upstream's pages show it.
func (s seatSeconds) String() string {
	return fmt.Sprintf("%d.%08dss", s/perSeatSecond, s%perSeatSecond)
}

// Width is how much of a server a request takes.
type Width struct {
	Initial int           // seats while it runs, at least 1
	Final   int           // seats while it lingers; 0 when it does not
	Lingers time.Duration // after it has run
}

// most are the seats that are set aside for it throughout.
func (w Width) most() int { return max(w.Initial, w.Final) }
