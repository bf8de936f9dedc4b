package booksource

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

const vectors = "../../tests/vectors"

func decoded(t *testing.T, text []byte) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

func TestVectorsYAML(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(vectors, "yaml.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Why, YAML string
		JSON            *string
		Error           string
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			text, err := jsonText([]byte(test.YAML), "own.yaml")
			switch {
			case test.JSON != nil && err != nil:
				t.Errorf("refused: %v", err)
			case test.JSON != nil:
				if got, want := decoded(t, text), decoded(t, []byte(*test.JSON)); !reflect.DeepEqual(got, want) {
					t.Errorf("got %s, want %s", text, *test.JSON)
				}
			case err == nil:
				t.Errorf("accepted as %s", text)
			case test.Error == "is no YAML":
				// Not every error of the reader has a line.
				if !strings.HasPrefix(err.Error(), "own.yaml: ") || !strings.Contains(err.Error(), ": is no YAML: ") {
					t.Errorf("got %v", err)
				}
			case err.Error() != "own.yaml: "+test.Error:
				t.Errorf("got %v, want %s", err, test.Error)
			}
		})
	}
}

// TestOneFileHasOneIDAndOnePrice in both languages: tests/unit/pricebook_source/test_yaml.py states the same.
func TestOneFileHasOneIDAndOnePrice(t *testing.T) {
	source, err := New(Settings{
		Path:          filepath.Join(vectors, "book.json"),
		OverridesPath: filepath.Join(vectors, "own_prices.yaml"),
	})
	if err != nil {
		t.Fatal(err)
	}
	book := source.Book()
	if book.ID() != "vectors@2026.11.22+622bb5d8" {
		t.Errorf("the id is %s", book.ID())
	}
	for _, test := range []struct {
		provider, model, at string
		total               int64
	}{
		{"openai", "gpt-4o", "2026-11-22T10:00:00Z", 2_800_000_000},
		{"openai", "gpt-4o", "2026-09-30T23:59:59Z", 3_500_000_000},
		{"openai", "gpt-5.4", "2026-11-22T10:00:00Z", 3_400_000_000},
		{"azure.ai.openai", "no", "2026-11-22T10:00:00Z", 3_850_000_000},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		q := pricing.Query{Provider: test.provider, ResponseModel: test.model, AtMillis: at.UnixMilli()}
		q.Usage.Set(pricing.Input, 1000)
		q.Usage.Set(pricing.Output, 100)
		var r pricing.Result
		book.Price(&q, &r)
		if r.Total != test.total {
			t.Errorf("%s at %s costs %d, want %d", test.model, test.at, r.Total, test.total)
		}
	}
}

func TestYAMLOverlayIsReloadedAndTheLastGoodOneStays(t *testing.T) {
	directory := t.TempDir()
	book, overlay := filepath.Join(directory, "book.json"), filepath.Join(directory, "own.yml")
	place(t, book, bookText("1", 7))
	place(t, overlay, "models:\n- {p: openai, id: m, rows: [{rates: {input: 3}}]}\n")
	source, seen := newSource(t, Settings{Path: book, OverridesPath: overlay})
	for _, step := range []struct {
		text, refused string
		rate          int64
	}{
		{"models: [", "line ", 3},
		{"models:\n- {p: openai, id: m, rows: [{usd_per_million: {input: 2.50}}]}\n", "models[0].rows[0].usd_per_million.input", 3},
		{"models: []\nmodels: []\n", "line 2 column 1", 3},
		{"a: &a {}\nb: *a\n", "line 2 column 4", 3},
		{strings.Repeat("[", 100_000), "", 3},
		{"models:\n- {p: openai, id: m, rows: [{usd_per_million: {input: \"4\"}}]}\n", "", 4_000_000},
	} {
		*seen = reports{}
		place(t, overlay, step.text)
		source.Reload()
		if got := rate(source.Book()); got != step.rate || len(seen.errs) != 1 {
			t.Errorf("%.60q: the rate is %d, want %d; reported %v", step.text, got, step.rate, seen.errs)
			continue
		}
		var refused *pricing.BookError
		if errors.As(seen.errs[0], &refused) != (step.rate == 3) || refused != nil && !strings.HasPrefix(refused.Path, step.refused) {
			t.Errorf("%.60q: reported %v", step.text, seen.errs[0])
		}
	}
}

