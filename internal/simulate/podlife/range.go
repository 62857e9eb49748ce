package podlife

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Range is a duration between two, both included; with Most 0, or not above Least, it is Least. The zero value is no time.
type Range struct {
	Least, Most time.Duration
}

// Constant is a range of one duration.
func Constant(d time.Duration) Range { return Range{Least: d, Most: d} }

// At is the duration that stands at a share of the range, 0 ≤ share < 1.
func (r Range) At(share float64) time.Duration {
	if r.Most <= r.Least {
		return r.Least
	}
	return r.Least + time.Duration(share*float64(r.Most-r.Least))
}

// IsZero says that a range is no time.
func (r Range) IsZero() bool { return r.Least == 0 && r.Most <= 0 }

// ParseRange reads "2s", or "1s..5s" for what lies between.
func ParseRange(text string) (Range, error) {
	least, most, both := strings.Cut(text, "..")
	var r Range
	var err error
	if r.Least, err = time.ParseDuration(least); err != nil {
		return Range{}, fmt.Errorf("%q: must be a duration such as 2s, or two such as 1s..5s", text)
	}
	r.Most = r.Least
	if both {
		if r.Most, err = time.ParseDuration(most); err != nil {
			return Range{}, fmt.Errorf("%q: must be a duration such as 2s, or two such as 1s..5s", text)
		}
	}
	if r.Least < 0 || r.Most < r.Least {
		return Range{}, fmt.Errorf("%q: must not be negative, nor end before it begins", text)
	}
	return r, nil
}

// String is what ParseRange reads.
func (r Range) String() string {
	if r.Most <= r.Least {
		return r.Least.String()
	}
	return r.Least.String() + ".." + r.Most.String()
}

// UnmarshalJSON reads a string as ParseRange does.
func (r *Range) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s: must be a duration such as 2s, or two such as 1s..5s", data)
	}
	parsed, err := ParseRange(text)
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (r Range) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }
