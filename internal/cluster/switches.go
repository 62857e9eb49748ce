package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Switches are names with a value each, such as feature gates. In a file they are a map of true and false, as upstream's; a flag is given "NAME=true", several
// with commas between, and may be given again.
type Switches map[string]string

// List returns "NAME=VALUE" for each, sorted.
func (s Switches) List() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		out = append(out, name+"="+s[name])
	}
	return out
}

// UnmarshalJSON takes a map of booleans or strings.
func (s *Switches) UnmarshalJSON(data []byte) error {
	var given map[string]any
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	*s = Switches{}
	for name, value := range given {
		switch value.(type) {
		case bool, string:
			(*s)[name] = fmt.Sprint(value)
		default:
			return fmt.Errorf("%s: %v: must be true or false", name, value)
		}
	}
	return nil
}

// String is the flag's value.
func (s *Switches) String() string { return strings.Join(s.List(), ",") }

// Type names the flag's type in its help.
func (s *Switches) Type() string { return "NAME=true|false,..." }

// Set adds what a flag was given.
func (s *Switches) Set(text string) error {
	for _, entry := range strings.Split(text, ",") {
		if err := s.Append(entry); err != nil {
			return err
		}
	}
	return nil
}

// Append adds one "NAME=VALUE".
func (s *Switches) Append(entry string) error {
	name, value, _ := strings.Cut(entry, "=")
	if *s == nil {
		*s = Switches{}
	}
	if name = strings.TrimSpace(name); name != "" {
		(*s)[name] = strings.TrimSpace(value)
	}
	return nil
}

// Replace is Append after everything was taken away.
func (s *Switches) Replace(list []string) error {
	*s = Switches{}
	for _, entry := range list {
		if err := s.Append(entry); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice is List, as flags call it.
func (s *Switches) GetSlice() []string { return s.List() }
