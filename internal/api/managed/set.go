package managed

import (
	"encoding/json"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// mark says what became of a field. In the set of a manager every member has the mark added.
type mark uint8

const (
	added mark = 1 << iota
	modified
	removed
	changed = added | modified | removed
)

// set is a set of fields: a forest of path elements in preorder, siblings in upstream's order and each once. It is read only once made.
type set []node

// node is one path element. It has a mark or something below it.
type node struct {
	key   string // as it stands in FieldsV1, escaped for JSON: f:spec, k:{\"name\":\"main\"}, v:\"x\"
	size  int32  // how many nodes the subtree has, this one included
	marks mark   // 0: not a member itself
}

// below is what stands below the first node.
func (s set) below() set { return s[1:s[0].size] }

// rest is what follows the first node's subtree.
func (s set) rest() set { return s[s[0].size:] }

// open begins a node, whose subtree is what is appended until it is closed.
func (s *set) open(key string) (at int) {
	*s = append(*s, node{key: key})
	return len(*s) - 1
}

// close ends the node at a place. One without a mark and with nothing below goes away.
func (s *set) close(at int, m mark) {
	if m == 0 && len(*s) == at+1 {
		*s = (*s)[:at]
		return
	}
	(*s)[at].marks, (*s)[at].size = m, int32(len(*s)-at)
}

// appendMarked appends the members of s that have one of the marks, as members of dst.
func (s set) appendMarked(dst *set, m mark) {
	for ; len(s) > 0; s = s.rest() {
		at := dst.open(s[0].key)
		s.below().appendMarked(dst, m)
		dst.close(at, member(s[0].marks&m != 0))
	}
}

func member(is bool) mark {
	if is {
		return added
	}
	return 0
}

// appendDifference appends the members of s that have no mark in t.
func (s set) appendDifference(dst *set, t set) {
	for ; len(s) > 0; s = s.rest() {
		t = t.from(s[0].key)
		at := dst.open(s[0].key)
		if len(t) == 0 || t[0].key != s[0].key {
			*dst = append(*dst, s.below()...)
			dst.close(at, s[0].marks)
			continue
		}
		s.below().appendDifference(dst, t.below())
		dst.close(at, member(s[0].marks != 0 && t[0].marks == 0))
	}
}

// appendUnion appends the members of s and of t.
func (s set) appendUnion(dst *set, t set) {
	for len(s) > 0 && len(t) > 0 {
		switch order := compareKeys(s[0].key, t[0].key); {
		case order < 0:
			*dst = append(*dst, s[:s[0].size]...)
			s = s.rest()
		case order > 0:
			*dst = append(*dst, t[:t[0].size]...)
			t = t.rest()
		default:
			at := dst.open(s[0].key)
			s.below().appendUnion(dst, t.below())
			dst.close(at, member(s[0].marks|t[0].marks != 0))
			s, t = s.rest(), t.rest()
		}
	}
	*dst = append(append(*dst, s...), t...)
}

// appendWithin appends what of s the paths name, with all below it, and what stands on the way there.
func (s set) appendWithin(dst *set, paths []string) {
	for ; len(s) > 0; s = s.rest() {
		below, all := beyond(paths, s[0].key)
		if !all && below == nil {
			continue
		}
		at := dst.open(s[0].key)
		if all {
			*dst = append(*dst, s.below()...)
		} else {
			s.below().appendWithin(dst, below)
		}
		dst.close(at, s[0].marks)
	}
}

// beyond returns what of the paths is below a path element; all says that the element itself is one of them.
func beyond(paths []string, key string) (below []string, all bool) {
	for _, path := range paths {
		name, rest, more := strings.Cut(path, ".")
		switch {
		case name != "*" && key != fieldKey(name):
		case !more:
			return nil, true
		default:
			below = append(below, rest)
		}
	}
	return below, false
}

// from skips the trees that stand before key.
func (s set) from(key string) set {
	for len(s) > 0 && s[0].key != key && compareKeys(s[0].key, key) < 0 {
		s = s.rest()
	}
	return s
}

// appendJSON appends the set as FieldsV1.
func (s set) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = s.appendMembers(b, false)
	return append(b, '}')
}

func (s set) appendMembers(b []byte, self bool) []byte {
	if self {
		b = append(b, `".":{}`...)
	}
	for ; len(s) > 0; s = s.rest() {
		if self {
			b = append(b, ',')
		}
		self = true
		b = append(append(append(b, '"'), s[0].key...), `":{`...)
		if below := s.below(); len(below) > 0 {
			b = below.appendMembers(b, s[0].marks != 0)
		}
		b = append(b, '}')
	}
	return b
}

// parseSet reads what appendJSON wrote. ok is false for anything else, such as spaces or another order.
func parseSet(text string) (s set, ok bool) {
	s = make(set, 0, strings.Count(text, ":{"))
	rest, _, ok := s.parse(text)
	return s, ok && rest == ""
}

// parse reads one object and returns what follows it, and whether the path that it stands at is a member.
func (s *set) parse(text string) (rest string, self, ok bool) {
	text, ok = strings.CutPrefix(text, "{")
	if !ok {
		return "", false, false
	}
	if rest, ok = strings.CutPrefix(text, "}"); ok {
		return rest, true, true
	}
	for last := ""; ; {
		end := closingQuote(text)
		if end < 0 || !strings.HasPrefix(text[end:], `":`) {
			return "", false, false
		}
		key := text[1:end]
		text = text[end+2:]
		if key == "." {
			if rest, ok = strings.CutPrefix(text, "{}"); !ok || last != "" || self {
				return "", false, false
			}
			self = true
		} else {
			if len(key) < 2 || last != "" && compareKeys(last, key) >= 0 {
				return "", false, false
			}
			last = key
			at := s.open(key)
			var is bool
			if rest, is, ok = s.parse(text); !ok {
				return "", false, false
			}
			s.close(at, member(is))
		}
		if text, ok = strings.CutPrefix(rest, ","); ok {
			continue
		}
		rest, ok = strings.CutPrefix(rest, "}")
		return rest, self, ok
	}
}

// closingQuote is where the string that text begins with ends; -1 when it begins with none.
func closingQuote(text string) int {
	if len(text) == 0 || text[0] != '"' {
		return -1
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// compareKeys orders path elements as upstream does: fields, then keys of list items, then values, then places; each by content.
func compareKeys(a, b string) int {
	switch {
	case a == b:
		return 0
	case a[0] != b[0]:
		return strings.IndexByte("fkvi", a[0]) - strings.IndexByte("fkvi", b[0])
	case a[0] == 'f' && strings.IndexByte(a, '\\') < 0 && strings.IndexByte(b, '\\') < 0:
		return strings.Compare(a, b)
	case a[0] == 'f' || strings.Contains(a, `\\`) || strings.Contains(b, `\\`):
		return compareParsed(a, b)
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) || strings.Count(a[:i], `"`)%2 == 0 { // not inside a string: numbers, mostly
		return compareParsed(a, b)
	}
	switch {
	case a[i] == '\\': // the string ends here
		return -1
	case b[i] == '\\':
		return 1
	}
	return strings.Compare(a[i:i+1], b[i:i+1])
}

// compareParsed asks upstream. What cannot be read stands where its text says; it is in no set that upstream wrote.
func compareParsed(a, b string) int {
	x, errX := pathElement(a)
	y, errY := pathElement(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

func pathElement(key string) (fieldpath.PathElement, error) {
	var plain string
	if err := json.Unmarshal([]byte(`"`+key+`"`), &plain); err != nil {
		return fieldpath.PathElement{}, err
	}
	return fieldpath.DeserializePathElement(plain)
}
