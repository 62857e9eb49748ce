package fairness

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// What upstream takes work to be.
const (
	mostListSeats     = 100
	mostChangeSeats   = 10
	bytesPerSeat      = 100_000
	streamedBytes     = 1_000_000 // that a list from memory holds at once, at most
	unknownBytes      = 1_500_000 // of an object whose size is not known
	watchersPerSeat   = 10
	perWatchersSeat   = 5 * time.Millisecond
	mostSeatsOfLevel  = 0.15 // of its nominal seats, for one request
	metadataNameField = "metadata.name"
)

// Load says what a request is about, as far as its width depends on it.
type Load interface {
	// Stored is how many objects of the request's resource there are, and the bytes of a typical one; ok false: it is no resource of this server.
	Stored() (objects int, bytes int64, ok bool)
	// Options are a list's or a watch's; nil when they cannot be read.
	Options() *metav1.ListOptions
}

// estimate says how wide a request of a level is. watchers are told of what it changes.
func estimate(call *Call, mostSeats int, watchers func() int) Width {
	switch call.Attributes.Verb {
	case "list", "watch":
		return Width{Initial: listSeats(call, cap0(mostSeats, mostListSeats))}
	case "create", "update", "patch", "delete":
		if call.Attributes.Resource == "serviceaccounts" && call.Attributes.Subresource == "token" {
			break // changes nothing that anybody watches
		}
		return changeWidth(watchers(), cap0(mostSeats, mostChangeSeats))
	}
	return Width{Initial: 1}
}

// cap0 bounds most; 0 is no bound of its own.
func cap0(most, limit int) int {
	if most == 0 {
		return limit
	}
	return min(most, limit)
}

func listSeats(call *Call, most int) int {
	opts := call.Load.Options()
	if opts == nil { // it will be refused
		return most
	}
	watches := call.Attributes.Verb == "watch"
	if watches && !sendsWhatExists(opts) {
		return 1
	}
	objects, bytes, ok := call.Load.Stored()
	if !ok {
		return 1
	}
	if bytes <= 0 && objects != 0 {
		bytes = unknownBytes
	}
	fromMemory := watches || listsFromMemory(opts)
	loaded := int64(objects)
	if opts.Limit > 0 {
		loaded = min(loaded, opts.Limit)
	}
	switch {
	case namesOne(call, opts):
		loaded = 1
	case !fromMemory && (opts.FieldSelector != "" || opts.LabelSelector != ""):
		loaded = max(loaded, int64(objects)/2)
	}
	size := loaded * bytes
	if fromMemory {
		size = min(size, streamedBytes)
	}
	return min(max(int(math.Ceil(float64(size)/bytesPerSeat)), 1), most)
}

// sendsWhatExists: a watch that begins with the objects that there are.
func sendsWhatExists(opts *metav1.ListOptions) bool {
	return opts.SendInitialEvents != nil && *opts.SendInitialEvents || opts.ResourceVersion == "" || opts.ResourceVersion == "0"
}

// listsFromMemory: upstream reads the past, and pages after the first, from storage. Widths are the same here, so that limits mean the same.
func listsFromMemory(opts *metav1.ListOptions) bool {
	switch opts.ResourceVersionMatch {
	case metav1.ResourceVersionMatchNotOlderThan:
		return true
	case "":
		exact := opts.Limit > 0 && opts.ResourceVersion != "" && opts.ResourceVersion != "0"
		return opts.Continue == "" && !exact
	}
	return false
}

func namesOne(call *Call, opts *metav1.ListOptions) bool {
	if call.Attributes.Name != "" {
		return true
	}
	if opts.FieldSelector == "" {
		return false
	}
	selector, err := fields.ParseSelector(opts.FieldSelector)
	if err != nil {
		return false
	}
	_, exact := selector.RequiresExactMatch(metadataNameField)
	return exact
}

// changeWidth spreads what a change costs its watchers over the seats that a request may have.
func changeWidth(watchers, most int) Width {
	w := Width{Initial: 1}
	if watchers >= watchersPerSeat {
		seats := (watchers + watchersPerSeat - 1) / watchersPerSeat
		work := seatTime(float64(seats), perWatchersSeat)
		w.Final = min(seats, most)
		w.Lingers = work.perSeat(float64(w.Final))
	}
	return w
}

// levelSeats are the most for one request of a level.
func levelSeats(nominal, hand int) int {
	return max(1, min(int(math.Ceil(float64(nominal)*mostSeatsOfLevel)), nominal/hand))
}