// TestRefusedFilesAreToldWithTheirLine: tests/unit/pricebook_source states the same of the SDK.
func TestRefusedFilesAreToldWithTheirLine(t *testing.T) {
	directory := t.TempDir()
	for _, test := range []struct{ name, text, told string }{
		{"a.json", "{\"discounts\": [],\n \"aliases\": {},\n \"discounts\": []}",
			`:3: line 3: must be the only key "discounts" of its object, stands twice`},
		{"b.json", "{\"discounts\": [\n  {\"p\": \"openai\", \"ratio\": [85, 100]},\n  {\"p\": \"openai\", \"ratio\": 0.85}\n]}",
			`:3: discounts[1].ratio: must be two integers from 1 to 1000000 such as [85, 100], is 0.85`},
		{"c.json", "{\"models\": [{\"p\": \"openai\", \"id\": \"x\",\n \"rows\": [\n  {\"usd_per_million\": {\n    \"input\": 2.50}}]}]}",
			`:4: models[0].rows[0].usd_per_million.input: must be USD as text: write "2.50", is 2.50`},
		{"d.json", "{\"models\": [\n{\"p\": \"openai\",\n\"id\": \"x\"}]}",
			`:2: models[0].rows: must be a list of at least one row, is missing`},
		{"e.yaml", "models:\n- p: openai\n  id: x\n  rows:\n  - usd_per_million:\n      input: 2.50\n",
			`:6: models[0].rows[0].usd_per_million.input: must be USD as text: write "2.50", is 2.50`},
		{"f.yaml", "discounts:\n- p: openai\n  ratio: [085, 100]\n",
			`:3: discounts[0].ratio[0]: must be an integer from 1 to 1000000, is "085"`},
		{"g.yaml", "discounts: []\naliases: {}\ndiscounts: []\n",
			`:3: line 3 column 1: must be the only key "discounts" of its object, stands twice`},
		{"h.yaml", "# nothing\n", `: must not be null; leave it out`},
		{"j.json", "{\"a\": [1 2],\n \"a\": 1}", `:1: line 1 column 10: is no JSON: invalid character '2' after array element`},
		{"i.json", "[[", `:1: line 1 column 3: is no JSON: unexpected EOF`},
	} {
		path := filepath.Join(directory, test.name)
		place(t, path, test.text)
		_, err := New(Settings{OverridesPath: path})
		if err == nil || err.Error() != path+test.told {
			t.Errorf("got %v, want %s%s", err, path, test.told)
		}
	}
	path := filepath.Join(directory, "book.json")
	place(t, path, strings.Replace(bookText("1", 7), `"id":"m"`, `"id":"M"`, 1))
	if _, err := New(Settings{Path: path}); err == nil || err.Error() != path+`:3: models[0].id: must be in lower case ("m"), is "M"` {
		t.Errorf("got %v", err)
	}
}

func TestHostileFilesEnd(t *testing.T) {
	for name, text := range map[string]string{
		"deep.json": strings.Repeat("[", 8<<20), "deeper.json": strings.Repeat(`{"a":`, 3<<20), "deep.yaml": strings.Repeat("[", 1<<20),
		"list.json": `[1 2 3]`, "key.json": `{1:2}`, "colon.json": `{"a" 2}`, "closed.json": `[}`, "end.json": `{"a":[1,`,
		"dashes.yaml": strings.Repeat("- ", 1<<20), "maps.yaml": strings.Repeat("{a: ", 1<<18),
	} {
		path := filepath.Join(t.TempDir(), name)
		place(t, path, text)
		if _, err := New(Settings{OverridesPath: path}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestAMarkOfTheByteOrderIsNoPartOfAnOverlay(t *testing.T) {
	for _, name := range []string{"a.json", "b.yaml"} {
		path := filepath.Join(t.TempDir(), name)
		place(t, path, "\xef\xbb\xbf{}")
		source, err := New(Settings{OverridesPath: path})
		if err != nil || !strings.HasSuffix(source.Book().ID(), "+44136fa3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
