package registry

import (
	"slices"
	"strings"
)

// challenge is one of the ways to authenticate that a server offers, as RFC 9110 section 11 writes them.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// maxChallenges bounds how many are looked at.
const maxChallenges = 16

// challenges reads the values of WWW-Authenticate, bearer before the rest. What cannot be read is left out.
func challenges(values []string) []challenge {
	var all []challenge
	for _, v := range values {
		for rest := strings.TrimSpace(v); rest != "" && len(all) < maxChallenges; {
			var c challenge
			c, rest = nextChallenge(rest)
			if c.scheme != "" {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b challenge) int {
		return rank(a.scheme) - rank(b.scheme)
	})
	return all
}

func rank(scheme string) int {
	if scheme == "bearer" {
		return 0
	}
	return 1
}

// nextChallenge reads SCHEME NAME="VALUE",… from the front of s, up to the next scheme.
func nextChallenge(s string) (challenge, string) {
	scheme, rest, _ := strings.Cut(s, " ")
	c := challenge{scheme: strings.ToLower(strings.Trim(scheme, ",")), params: map[string]string{}}
	for rest = strings.TrimLeft(rest, " ,\t"); rest != ""; rest = strings.TrimLeft(rest, " ,\t") {
		end := strings.IndexAny(rest, "= ,\t")
		if end < 0 || rest[end] != '=' {
			return c, rest // a word that is no parameter begins the next challenge
		}
		name := strings.ToLower(rest[:end])
		c.params[name], rest = parameterValue(rest[end+1:])
	}
	return c, rest
}

// parameterValue reads a token or a quoted string from the front of s.
func parameterValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			return s, ""
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
