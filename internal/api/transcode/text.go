package transcode

import "unicode/utf8"

// plain has the bytes that stand in JSON's strings as they are, as encoding/json writes them with its escapes for HTML.
var plain = func() (set [256]bool) {
	for b := byte(' '); b < utf8.RuneSelf-1; b++ {
		set[b] = true
	}
	set[utf8.RuneSelf-1] = true
	for _, b := range []byte(`"\<>&`) {
		set[b] = false
	}
	return set
}()

// short are the escapes of two characters, by what they stand for.
var short = [256]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// appendText appends a string. What is no UTF-8 becomes U+FFFD.
func appendText(dst, s []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRune(s[i:]); !isEscaped(r, size) {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendRune(dst, r)
		} else {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// isEscaped says whether a rune beyond ASCII is written with an escape: those that end a line in JavaScript, and what is none.
func isEscaped(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029'
}

func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '\u2028':
		return append(dst, `\u2028`...)
	case '\u2029':
		return append(dst, `\u2029`...)
	}
	return append(dst, `\ufffd`...)
}

func appendEscape(dst []byte, c byte) []byte {
	if s := short[c]; s != 0 {
		return append(dst, '\\', s)
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

// maxFieldDepth bounds the sets of fields that are taken as they are.
const maxFieldDepth = 100

// isFieldSet says of a set of fields, as the tracking of managers writes it, that it is JSON without anything that encoding/json would
// change: objects in objects, without space, with keys of plain ASCII whose only escapes are of quotes and of backslashes. It may say no of
// any other.
func isFieldSet(b []byte) bool {
	depth := 0
	for at := 0; at < len(b) && b[at] == '{' && depth < maxFieldDepth; {
		depth++
		at++
		if at < len(b) && b[at] == '}' { // an empty one, which may end those around it
			at, depth = closes(b, at, depth)
			switch {
			case depth == 0:
				return at == len(b)
			case at == len(b) || b[at] != ',':
				return false
			}
			at++
		}
		if at = afterKey(b, at); at < 0 {
			return false
		}
	}
	return false
}

// closes passes over the braces that close.
func closes(b []byte, at, depth int) (int, int) {
	for at < len(b) && b[at] == '}' && depth > 0 {
		at++
		depth--
	}
	return at, depth
}

// afterKey returns where the value of the key at at begins; -1 when there is no plain key.
func afterKey(b []byte, at int) int {
	if at >= len(b) || b[at] != '"' {
		return -1
	}
	for at++; at < len(b); at++ {
		switch c := b[at]; {
		case plain[c]:
		case c == '"':
			if at+1 < len(b) && b[at+1] == ':' {
				return at + 2
			}
			return -1
		case c == '\\' && at+1 < len(b) && (b[at+1] == '"' || b[at+1] == '\\'):
			at++
		default:
			return -1
		}
	}
	return -1
}
