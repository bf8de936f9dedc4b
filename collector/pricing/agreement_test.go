package pricing

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shownDisagreements is how many calls on which the engines differ are told one by one.
const shownDisagreements = 20

// agreementLine is one line that tests/vectors/agreement.py writes: a call and what Python makes of it, or the overlay
// under which the calls after it are priced.
type agreementLine struct {
	Overlay *string `json:"overlay"`
	Refused bool    `json:"refused"`
	Book    string  `json:"book"`

	Provider     string            `json:"provider"`
	Model        string            `json:"model"`
	RequestModel string            `json:"request_model"`
	Host         string            `json:"host"`
	UnknownHost  string            `json:"unknown_host"`
	At           string            `json:"at"`
	Units        map[string]count  `json:"units"`
	Facts        map[string]string `json:"facts"`
	StatedCost   *count            `json:"stated_cost"`
	Reason       string            `json:"reason"`
	Expect       string            `json:"expect"`
}

// TestAgreement prices the random calls of the files named by AGREEMENT_CASES, and must agree with Python in every
// field of each. No subtest per call: there are a million.
func TestAgreement(t *testing.T) {
	files := filepath.SplitList(os.Getenv("AGREEMENT_CASES"))
	if len(files) == 0 {
		t.Skip("AGREEMENT_CASES names no file of tests/vectors/agreement.py (make test-go writes one)")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			agree(t, file)
		})
	}
}

func agree(t *testing.T, name string) {
	plain, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	book, overlay, calls, differing := plain, "", 0, 0
	for lines.Scan() {
		var line agreementLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Overlay != nil {
			overlay = *line.Overlay
			if book = underOverlay(t, plain, &line); book == nil {
				differing++
				book = plain
			}
			continue
		}
		calls++
		var r Result
		book.Price(line.query(t), &r)
		if got := onOneLine(&r); got != line.Expect {
			if differing++; differing <= shownDisagreements {
				t.Errorf("call %s\nunder %s\n got %s\nwant %s", lines.Bytes(), overlay, got, line.Expect)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if calls == 0 {
		t.Errorf("%s has no calls", name)
	}
	t.Logf("%d calls, %d disagreements", calls, differing)
}

// underOverlay returns the book under the line's overlay; nil, and an error of the test, where the languages do not
// agree on whether it is one.
func underOverlay(t *testing.T, plain *Book, line *agreementLine) *Book {
	book := plain
	if *line.Overlay != "" {
		var err error
		book, err = plain.WithOverlay([]byte(*line.Overlay), "overlay.json")
		if line.Refused != (err != nil) {
			t.Errorf("overlay %s: refused by Python: %v, here: %v", *line.Overlay, line.Refused, err)
			return nil
		}
	}
	if line.Refused {
		return plain
	}
	if book.ID() != line.Book {
		t.Errorf("overlay %s: the book is %s, want %s", *line.Overlay, book.ID(), line.Book)
		return nil
	}
	return book
}

func (l *agreementLine) query(t *testing.T) *Query {
	at, err := time.Parse(time.RFC3339Nano, l.At)
	if err != nil {
		t.Fatal(err)
	}
	q := &Query{
		Provider: l.Provider, ResponseModel: l.Model, RequestModel: l.RequestModel, Host: l.Host, Reason: l.Reason,
		AtMillis: at.UnixMilli(), Facts: factsOf(t, l.Facts), UnknownHostUnpriced: l.UnknownHost == "unpriced",
	}
	for name, value := range l.Units {
		unit, ok := UnitByName(name)
		if !ok {
			t.Fatalf("unknown unit %q", name)
		}
		q.Usage.Set(unit, int64(value))
	}
	if l.StatedCost != nil {
		q.StatedPico, q.HasStated = int64(*l.StatedCost), true
	}
	return q
}

// onOneLine writes a result as agreement.py does.
func onOneLine(r *Result) string {
	fields := []string{r.Status, r.Reason, r.Source, r.Basis, r.Provider, r.Model, r.Match, r.SKU}
	fields = append(fields, optional(r.Total, r.HasTotal), optional(r.List, r.HasList), optional(r.Computed, r.HasComputed))
	var parts, savings []string
	for part, value := range r.Parts {
		if value != 0 {
			parts = append(parts, PartNames[part]+"="+strconv.FormatInt(value, 10))
		}
	}
	if r.HasSavingsCache {
		savings = append(savings, "cache="+strconv.FormatInt(r.SavingsCache, 10))
	}
	if r.HasSavingsBatch {
		savings = append(savings, "batch="+strconv.FormatInt(r.SavingsBatch, 10))
	}
	fields = append(fields, strings.Join(parts, ","), strings.Join(r.Flags.Strings(), ","), strings.Join(savings, ","))
	return strings.Join(fields, "|")
}

func optional(value int64, has bool) string {
	if !has {
		return ""
	}
	return strconv.FormatInt(value, 10)
}
