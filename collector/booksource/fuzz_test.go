package booksource

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// lineEnd is what YAML takes for the end of a line.
var lineEnd = regexp.MustCompile("\n|\r|\u0085|\u2028|\u2029")

// FuzzOverlayFile: whatever a file holds, it is an overlay or it is refused, with a line that the file has.
func FuzzOverlayFile(f *testing.F) {
	for _, name := range []string{"own_prices.yaml", "overlay.json", "yaml.json"} {
		data, err := os.ReadFile(filepath.Join(vectors, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Add([]byte("a: &a [*a]"), true)
	f.Add([]byte("[1 2]"), false)
	base, err := pricing.Parse([]byte(bookText("1", 7)), "book.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, isYAML bool) {
		name := "own.json"
		if isYAML {
			name = "own.yaml"
		}
		text, err := jsonText(data, name)
		if err == nil {
			if isYAML && !json.Valid(text) {
				t.Fatalf("%q became %q", data, text)
			}
			if err = pricing.RefuseKeyTwice(text, name); err == nil {
				_, err = base.WithOverlayOf(text, data, name)
			}
		}
		var refused *pricing.BookError
		if err != nil && !errors.As(located(err, text), &refused) {
			t.Fatalf("%q is told as %v", data, err)
		}
		if refused != nil && refused.Line > 1+len(lineEnd.FindAll(data, -1)) {
			t.Fatalf("%q is told with line %d", data, refused.Line)
		}
	})
}
