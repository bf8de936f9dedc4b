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
