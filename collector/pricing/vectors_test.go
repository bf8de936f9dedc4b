package pricing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	repository = "../.."
	vectors    = repository + "/tests/vectors"
	leastCases = 5000
	leastNames = 150
)

// count is an integer written as a string.
type count int64

func (c *count) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	value, err := strconv.ParseInt(text, 10, 64)
	*c = count(value)
	return err
}

type costCase struct {
	Name       string            `json:"name"`
	Why        string            `json:"why"`
	Provider   string            `json:"provider"`
	Model      string            `json:"model"`
	Request    string            `json:"request_model"`
	At         string            `json:"at"`
	Units      map[string]count  `json:"units"`
	Facts      map[string]string `json:"facts"`
	StatedCost *count            `json:"stated_cost"`
	Overlay    bool              `json:"overlay"`
	Expect     costExpect        `json:"expect"`
}

type costExpect struct {
	Status   string           `json:"status"`
	Reason   string           `json:"reason"`
	Total    *count           `json:"total"`
	Parts    map[string]count `json:"parts"`
	List     *count           `json:"list"`
	Computed *count           `json:"computed"`
	Source   string           `json:"source"`
	Basis    string           `json:"basis"`
	Flags    []string         `json:"flags"`
	SKU      string           `json:"sku"`
	ID       string           `json:"id"`
	Match    string           `json:"match"`
}

type matchCase struct {
	Name          string `json:"name"`
	Why           string `json:"why"`
	Provider      string `json:"provider"`
	ResponseModel string `json:"response_model"`
	RequestModel  string `json:"request_model"`
	Host          string `json:"host"`
	Overlay       bool   `json:"overlay"`
	Expect        struct {
		Provider string            `json:"provider"`
		ID       string            `json:"id"`
		Match    string            `json:"match"`
		Facts    map[string]string `json:"facts"`
		Reason   string            `json:"reason"`
	} `json:"expect"`
}

// readVectors returns the text of a vector file. Inside the repository a missing one fails; the module used elsewhere
// has none.
func readVectors(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectors, name))
	if err == nil {
		return data
	}
	if _, outside := os.Stat(repository + "/pyproject.toml"); errors.Is(outside, fs.ErrNotExist) {
		t.Skip("the module is used outside its repository: no vectors")
	}
	t.Fatal(err)
	return nil
}

// decodeStrict refuses fields that this runner does not know: a new rule cannot be ignored.
func decodeStrict(t testing.TB, data []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more text after the cases: %v", err)
	}
}

func frozenBooks(t testing.TB) (plain, overlaid *Book) {
	t.Helper()
	plain, err := Parse(readVectors(t, "book.json"), "book.json")
	if err != nil {
		t.Fatal(err)
	}
	overlaid, err = plain.WithOverlay(readVectors(t, "overlay.json"), "overlay.json")
	if err != nil {
		t.Fatal(err)
	}
	return plain, overlaid
}

func TestVectorsCost(t *testing.T) {
	plain, overlaid := frozenBooks(t)
	var cases []costCase
	decodeStrict(t, readVectors(t, "cost.json"), &cases)
	seen := map[string]bool{}
	for index := range cases {
		test := &cases[index]
		if test.Name == "" || test.Why == "" || seen[test.Name] {
			t.Fatalf("case %d: name must be unique, why must be given", index)
		}
		seen[test.Name] = true
		t.Run(test.Name, func(t *testing.T) {
			book := plain
			if test.Overlay {
				book = overlaid
			}
			test.check(t, book)
		})
	}
}

func TestVectorsGenerated(t *testing.T) {
	book, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(readVectors(t, "generated.jsonl")))
	lines.Buffer(nil, 1<<20)
	cases := 0
	for lines.Scan() {
		var test costCase
		decodeStrict(t, lines.Bytes(), &test)
		cases++
		t.Run(test.Name, func(t *testing.T) { test.check(t, book) })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if cases < leastCases {
		t.Errorf("%d generated cases, want at least %d", cases, leastCases)
	}
}

