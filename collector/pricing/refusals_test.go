package pricing

import (
	"encoding/json"
	"errors"
	"testing"
)

type refusalCase struct {
	Name   string          `json:"name"`
	Why    string          `json:"why"`
	File   string          `json:"file"`
	At     []any           `json:"at"`
	Set    json.RawMessage `json:"set"`
	Remove bool            `json:"remove"`
	// Schema says whether the JSON schema can see the rule; the other language checks that.
	Schema bool   `json:"schema"`
	Expect string `json:"expect"`
}

// TestVectorsRefusals breaks one rule of the vectors' book or overlay at a time.
func TestVectorsRefusals(t *testing.T) {
	var cases []refusalCase
	decodeStrict(t, readVectors(t, "refusals.json"), &cases)
	plain, _ := frozenBooks(t)
	for index := range cases {
		test := &cases[index]
		t.Run(test.Name, func(t *testing.T) {
			data := test.broken(t)
			err := test.load(plain, data)
			var refused *BookError
			if !errors.As(err, &refused) {
				t.Fatalf("not refused (%v): %s", err, test.Why)
			}
			if want := "prices.json: " + test.Expect; err.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
		})
	}
}

func (c *refusalCase) load(inUse *Book, data []byte) error {
	if c.File == "overlay" {
		_, err := inUse.WithOverlay(data, "prices.json")
		return err
	}
	next, err := Parse(data, "prices.json")
	if err == nil && c.File == "next" {
		err = inUse.CheckSuccessor(next, "prices.json", DefaultMaxChangeRatio)
	}
	return err
}

func (c *refusalCase) broken(t *testing.T) []byte {
	t.Helper()
	file := c.File
	if file == "next" { // a next version of the book in use, which is the unbroken one
		file = "book"
	}
	var document any
	if err := json.Unmarshal(readVectors(t, file+".json"), &document); err != nil {
		t.Fatal(err)
	}
	place := document
	for _, step := range c.At[:len(c.At)-1] {
		place = child(place, step)
	}
	c.change(t, place)
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func child(place, step any) any {
	if index, ok := step.(float64); ok {
		return place.([]any)[int(index)]
	}
	entry, name := place.(object), step.(string)
	if _, ok := entry[name]; !ok {
		entry[name] = object{}
	}
	return entry[name]
}

func (c *refusalCase) change(t *testing.T, place any) {
	t.Helper()
	last := c.At[len(c.At)-1]
	if c.Remove {
		delete(place.(object), last.(string))
		return
	}
	if index, ok := last.(float64); ok {
		place.([]any)[int(index)] = c.Set
		return
	}
	place.(object)[last.(string)] = c.Set
}
