// Package transcript is the whole of what a server answers to a list of requests, as a text that a reviewer can read and a test can compare.
//
// A transcript is a file of blocks: the word request, the request, ----, the answer, an empty line. That is the form of cockroachdb/datadriven,
// so that a test can run one as a script; an answer with empty lines stands between doubled ---- lines. The requests are written by hand; `make compare` sends
// them to upstream's kube-apiserver and writes its answers below them. Each file begins on a server that has seen the files before it, and
// cleans up what it made.
//
// What differs between two runs on one server is replaced by a word: UID, RV (a resource version), TIME (a moment of 2025 or later: requests
// use earlier ones), AGE (in a table), TOKEN (that continues a list), ADDRESS (of the server), SUFFIX (of a generated name) and GO (the
// toolchain), CLUSTERIP and PORT (that a service was given), CREDENTIAL (a token, or the hash of a certificate). Managed fields are left out, except where the request has the header "X-Show: managedFields".
//
// Other words with a meaning in a request: the header "X-User: NAME" sends it as somebody else, "X-User: system:anonymous" without
// credentials, and CONTINUE is the token of the last list that had one. So are LASTVERSION and LASTUID the version and the UID of the last
// object that was answered, LISTVERSION the version of the last list, and FIRSTVERSION the version in the answer to the last request with the header "X-Keep".
// Methods of no request are COMPACT (the log forgets all but what is current), SETTLE (wait until what was written is in the server's caches) and AWAIT (ask
// for the path until the answer has the text of the header "X-Until").
// With "X-Form: protobuf" the body, which stands as JSON, is sent in protobuf. An answer in protobuf stands as YAML, as one in JSON does.
package transcript

import (
	"fmt"
	"strings"
)

// Block is one request of a transcript and its answer.
type Block struct {
	Lead   string // comments and empty lines before it, as they stand in the file
	Input  string // the request as exchange.Parse reads it
	Answer string // ends with a newline, or is empty when it was never recorded
}

const (
	command = "request"
	line    = "----"
)

// Read returns the blocks of a transcript, in order. A file whose name ends with Packed is compressed.
func Read(file string) ([]Block, error) {
	text, err := load(file)
	if err != nil {
		return nil, err
	}
	blocks, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return blocks, nil
}

// Parse returns the blocks of a text. Comments after the last block are an error, since Format would lose them.
func Parse(text string) ([]Block, error) {
	p := parser{rest: strings.SplitAfter(text, "\n")}
	var blocks []Block
	for {
		lead, found := p.until(command)
		switch {
		case !found && strings.TrimSpace(lead) != "":
			return nil, fmt.Errorf("no request follows %q", strings.TrimSpace(lead))
		case !found:
			return blocks, nil
		}
		input, found := p.until(line)
		if !found {
			return nil, fmt.Errorf("no %s follows %q", line, strings.TrimSpace(input))
		}
		answer, err := p.answer()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(input), err)
		}
		blocks = append(blocks, Block{Lead: lead, Input: input, Answer: answer})
	}
}

// parser takes lines from the front of a text.
type parser struct{ rest []string }

func (p *parser) next() string {
	if len(p.rest) == 0 {
		return ""
	}
	s := p.rest[0]
	p.rest = p.rest[1:]
	return s
}

// until returns what stands before a line, and takes both.
func (p *parser) until(want string) (text string, found bool) {
	var out strings.Builder
	for len(p.rest) > 0 {
		s := p.next()
		if strings.TrimRight(s, "\n") == want {
			return out.String(), true
		}
		out.WriteString(s)
	}
	return out.String(), false
}

// answer takes an answer with the empty line or the doubled ---- that ends it.
func (p *parser) answer() (string, error) {
	if len(p.rest) == 0 || strings.TrimRight(p.rest[0], "\n") != line {
		answer, _ := p.until("")
		return answer, nil
	}
	p.next()
	answer, found := p.until(line)
	if !found || strings.TrimRight(p.next(), "\n") != line {
		return "", fmt.Errorf("the answer has no end")
	}
	p.next()
	return answer, nil
}

// Format is the reverse of Parse.
func Format(blocks []Block) string {
	var out strings.Builder
	for _, b := range blocks {
		out.WriteString(b.Lead + command + "\n" + b.Input + line + "\n")
		if strings.Contains("\n"+b.Answer, "\n\n") || strings.HasPrefix(b.Answer, line) {
			out.WriteString(line + "\n" + b.Answer + line + "\n" + line + "\n\n")
			continue
		}
		out.WriteString(b.Answer + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}