func (c *costCase) query(t *testing.T) *Query {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, c.At)
	if err != nil {
		t.Fatal(err)
	}
	q := &Query{Provider: c.Provider, ResponseModel: c.Model, RequestModel: c.Request, AtMillis: at.UnixMilli()}
	for name, value := range c.Units {
		unit, ok := UnitByName(name)
		if !ok {
			t.Fatalf("unknown unit %q", name)
		}
		q.Usage.Set(unit, int64(value))
	}
	q.Facts = factsOf(t, c.Facts)
	if c.StatedCost != nil {
		q.StatedPico, q.HasStated = int64(*c.StatedCost), true
	}
	return q
}

func factsOf(t *testing.T, words map[string]string) Facts {
	t.Helper()
	for key := range words {
		if _, ok := factByName(key); !ok {
			t.Fatalf("unknown fact %q", key)
		}
	}
	return Facts{
		ServiceTier: words["service_tier"], Processing: words["processing"], Speed: words["speed"],
		InferenceGeo: words["inference_geo"], DeploymentType: words["deployment_type"], Region: words["region"],
		SearchContextSize: words["search_context_size"], Account: words["account"],
	}
}

func (c *costCase) check(t *testing.T, book *Book) {
	t.Helper()
	var r Result
	book.Price(c.query(t), &r)
	got := costExpect{
		Status: r.Status, Reason: r.Reason, Source: r.Source, Basis: r.Basis, Flags: r.Flags.Strings(), SKU: r.SKU,
		ID: r.Model, Match: r.Match, Total: amount(r.Total, r.HasTotal), List: amount(r.List, r.HasList),
		Computed: amount(r.Computed, r.HasComputed), Parts: map[string]count{},
	}
	for part, value := range r.Parts {
		if value != 0 {
			got.Parts[PartNames[part]] = count(value)
		}
	}
	if len(got.Parts) == 0 {
		got.Parts = nil
	}
	if len(c.Expect.Parts) == 0 {
		c.Expect.Parts = nil
	}
	compare(t, c.Name, c.Why, got, c.Expect)
}

// compare holds every field of a result against the expectation. A case on the list of expected failures must fail.
func compare(t *testing.T, name, why string, got, want any) {
	t.Helper()
	known := slices.Contains(strings.Fields(string(readVectors(t, "expected_failures.go.txt"))), name)
	switch agree := text(t, got) == text(t, want); {
	case agree && known:
		t.Error("passes: take it off expected_failures.go.txt")
	case !agree && !known:
		t.Errorf("why: %s\n got %s\nwant %s", why, text(t, got), text(t, want))
	}
}

func amount(value int64, has bool) *count {
	if !has {
		return nil
	}
	result := count(value)
	return &result
}

// text writes an expectation in one form, so that two are compared in every field.
func text(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestVectorsMatch(t *testing.T) {
	plain, overlaid := frozenBooks(t)
	var cases []matchCase
	decodeStrict(t, readVectors(t, "match.json"), &cases)
	for index := range cases {
		test := &cases[index]
		t.Run(test.Name, func(t *testing.T) {
			book := plain
			if test.Overlay {
				book = overlaid
			}
			test.check(t, book)
		})
	}
}

// TestVectorsNames holds names as people type them against the embedded book.
func TestVectorsNames(t *testing.T) {
	book, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var cases []matchCase
	decodeStrict(t, readVectors(t, "names.json"), &cases)
	if len(cases) < leastNames {
		t.Errorf("%d names, want at least %d", len(cases), leastNames)
	}
	for index := range cases {
		test := &cases[index]
		t.Run(test.Name, func(t *testing.T) { test.check(t, book) })
	}
}

func (c *matchCase) check(t *testing.T, book *Book) {
	t.Helper()
	q := &Query{Provider: c.Provider, ResponseModel: c.ResponseModel, RequestModel: c.RequestModel, Host: c.Host}
	found := book.resolve(q)
	got := c.Expect
	got.Provider, got.ID, got.Match, got.Reason, got.Facts = "", "", found.how, found.reason, nil
	if found.model != nil {
		got.Provider, got.ID = found.provider.key, found.model.id
	}
	if found.fixed != nil {
		got.Facts = map[string]string{}
		for key, word := range found.fixed {
			if word != "" {
				got.Facts[factNames[key]] = word
			}
		}
	}
	compare(t, c.Name, c.Why, got, c.Expect)
}
