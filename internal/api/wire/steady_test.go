package wire_test

import (
	"regexp"
	"slices"
	"strings"
)

// steady is an answer without what depends on the moment and on chance, which the two servers do not share, and which the recorder leaves in:
//
//   - node ports in the cells of tables, but those that a request asked for;
//   - how long ago something was that a request dates;
//   - the order of managed fields, which is that of the seconds in which they were written;
//   - the order of what upstream keeps in a map: the rules that a user has, the parts of the control plane, and the resources that
//     definitions define;
//   - a change that shows nothing new: upstream writes an object again whose managed fields differ in nothing but the second, where its own form of the object
//     has read a default into what was sent (stateful sets with claims), so that it depends on the second too.
func steady(answer, asked string) string {
	answer = nodePort.ReplaceAllStringFunc(answer, func(s string) string {
		if port := nodePort.FindStringSubmatch(s)[1]; strings.Contains(asked, port) {
			return s
		}
		return nodePort.ReplaceAllString(s, ":PORT/$2")
	})
	answer = longAgo.ReplaceAllString(answer, "(AGE ago)")
	if strings.Contains(answer, "\nkind: SelfSubjectRulesReview\n") || strings.Contains(answer, "\nkind: ComponentStatusList\n") ||
		strings.Contains(answer, "\nkind: APIResourceList\n") {
		answer = unordered(answer)
	}
	return withoutRepeats(inOrder(strings.Split(answer, "\n")))
}

var (
	nodePort = regexp.MustCompile(`:(3[0-2]\d{3})/(TCP|UDP|SCTP)\b`)
	longAgo  = regexp.MustCompile(`\((\d+[smhdy])+ ago\)`)
)

// inOrder sorts the entries of managed fields, each of which is a line.
func inOrder(lines []string) []string {
	for i := 0; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) != "managedFields:" {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i]), "- ") && strings.Contains(lines[i], "{"); i++ {
		}
		slices.Sort(lines[from:i])
	}
	return lines
}

// withoutRepeats leaves out the events of a watch that say what the one before them said.
func withoutRepeats(lines []string) string {
	const event = "- object:"
	var out []string
	last := ""
	for len(lines) > 0 {
		end := 1
		if lines[0] == event {
			for end < len(lines) && strings.HasPrefix(lines[end], "  ") {
				end++
			}
			text := strings.Join(lines[:end], "\n")
			if text != last {
				out = append(out, lines[:end]...)
			}
			last = text
		} else {
			out = append(out, lines[0])
		}
		lines = lines[end:]
	}
	return strings.Join(out, "\n")
}

// unordered sorts the entries of the outermost lists of a document.
func unordered(answer string) string {
	var out, entries []string
	depth := -1 // of the list that entries are of
	flush := func() {
		slices.Sort(entries)
		out, entries, depth = append(out, entries...), nil, -1
	}
	for line := range strings.SplitSeq(answer, "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		begins := strings.HasPrefix(line[indent:], "- ")
		if depth >= 0 && (indent < depth || indent == depth && !begins) {
			flush()
		}
		switch {
		case begins && (depth < 0 || indent == depth):
			depth, entries = indent, append(entries, line)
		case depth >= 0:
			entries[len(entries)-1] += "\n" + line
		default:
			out = append(out, line)
		}
	}
	flush()
	return strings.Join(out, "\n")
}
