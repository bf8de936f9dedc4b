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
	var out bytes.Buffer
	if err := writeJSON(&out, document.Content[0], path); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, node *yaml.Node, path string) error {
	switch node.Kind {
	case yaml.AliasNode:
		return refused(node, path, "must be written out, is the alias *"+node.Value)
	case yaml.SequenceNode:
		return writeList(out, node, path)
	case yaml.MappingNode:
		return writeObject(out, node, path)
	}
	if tagged(node, "!!str") {
		return refused(node, path, noTag+node.Tag)
	}
	if node.Style&(quotedStyles|yaml.TaggedStyle) == 0 {
		if jsonNumber.MatchString(node.Value) {
			out.WriteString(node.Value)
			return nil
		}
		if word, ok := jsonWords[strings.ToLower(node.Value)]; ok {
			out.WriteString(word)
			return nil
		}
	}
	return writeText(out, node.Value)
}

func writeList(out *bytes.Buffer, node *yaml.Node, path string) error {
	if tagged(node, "!!seq") {
		return refused(node, path, noTag+node.Tag)
	}
	out.WriteByte('[')
	for index, item := range node.Content {
		if index > 0 {
			out.WriteByte(',')
		}
		if err := writeJSON(out, item, path); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeObject(out *bytes.Buffer, node *yaml.Node, path string) error {
	if tagged(node, "!!map") {
		return refused(node, path, noTag+node.Tag)
	}
	seen := make(map[string]struct{}, len(node.Content)/2)
	out.WriteByte('{')
	for index := 0; index+1 < len(node.Content); index += 2 {
		key := node.Content[index]
		if key.Kind == yaml.AliasNode {
			return refused(key, path, "must be written out, is the alias *"+key.Value)
		}
		if key.Kind != yaml.ScalarNode || tagged(key, "!!str") {
			return refused(key, path, "must be a key of one word or text")
		}
		if index > 0 {
			out.WriteByte(',')
		}
		start := out.Len()
		if err := writeText(out, key.Value); err != nil {
			return err
		}
		if _, twice := seen[key.Value]; twice {
			return refused(key, path, fmt.Sprintf("must be the only key %s of its object, stands twice", out.Bytes()[start:]))
		}
		seen[key.Value] = struct{}{}
		out.WriteByte(':')
		if err := writeJSON(out, node.Content[index+1], path); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

// writeText writes a JSON string.
func writeText(out *bytes.Buffer, text string) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // the encoder ends a line
	return nil
}

const noTag = "must have no tag (quotes make a text), has "

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
