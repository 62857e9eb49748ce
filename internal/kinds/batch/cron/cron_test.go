package cron_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/batch/cron"
)

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "empty spec string",
		"* * * *":           "expected exactly 5 fields, found 4: [* * * *]",
		"60 * * * *":        "end of range (60) above maximum (59): 60",
		"* * 0 * *":         "beginning of range (0) below minimum (1): 0",
		"5-3 * * * *":       "beginning of range (5) beyond end of range (3): 5-3",
		"*/0 * * * *":       "step of range should be a positive number: */0",
		"1-2-3 * * * *":     "too many hyphens: 1-2-3",
		"1/2/3 * * * *":     "too many slashes: 1/2/3",
		"x * * * *":         `failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax`,
		"*/-2 * * * *":      "negative number (-2) not allowed: -2",
		"* * * foo *":       `failed to parse int from foo: strconv.Atoi: parsing "foo": invalid syntax`,
		"@never":            "unrecognized descriptor: @never",
		"@every x":          `failed to parse duration @every x: time: invalid duration "x"`,
		"TZ=UTC":            "invalid schedule format: runtime error: slice bounds out of range [:-1]",
		"TZ=No/Such * * * ": "provided bad location No/Such: unknown time zone No/Such",
	} {
		if _, err := cron.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestNext(t *testing.T) {
	const layout = "2006-01-02 15:04:05"
	for _, c := range []struct{ text, after, want string }{
		{"*/5 * * * *", "2026-01-02 03:04:05", "2026-01-02 03:05:00"},
		{"*/5 * * * *", "2026-01-02 03:05:00", "2026-01-02 03:10:00"},
		{"0 0 * * *", "2026-12-31 23:59:59", "2027-01-01 00:00:00"},
		{"30 4 29 feb *", "2026-01-01 00:00:00", "2028-02-29 04:30:00"},
		{"0 0 30 2 *", "2026-01-01 00:00:00", "0001-01-01 00:00:00"},
		{", * * * *", "2026-01-01 00:00:00", "0001-01-01 00:00:00"},
		{"0 12 13 * FRI", "2026-01-01 00:00:00", "2026-01-02 12:00:00"}, // either day
		{"0 12 */2 * MON", "2026-01-03 13:00:00", "2026-01-05 12:00:00"},
		{"0 12 * * mon-wed", "2026-01-08 00:00:00", "2026-01-12 12:00:00"},
		{"10/20 * * * *", "2026-01-01 00:31:00", "2026-01-01 00:50:00"},
		{"? 3 ? * ?", "2026-01-01 03:59:30", "2026-01-02 03:00:00"},
		{"@weekly", "2026-01-01 00:00:00", "2026-01-04 00:00:00"},
		{"@every 90s", "2026-01-01 00:00:10", "2026-01-01 00:01:40"},
		{"@every 1ms", "2026-01-01 00:00:10", "2026-01-01 00:00:11"},
		{"CRON_TZ=America/New_York 0 9 * * *", "2026-01-01 00:00:00", "2026-01-01 14:00:00"},
		{"TZ=America/New_York 30 2 * * *", "2026-03-08 00:00:00", "2026-03-09 06:30:00"}, // left out on the 8th
		{"TZ=Asia/Beirut 0 1 29 3 *", "2026-01-01 00:00:00", "2026-03-28 22:00:00"},      // a day without a midnight
		{"TZ=Asia/Beirut 0 1 28-30 3 *", "2026-03-28 12:00:00", "2026-03-28 22:00:00"},
	} {
		after, err := time.Parse(layout, c.after)
		if err != nil {
			t.Fatal(err)
		}
		s, err := cron.Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := s.Next(after).Format(layout); got != c.want {
			t.Errorf("%q after %s: got %s, want %s", c.text, c.after, got, c.want)
		}
	}
}
