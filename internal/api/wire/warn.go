package wire

import (
	"strings"
	"unicode/utf8"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// What the warnings of one answer may say, in characters, as upstream.
const (
	maxWarnings     = 4 << 10 // all together; when they are more, each is shortened
	maxShortWarning = 256
)

// warnings are what was said to a client beside the answer, each once.
type warnings struct {
	texts  []string
	known  map[string]bool
	chars  int  // in the answer's header
	shorts bool // there were too many, and each is shortened
}

// warn tells a client something, in a header of the answer. It must be called before the answer begins, by one goroutine.
func (c *call) warn(text string) {
	if lines, ok := strings.CutPrefix(text, "error converting YAML to JSON: yaml: unmarshal errors:\n"); ok {
		for line := range strings.SplitSeq(lines, "\n") { // each of them is one, as upstream has it
			c.warn(strings.TrimSpace(line))
		}
		return
	}
	w := &c.warned
	if text == "" || w.known[text] || w.shorts && w.chars >= maxWarnings {
		return
	}
	if w.known == nil {
		w.known = map[string]bool{}
	}
	w.known[text], w.texts = true, append(w.texts, text)
	if !w.shorts && w.chars+utf8.RuneCountInString(text) > maxWarnings {
		w.shorts, w.chars = true, 0
		c.w.Header().Del("Warning")
		for _, text := range w.texts {
			c.say(text)
		}
		return
	}
	c.say(text)
}

// say adds one header. What is no text that a header can have is left out.
func (c *call) say(text string) {
	chars := utf8.RuneCountInString(text)
	if c.warned.shorts && chars > maxShortWarning {
		text, chars = string([]rune(text)[:maxShortWarning]), maxShortWarning
	}
	if header, err := utilnet.NewWarningHeader(299, "-", text); err == nil {
		c.warned.chars += chars
		c.w.Header().Add("Warning", header)
	}
}
