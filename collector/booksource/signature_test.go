package booksource

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestSignatureVectors runs the cases that Python runs too.
func TestSignatureVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(vectors, "signatures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Why, Signature string
		PublicKey            string `json:"public_key"`
		Content              []byte
		Expect               bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 20 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			key, err := ParseKey(test.PublicKey)
			if err == nil {
				err = verify(test.Content, test.Signature, []ed25519.PublicKey{key}, "book.json")
			}
			if (err == nil) != test.Expect {
				t.Errorf("%s: %v", test.Why, err)
			}
		})
	}
}
