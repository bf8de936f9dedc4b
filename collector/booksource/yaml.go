package booksource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// YAML as JSON text, by few rules that leave nothing to guess (twin: otel_tokenomics/pricebook_source/yaml_text.py).
// A plain word is a number where JSON has that number, true, false or null; any other is text as it stands: an instant,
// no and 010 are no date, no bool and no octal number. Quoted is always text. A key that stands twice, an alias and a
// tag are refused.

const quotedStyles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	jsonWords  = map[string]string{"true": "true", "false": "false", "null": "null", "~": "null", "": "null"}
	yamlLine   = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)
)

// jsonText returns a file's content as JSON text: of YAML by its name, else as it is.
func jsonText(data []byte, path string) ([]byte, error) {
	if name := strings.ToLower(path); !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		return data, nil
	}
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) {
		return nil, &pricing.BookError{Origin: path, Rule: "is no UTF-8"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return []byte("null"), nil
	} else if err != nil {
		return nil, noYAML(err, path)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, refused(&more, path, "is no YAML: expected a single document")
	} else if !errors.Is(err, io.EOF) {
		return nil, noYAML(err, path)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		return []byte("null"), nil
	}
	writer := jsonWriter{path: path, line: 1}
	if err := writer.value(document.Content[0]); err != nil {
		return nil, err
	}
	return writer.out.Bytes(), nil
}

// jsonWriter writes JSON whose keys and values stand on the lines of the YAML, so that one way to find a line serves
// both.
type jsonWriter struct {
	out  bytes.Buffer
	path string
	line int
}

func (w *jsonWriter) value(node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		return refused(node, w.path, "must be written out, is the alias *"+node.Value)
	}
	own := map[yaml.Kind]string{yaml.SequenceNode: "!!seq", yaml.MappingNode: "!!map", yaml.ScalarNode: "!!str"}[node.Kind]
	if tagged(node, own) {
		return refused(node, w.path, "must have no tag (quotes make a text), has "+node.Tag)
	}
	w.toLine(node)
	switch {
	case node.Kind == yaml.SequenceNode:
		return w.list(node.Content)
	case node.Kind == yaml.MappingNode:
		return w.object(node.Content)
	case node.Style&(quotedStyles|yaml.TaggedStyle) != 0:
		return w.text(node.Value)
	case jsonNumber.MatchString(node.Value):
		w.out.WriteString(node.Value)
		return nil
	}
	if word, ok := jsonWords[strings.ToLower(node.Value)]; ok {
		w.out.WriteString(word)
		return nil
	}
	return w.text(node.Value)
}

func (w *jsonWriter) list(items []*yaml.Node) error {
	w.out.WriteByte('[')
	for index, item := range items {
		if index > 0 {
			w.out.WriteByte(',')
		}
		if err := w.value(item); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *jsonWriter) object(content []*yaml.Node) error {
	seen := make(map[string]struct{}, len(content)/2)
	w.out.WriteByte('{')
	for index := 0; index+1 < len(content); index += 2 {
		key := content[index]
		if key.Kind == yaml.AliasNode {
			return refused(key, w.path, "must be written out, is the alias *"+key.Value)
		}
		if key.Kind != yaml.ScalarNode || tagged(key, "!!str") {
			return refused(key, w.path, "must be a key of one word or text")
		}
		if index > 0 {
			w.out.WriteByte(',')
		}
		w.toLine(key)
		start := w.out.Len()
		if err := w.text(key.Value); err != nil {
			return err
		}
		if _, twice := seen[key.Value]; twice {
			return refused(key, w.path, fmt.Sprintf("must be the only key %s of its object, stands twice", w.out.Bytes()[start:]))
		}
		seen[key.Value] = struct{}{}
		w.out.WriteByte(':')
		if err := w.value(content[index+1]); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func (w *jsonWriter) toLine(node *yaml.Node) {
	for ; w.line < node.Line; w.line++ {
		w.out.WriteByte('\n')
	}
}

// text writes a JSON string.
func (w *jsonWriter) text(text string) error {
	encoder := json.NewEncoder(&w.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return err
	}
	w.out.Truncate(w.out.Len() - 1) // the encoder ends a line
	return nil
}

// tagged says whether a node has a tag written before it other than the one of its kind.
func tagged(node *yaml.Node, own string) bool {
	return node.Style&yaml.TaggedStyle != 0 && node.ShortTag() != own
}

func refused(node *yaml.Node, path, rule string) error {
	return &pricing.BookError{Origin: path, Path: fmt.Sprintf("line %d column %d", node.Line, node.Column), Rule: rule}
}

func noYAML(err error, path string) error {
	told := &pricing.BookError{Origin: path, Rule: "is no YAML: " + err.Error()}
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		told.Rule = "is no YAML: " + found[2]
		if found[1] != "" {
			told.Path = "line " + found[1]
		}
	}
	return told
}
