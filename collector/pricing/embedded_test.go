package pricing

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestEmbeddedBookIsTheCanonicalOne(t *testing.T) {
	canonical, err := os.ReadFile(repository + "/otel_tokenomics/pricing/pricebook.json")
	if err != nil {
		if _, outside := os.Stat(repository + "/pyproject.toml"); errors.Is(outside, fs.ErrNotExist) {
			t.Skip("the module is used outside its repository")
		}
		t.Fatal(err)
	}
	if !bytes.Equal(embedded, canonical) {
		t.Error("collector/pricing/pricebook.json differs from otel_tokenomics/pricing/pricebook.json: run `make generate`")
	}
}
