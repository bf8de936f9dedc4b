package pricing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// BookError says why a price book or an overlay was refused.
type BookError struct {
	// Origin names the file or other source, Path the place inside it such as models[3].rows[0].rates.input, Rule what is
	// allowed there and what was found.
	Origin, Path, Rule string
	// Line is that of the place in its file, from 1; 0 where it was not looked for (Locate).
	Line int
}

func (e *BookError) Error() string {
	told := e.Origin
	if e.Line > 0 {
		told += ":" + strconv.Itoa(e.Line)
	}
	if e.Path != "" {
		told += ": " + e.Path
	}
	return told + ": " + e.Rule
}

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

// byteOrderMark is what some editors put before a text; it is no part of it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// decode returns the JSON object of a text, numbers as written.
func (c *checker) decode(data []byte) object {
	data = bytes.TrimPrefix(data, byteOrderMark)
	if !utf8.Valid(data) {
		c.refuse("", "is no UTF-8")
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var content any
	if err := decoder.Decode(&content); err != nil {
		offset := int64(len(data))
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = syntax.Offset - 1
		}
		c.refuse(lineAndColumn(data, offset), "is no JSON: %v", err)
		return nil
	}
	end := decoder.InputOffset()
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		c.refuse(lineAndColumn(data, end), "is no JSON: more text after the object")
		return nil
	}
	if bytes.Contains(data, []byte("null")) { // the walk takes a tenth of a sound book's time
		c.noNulls(content, "")
	}
	if c.err != nil {
		return nil
	}
	return c.object(content, "")
}

// noNulls refuses null, which is neither a value nor its absence; what stands under x-* is free.
func (c *checker) noNulls(value any, path string) {
	switch inner := value.(type) {
	case nil:
		c.refuse(path, "must not be null; leave it out")
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

func lineAndColumn(data []byte, offset int64) string {
	before := data[:max(0, min(int(offset), len(data)))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	return fmt.Sprintf("line %d column %d", line, len(before)-bytes.LastIndexByte(before, '\n'))
}

func (c *checker) object(value any, path string) object {
	entry, ok := value.(object)
	if !ok {
		c.refuse(path, "must be an object {...}, is %s", shown(value))
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
		c.refuse(join(path, unknown), "%s", noKey(unknown, keys, "is no key here"))
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
		c.refuse(path, "must be a list [...], is %s", shown(value))
	}
	return items
}

// filled returns a list that is not empty; what says what it holds.
func (c *checker) filled(value any, path, what string) []any {
	items, _ := value.([]any)
	if len(items) == 0 {
		c.refuse(path, "must be a list of at least one %s, is %s", what, shown(value))
	}
	return items
}

func (c *checker) text(value any, path string) string {
	text, ok := value.(string)
	if !ok || text == "" {
		c.refuse(path, "must be text (not empty), is %s", shown(value))
	}
	return text
}

func (c *checker) lower(value any, path string) string {
	text := c.text(value, path)
	if lower := lowerASCII(text); text != lower {
		c.refuse(path, "must be in lower case (%s), is %s", shown(lower), shown(text))
	}
	return text
}

func (c *checker) word(value any, path string, words ...string) string {
	text, _ := value.(string)
	if !slices.Contains(words, text) {
		quoted := make([]string, len(words))
		for index, word := range words {
			quoted[index] = shown(word)
		}
		last := len(quoted) - 1
		allowed := quoted[last]
		if last > 0 {
			allowed = "one of " + strings.Join(quoted[:last], ", ") + " or " + allowed
		}
		c.refuse(path, "must be %s, is %s", allowed, shown(value))
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

// whole returns a JSON number that is written as an integer, and whether it is one that lies in the range.
func whole(value any, low, high int64) (int64, bool) {
	number, _ := value.(json.Number)
	parsed, err := strconv.ParseInt(string(number), 10, 64)
	return parsed, err == nil && low <= parsed && parsed <= high
}

// integer returns a JSON number that is written as an integer and lies in the range; meaning says what it counts.
func (c *checker) integer(value any, path string, low, high int64, meaning ...string) int64 {
	if parsed, ok := whole(value, low, high); ok {
		return parsed
	}
	of := ""
	if len(meaning) > 0 {
		of = " (" + meaning[0] + ")"
	}
	c.refuse(path, "must be an integer from %d to %d%s, is %s", low, high, of, shown(value))
	// Whoever goes on with a refused number shifts or divides by it: it must lie in the range all the same.
	return low
}

func (c *checker) instant(value any, path string) int64 {
	text, _ := value.(string)
	parsed, err := parseInstant(text)
	if err != nil {
		c.refuse(path, `must be an instant such as "2026-11-22T05:00:00Z" (date, time and Z for UTC), is %s`, shown(value))
	}
	return parsed
}

// day returns a date as days since 1970.
func (c *checker) day(value any, path string) int64 {
	text, _ := value.(string)
	day, err := parseDay(text)
	if err != nil {
		c.refuse(path, `must be a date that there is, such as "2026-10-01", is %s`, shown(value))
	}
	return day
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
		c.refuse(join(path, "until"), "must be after from (%s), is %s", shown(entry["from"]), shown(entry["until"]))
	}
	return from, until
}

// amountForm is how overlays write money: a plain decimal, with or without an exponent, never with a sign or a space.
var amountForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// money returns USD written as text, times 10^digits, as a non-negative integer of int64.
func (c *checker) money(value any, path string, digits int) int64 {
	return c.moneyUpTo(value, path, digits, math.MaxInt64)
}

func (c *checker) moneyUpTo(value any, path string, digits int, most int64) int64 {
	text, _ := value.(string)
	if amountForm.MatchString(text) {
		if amount, err := parseDecimal(text, digits); err == nil && amount <= most {
			return amount
		}
	}
	if number, ok := value.(json.Number); ok && amountForm.MatchString(string(number)) {
		// A number of JSON is a double to many a reader: $0.1 would not be $0.1.
		c.refuse(path, "must be USD as text: write %s, is %s", shown(plainNumber(string(number))), shown(value))
		return 0
	}
	limit := most
	for range digits {
		limit /= 10
	}
	c.refuse(path, `must be USD as text from "0" to "%d", such as "2.50", is %s`, limit, shown(value))
	return 0
}

// plainNumber returns a number as people write an amount: as it stands, or without its exponent.
func plainNumber(text string) string {
	if number, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, "eE") {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return text
}

func join(path, key string) string {
	if path == "" {
		return pathKey(key)
	}
	return path + "." + pathKey(key)
}

func at(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// sorted returns the keys of an object in order, so that the same book is always refused at the same place.
func sorted(entry object) []string { return sortedKeys(entry) }

func sortedKeys[V any](entries map[string]V) []string {
	keys := make([]string, 0, len(entries))
	for key := range entries {
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
