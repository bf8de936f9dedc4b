package pricing

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Where in a JSON text a refusal's place stands (twin: otel_tokenomics/pricebook_source/places.py).

// Locate sets the line (from 1) on which a refusal's place begins in its text; that of what lacks it where it is missing.
func (e *BookError) Locate(data []byte) {
	if e.Path == "" {
		return
	}
	if told, ok := strings.CutPrefix(e.Path, "line "); ok {
		number, _, _ := strings.Cut(told, " ")
		e.Line, _ = strconv.Atoi(number)
		return
	}
	scan := newScanner(data)
	scan.wanted, scan.found = e.Path, 1
	scan.value("", true)
	e.Line = scan.found
}

// RefuseKeyTwice refuses a JSON text in which an object has a key twice: readers keep the last in silence. A text that is
// no JSON passes: it is refused by whoever reads it.
func RefuseKeyTwice(data []byte, origin string) error {
	scan := newScanner(data)
	scan.value("", true)
	if scan.twice == "" {
		return nil
	}
	rule := "must be the only key " + scan.twice + " of its object, stands twice"
	return &BookError{Origin: origin, Path: "line " + strconv.Itoa(scan.twiceLine), Rule: rule}
}

// maxDepth is how deep encoding/json reads.
const maxDepth = 10_000

// scanner walks the tokens of a JSON text and knows their lines.
type scanner struct {
	data    []byte
	decoder *json.Decoder
	read    int64
	line    int
	depth   int
	// over is set where the text is no JSON any more, or deeper than any reader goes.
	over bool

	wanted    string
	found     int
	twice     string
	twiceLine int
}

func newScanner(data []byte) *scanner {
	data = bytes.TrimPrefix(data, byteOrderMark)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return &scanner{data: data, decoder: decoder, line: 1}
}

// token returns the next token, nil at the end of what is JSON. No token has an end of line in it.
func (s *scanner) token() json.Token {
	token, err := s.decoder.Token()
	if err != nil {
		s.over = true
		return nil
	}
	offset := s.decoder.InputOffset()
	s.line += bytes.Count(s.data[s.read:offset], []byte{'\n'})
	s.read = offset
	return token
}

// value reads one value at a path; a key's line counts for its value, so own is false there.
func (s *scanner) value(path string, own bool) {
	s.depth++
	defer func() { s.depth-- }()
	s.over = s.over || s.depth > maxDepth
	if s.over {
		return
	}
	token := s.token()
	if own {
		s.see(path)
	}
	switch token {
	case json.Delim('['):
		for index := 0; !s.over && s.decoder.More(); index++ {
			s.value(at(path, index), true)
		}
		s.token()
	case json.Delim('{'):
		seen := map[string]struct{}{}
		for !s.over && s.decoder.More() {
			key, ok := s.token().(string)
			if !ok {
				return
			}
			if _, taken := seen[key]; taken && s.twice == "" {
				s.twice, s.twiceLine = shown(key), s.line
			}
			seen[key] = struct{}{}
			inner := join(path, key)
			s.see(inner)
			s.value(inner, false)
		}
		s.token()
	}
}

// see remembers the line of the wanted path, or of what it lies in.
func (s *scanner) see(path string) {
	rest, inside := strings.CutPrefix(s.wanted, path)
	if inside && (rest == "" || path == "" || rest[0] == '.' || rest[0] == '[') {
		s.found = s.line
	}
}
