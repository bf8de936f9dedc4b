package pricing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// BookError says why a price book or an overlay was refused.
type BookError struct {
	// Origin names the file or other source, Path the place inside it such as models[3].rows[0].rates.input, Rule what is
	// broken there.
	Origin, Path, Rule string
}

func (e *BookError) Error() string { return e.Origin + ": " + e.Path + ": " + e.Rule }

type object = map[string]any

// checker walks decoded JSON and keeps the first broken rule; after one every answer is empty and harmless.
type checker struct {
	origin string
	err    *BookError
}

func (c *checker) refuse(path, format string, args ...any) {
	if c.err == nil {
		c.err = &BookError{Origin: c.origin, Path: path, Rule: fmt.Sprintf(format, args...)}
	}
}

// failure returns the first broken rule as an error, or nil.
func (c *checker) failure() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// decode returns the JSON object of a text, numbers as written.
func (c *checker) decode(data []byte) object {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var content any
	if err := decoder.Decode(&content); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			c.refuse("line "+strconv.Itoa(lineOf(data, syntax.Offset)), "is no JSON (%v)", err)
		} else {
			c.refuse("line 1", "is no JSON (%v)", err)
		}
		return nil
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		c.refuse("line "+strconv.Itoa(lineOf(data, decoder.InputOffset())), "is no JSON (more text after the object)")
		return nil
	}
	if hasNull(content) {
		c.noNulls(content, "")
	}
	return c.object(content, "book")
}

// noNulls refuses null, which is neither a value nor its absence; what stands under x-* is free.
func (c *checker) noNulls(value any, path string) {
	switch inner := value.(type) {
	case nil:
		c.refuse(path, "must not be null")
	case object:
		for _, key := range sorted(inner) {
			if !strings.HasPrefix(key, "x-") {
				c.noNulls(inner[key], join(path, key))
			}
		}
	case []any:
		for index, item := range inner {
			c.noNulls(item, at(path, index))
		}
	}
}

// hasNull answers for a sound book in a tenth of the time that it takes to build the paths of noNulls.
func hasNull(value any) bool {
	switch inner := value.(type) {
	case nil:
		return true
	case object:
		for _, item := range inner {
			if hasNull(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(inner, hasNull)
	}
	return false
}

func lineOf(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte{'\n'})
}

func (c *checker) object(value any, path string) object {
	entry, ok := value.(object)
	if !ok {
		c.refuse(path, "must be an object")
	}
	return entry
}

// known refuses keys that the format does not have; x-* is free.
func (c *checker) known(entry object, path string, keys []string) {
	unknown, found := "", false
	for key := range entry {
		// The first in order, so that the same book is always refused at the same place.
		if (!found || key < unknown) && !slices.Contains(keys, key) && !strings.HasPrefix(key, "x-") {
			unknown, found = key, true
		}
	}
	if found {
		c.refuse(join(path, unknown), "unknown key")
	}
}

// closed returns the value as an object that has no key but these (and x-*).
func (c *checker) closed(value any, path string, keys []string) object {
	entry := c.object(value, path)
	c.known(entry, path, keys)
	return entry
}

func (c *checker) list(value any, path string) []any {
	if value == nil {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		c.refuse(path, "must be a list")
	}
	return items
}

func (c *checker) text(value any, path string) string {
	text, ok := value.(string)
	if !ok || text == "" {
		c.refuse(path, "must be text")
	}
	return text
}

func (c *checker) lower(value any, path string) string {
	text := c.text(value, path)
	if text != lowerASCII(text) {
		c.refuse(path, "must be lower case, is %q", shorten(text))
	}
	return text
}

func (c *checker) word(value any, path string, words ...string) string {
	text, _ := value.(string)
	if !slices.Contains(words, text) {
		c.refuse(path, "must be one of %s", strings.Join(words, ", "))
	}
	return text
}

// lowers returns a list of lower-case texts.
func (c *checker) lowers(value any, path string) []string {
	items := c.list(value, path)
	words := make([]string, 0, len(items))
	for index, item := range items {
		words = append(words, c.lower(item, at(path, index)))
	}
	return words
}

// integer returns a JSON number that is written as an integer and lies in the range.
func (c *checker) integer(value any, path string, low, high int64) int64 {
	number, ok := value.(json.Number)
	if !ok {
		c.refuse(path, "must be an integer")
		return low
	}
	parsed, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		c.refuse(path, "must be an integer, is %s", shorten(string(number)))
	case err != nil || parsed < low || parsed > high:
		c.refuse(path, "must be between %d and %d, is %s", low, high, shorten(string(number)))
	default:
		return parsed
	}
	// Whoever goes on with a refused number shifts or divides by it: it must lie in the range all the same.
	return low
}

func (c *checker) instant(value any, path string) int64 {
	text, _ := value.(string)
	parsed, err := parseInstant(text)
	if err != nil {
		c.refuse(path, "%v, is %q", err, shorten(text))
	}
	return parsed
}

// span returns the instants from (inclusive) and until (exclusive) of an entry; absent is open.
func (c *checker) span(entry object, path string) (from, until int64) {
	from, until = beginning, forever
	if value, ok := entry["from"]; ok {
		from = c.instant(value, join(path, "from"))
	}
	if value, ok := entry["until"]; ok {
		until = c.instant(value, join(path, "until"))
	}
	if from >= until {
		c.refuse(path, "from must be before until")
	}
	return from, until
}

// amountForm is how overlays write money: a plain decimal, with or without an exponent, never with a sign or a space.
var amountForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// money returns USD written as text, times 10^digits, as a non-negative integer of int64.
func (c *checker) money(value any, path string, digits int) int64 {
	text, ok := value.(string)
	if !ok || !amountForm.MatchString(text) {
		c.refuse(path, `must be USD as text, such as "2.50"`)
		return 0
	}
	amount, err := parseDecimal(text, digits)
	if err != nil {
		c.refuse(path, "%v", err)
	}
	return amount
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func at(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// sorted returns the keys of an object in order, so that the same book is always refused at the same place.
func sorted(entry object) []string {
	keys := make([]string, 0, len(entry))
	for key := range entry {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// lowerASCII returns the text with A to Z lower-cased; it allocates only where there is one.
func lowerASCII(text string) string {
	for index := range len(text) {
		if letter := text[index]; 'A' <= letter && letter <= 'Z' {
			lowered := []byte(text)
			for place := index; place < len(lowered); place++ {
				if 'A' <= lowered[place] && lowered[place] <= 'Z' {
					lowered[place] += 'a' - 'A'
				}
			}
			return string(lowered)
		}
	}
	return text
}
