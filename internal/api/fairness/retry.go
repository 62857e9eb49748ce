package fairness

// mostRetryAfter is the most seconds that a client is asked to stay away.
const mostRetryAfter = 32

// retries says after how many seconds whom a level refuses should come back: the more are refused, the later. It doubles when three a second
// were refused over that many seconds, at most once in that many, and falls by one when there was less than one a second. It looks when a
// second is the first with a refusal. It holds numbers of 64 seconds at most.
type retries struct {
	after   int64 // 0: 1
	raised  int64 // when, in seconds since 1970
	second  int64 // of the newest refusals
	counted [2 * mostRetryAfter]struct{ second, refused int64 }
}

// refused counts one refusal and returns what to tell the client.
func (r *retries) refused(second int64) int64 {
	r.after = max(r.after, 1)
	slot := &r.counted[second%int64(len(r.counted))]
	if slot.second != second {
		slot.second, slot.refused = second, 0
	}
	slot.refused++
	if second != r.second {
		r.second = second
		r.adjust(second)
	}
	return r.after
}

func (r *retries) adjust(second int64) {
	refused := int64(0)
	for _, c := range r.counted {
		if age := second - c.second; age > 0 && age <= r.after {
			refused += c.refused
		}
	}
	switch {
	case second-r.raised >= r.after && refused >= 3*r.after:
		r.after, r.raised = min(2*r.after, mostRetryAfter), second
	case refused < r.after && r.after > 1:
		r.after--
	}
}
