package managed

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// fieldKey is the path element of a field or of a map's entry.
func fieldKey(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] == '"' || name[i] == '\\' {
			return string(appendEscaped([]byte("f:"), name))
		}
	}
	return "f:" + name
}

// appendEscaped appends what stands between the quotes of a JSON string.
func appendEscaped[T string | []byte](b []byte, text T) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendQuoted appends a string as JSON that is safe within HTML, which is how upstream writes the values in path elements.
func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029':
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default:
			b = appendEscaped(b, text[i:i+n])
		}
		i += n
	}
	return append(b, '"')
}

// appendScalar appends a scalar as JSON.
func appendScalar(b []byte, s *shape, v value) []byte {
	switch s.base {
	case text:
		return appendQuoted(b, v.String())
	case integer:
		return strconv.AppendInt(b, v.Int(), 10)
	case boolean:
		return strconv.AppendBool(b, v.Bool())
	}
	panic("managed: a key or an element of a set is a " + v.Type().String())
}
