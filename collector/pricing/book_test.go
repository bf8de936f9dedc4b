package pricing

import (
	"errors"
	"strings"
	"testing"
)

// bookText is a small book; tests replace one piece of it.
const bookText = `{"schema":"otel-tokenomics/pricebook/1","id":"t","version":"2026.11.22","generated_at":"2026-11-22T05:00:00Z",
"currency":"USD","scale":12,"calendars":{"peak":{"tz":"UTC","windows":[["01:00","04:00"]],"weekdays":[1]}},
"providers":{"openai":{"kind":"first_party","hosts":["api.openai.com"]},"lab":{"kind":"host","names":["laboratory"]}},
"models":[{"p":"openai","id":"a","ids":["b"],"rows":[{"rates":{"input":1000,"output":2000},"tiers":[{"gt":10,"rates":{"input":3000}}]},
{"when":{"service_tier":["flex"]},"rates":{"input":500},"tiers":[]}]},{"p":"openai","id":"c","rows":[{"rates":{"input":7}}]}],
"multipliers":[{"p":"openai","ids":["a"],"ratio":[11,10],"units":["input"],"when":{"inference_geo":["us"]}}]}`

func mustParse(t testing.TB, text string) *Book {
	t.Helper()
	book, err := Parse([]byte(text), "test.json")
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func swap(t *testing.T, old, fresh string) string {
	t.Helper()
	if strings.Count(bookText, old) != 1 {
		t.Fatalf("%q does not stand once in the book", old)
	}
	return strings.Replace(bookText, old, fresh, 1)
}

// TestParseRefuses texts that are no book; what one broken rule is told as stands in the vectors (refusals.json).
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		swap(t, `"scale":12,`, "\n\"scale\":12,,"): "line 3 column 12: is no JSON: ",
		bookText[:len(bookText)-2]:                 "line 6 column 108: is no JSON: ",
		"":                                         "line 1 column 1: is no JSON: ",
		"\n{} {}":                                  "line 2 column 3: is no JSON: more text after the object",
		"{\"id\": \"\xff\"}":                       "is no UTF-8",
		"[]":                                       "must be an object {...}, is []",
		"null":                                     "must not be null; leave it out",
		"\xef\xbb\xbf[]":                           "must be an object {...}, is []",
		swap(t, `"scale":12`, `"scale":"12"`):      `scale: must be 12, is "12"`,
		swap(t, `"input":7`, `"input":9e99`):       "models[1].rows[0].rates.input: must be an integer from 0 to 1000000000000000 (pico-USD for one unit), is 9e99",
		swap(t, `"input":7`, `"input":`+"99999999999999999999"): "models[1].rows[0].rates.input: must be an integer from 0 to 1000000000000000 (pico-USD for one unit), is 99999999999999999999",
	} {
		if _, err := Parse([]byte(text), "my.json"); err == nil || !strings.HasPrefix(err.Error(), "my.json: "+want) {
			t.Errorf("%q: got %v, want %s", shorten(text), err, want)
		}
	}
	for _, text := range []string{"", "[]", "null", bookText + "{}", `{"models":[]}`} {
		if _, err := Parse([]byte(text), "x"); err == nil {
			t.Errorf("%q was accepted", shorten(text))
		}
	}
}

func TestFreeKeysAreAccepted(t *testing.T) {
	mustParse(t, swap(t, `"scale":12`, `"scale":12,"x-note":{"any":1}`))
	mustParse(t, swap(t, `"input":7}`, `"input":7},"x-disputed":{"input":[7,8]}`))
}

func TestIDNamesTheOverlay(t *testing.T) {
	base := mustParse(t, bookText)
	// The first eight hex digits of the sha256 of "{}".
	overlaid, err := base.WithOverlay([]byte("{}"), "mine.json")
	if err != nil || base.ID() != "t@2026.11.22" || overlaid.ID() != "t@2026.11.22+44136fa3" {
		t.Errorf("%s, %s, %v", base.ID(), overlaid.ID(), err)
	}
}

func TestCheckSuccessor(t *testing.T) {
	inUse := mustParse(t, bookText)
	for name, test := range map[string]struct{ old, fresh, path string }{
		"the same":          {`"id":"t"`, `"id":"t"`, ""},
		"ten times":         {`"input":7}`, `"input":70}`, ""},
		"more than ten":     {`"input":7}`, `"input":71}`, "models[1].rows[0].rates.input"},
		"less than a tenth": {`"output":2000`, `"output":199`, "models[0].rows[0].rates.output"},
		"to nothing":        {`"input":7}`, `"input":0}`, "models[1].rows[0].rates.input"},
		"in a tier":         {`"gt":10,"rates":{"input":3000}`, `"gt":10,"rates":{"input":30001}`, "models[0].rows[0].tiers[0].rates.input"},
		"in a newer row":    {`{"rates":{"input":7}}`, `{"until":"2026-11-22T00:00:00Z","rates":{"input":7}},{"from":"2026-11-22T00:00:00Z","rates":{"input":700}}`, "models[1].rows[1].rates.input"},
		"older version":     {`"version":"2026.11.22"`, `"version":"2026.9.30"`, "version"},
		"newer version":     {`"version":"2026.11.22"`, `"version":"2026.11.22.1"`, ""},
		"older date":        {`T05:00:00Z`, `T04:59:59Z`, "generated_at"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inUse.CheckSuccessor(mustParse(t, swap(t, test.old, test.fresh)), "next.json", DefaultMaxChangeRatio)
			var refused *BookError
			if errors.As(err, &refused) != (test.path != "") || refused != nil && refused.Path != test.path {
				t.Errorf("got %v, want a refusal at %q", err, test.path)
			}
		})
	}
	jump := strings.Replace(swap(t, `"input":7}`, `"input":71}`), `"scale":12`, `"scale":12,"x-accepted-jumps":["openai/c"]`, 1)
	if err := inUse.CheckSuccessor(mustParse(t, jump), "next.json", DefaultMaxChangeRatio); err != nil {
		t.Errorf("an accepted jump was refused: %v", err)
	}
	if err := inUse.CheckSuccessor(mustParse(t, swap(t, `"input":7}`, `"input":71}`)), "next.json", 0); err != nil {
		t.Errorf("the check is off: %v", err)
	}
}
