package attributes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// vectorSpan is one span of tests/vectors/spans, with the scope that made it.
type vectorSpan struct {
	scope     Scope
	kind      int
	failed    bool
	exception string
	bears     map[string]Value
}

func (v *vectorSpan) text(key string) string { one := v.bears[key]; return one.Text }

func (v *vectorSpan) observed() *Span {
	span := &Span{}
	span.Enter(v.scope)
	span.Reset()
	if v.kind == 2 || v.kind == 5 { // SERVER, CONSUMER
		span.Kind = KindServer
	}
	span.Failed, span.Exception = v.failed, v.exception
	for key, value := range v.bears {
		span.Observe(key, value)
	}
	return span
}

// vectorValue is any value of OTLP's JSON; lists and maps are values that no rule reads.
type vectorValue struct{ Value }

func (v *vectorValue) UnmarshalJSON(data []byte) error {
	var one otlpValue
	if one.UnmarshalJSON(data) != nil {
		v.Value = Value{Type: TypeOther}
		return nil
	}
	if v.Value = one.Value; one.Type == TypeBool {
		v.Value = BoolValue(strings.Contains(string(data), "true"))
	}
	return nil
}

type vectorPair struct {
	Key   string
	Value vectorValue
}

func vectorSpans(t *testing.T, data json.RawMessage) (spans []vectorSpan) {
	t.Helper()
	var payload struct {
		ResourceSpans []struct {
			ScopeSpans []struct {
				Scope Scope
				Spans []struct {
					Kind       int
					Status     struct{ Code int }
					Events     []struct{ Attributes []vectorPair }
					Attributes []vectorPair
				}
			}
		}
	}
	if err := json.Unmarshal(data, &payload); err != nil {
		t.Fatal(err)
	}
	for _, resource := range payload.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				one := vectorSpan{scope: scope.Scope, kind: span.Kind, failed: span.Status.Code == 2, bears: map[string]Value{}}
				for _, event := range span.Events {
					for _, pair := range event.Attributes {
						if pair.Key == "exception.type" {
							one.exception = pair.Value.Text
						}
					}
				}
				for _, pair := range span.Attributes {
					if _, twice := one.bears[pair.Key]; !twice {
						one.bears[pair.Key] = pair.Value.Value
					}
				}
				spans = append(spans, one)
			}
		}
	}
	return spans
}

// TestSpanVectors holds the readers to the spans that both languages share: what the reader says of a span that comes
// in is what stands on the one that goes out, and what goes out is read back as what it says.
func TestSpanVectors(t *testing.T) {
	files, err := filepath.Glob("../../../tests/vectors/spans/*.json")
	if err != nil || len(files) < 30 {
		t.Fatal(err, len(files))
	}
	seen := map[Verdict]int{}
	settled := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vector struct {
			Name    string
			Overlay bool
			Options struct {
				OnExisting       string `json:"on_existing"`
				UsageConvention  string `json:"usage_convention"`
				PriceServerSpans bool   `json:"price_server_spans"`
			}
			In, Out json.RawMessage
		}
		if err := json.Unmarshal(data, &vector); err != nil {
			t.Fatal(file, err)
		}
		options := Options{PriceServerSpans: vector.Options.PriceServerSpans}
		if vector.Options.UsageConvention == "exclusive" {
			options.Convention = ConventionExclusive
		}
		ins, outs := vectorSpans(t, vector.In), vectorSpans(t, vector.Out)
		if len(ins) != len(outs) || len(ins) == 0 {
			t.Fatalf("%s: %d spans in, %d out", vector.Name, len(ins), len(outs))
		}
		for index := range ins {
			seen[comesIn(t, vector.Name, &ins[index], &outs[index], &options)]++
			if goesOut(t, vector.Name, &outs[index], &options) {
				settled++
			}
		}
	}
	for _, verdict := range []Verdict{VerdictPass, VerdictPrice, VerdictNotApplicable, VerdictMalformed} {
		if seen[verdict] == 0 {
			t.Errorf("no span is read as %d", verdict)
		}
	}
	if settled < 100 {
		t.Errorf("only %d spans are settled", settled)
	}
}

// comesIn compares the reading of a span with the verdict that stands on it when it goes out.
func comesIn(t *testing.T, name string, in, out *vectorSpan, options *Options) Verdict {
	t.Helper()
	var reading Reading
	in.observed().Read(options, &reading)
	status, reason := out.text(TokenomicsCostStatus), out.text(TokenomicsCostReason)
	before := in.text(TokenomicsCostStatus)
	switch {
	case before != "", status == "not_applicable" && reason != ReasonContainer && reason != ReasonServerSide && reason != ReasonCallFailed:
		// An earlier step's word, or one that needs the other spans or the settings.
	case out.text(TokenomicsChargeKind) != "":
		if reading.Verdict != VerdictPass {
			t.Errorf("%s: a charge is read as %d", name, reading.Verdict)
		}
	case status == "":
		if reading.Verdict != VerdictPass && reading.Verdict != VerdictMalformed {
			t.Errorf("%s: nothing is written, verdict %d", name, reading.Verdict)
		}
	case status == "not_applicable":
		if (reading.Verdict != VerdictNotApplicable || reading.Reason != reason) && !(reading.Verdict == VerdictPrice && reason == ReasonContainer) {
			t.Errorf("%s: %s, verdict %d, %q", name, reason, reading.Verdict, reading.Reason)
		}
	case reading.Verdict != VerdictPrice:
		t.Errorf("%s: %s, verdict %d", name, status, reading.Verdict)
	case status == "unpriced" && reading.Query.Reason != "" && reading.Query.Reason != reason:
		t.Errorf("%s: unpriced for %s, read as %s", name, reason, reading.Query.Reason)
	}
	return reading.Verdict
}

// goesOut reads back what a span says that we let go; false where we wrote nothing on it.
func goesOut(t *testing.T, name string, out *vectorSpan, options *Options) bool {
	t.Helper()
	span := out.observed()
	var found Settled
	status := out.text(TokenomicsCostStatus)
	if span.Settle(&found) != (status != "") {
		t.Fatalf("%s: settled %t, status %q", name, status == "", status)
	}
	if status == "" {
		return false
	}
	owned := span.Owned(options)
	amount, priced := out.bears[TokenomicsCostTotal]
	want := int64(0)
	if priced {
		pico, err := pricing.ParseUSDFloat(amount.double())
		if err != nil {
			t.Fatal(name, err)
		}
		want = pico
	}
	if found.Total != want || found.HasTotal != priced || owned.Pico != want || owned.HasTotal != priced {
		t.Errorf("%s: %d pico-USD (%t) are read back as %+v and %+v", name, want, priced, found, owned)
	}
	if found.Status != status || found.Reason != out.text(TokenomicsCostReason) || found.Basis != out.text(TokenomicsCostBasis) {
		t.Errorf("%s: %+v", name, found)
	}
	if !span.Ours() {
		t.Errorf("%s: our own mark is not noticed", name)
	}
	call := out.text(TokenomicsChargeKind) == "" && status != "not_applicable"
	if owned.Call != call || owned.Unpriced != (call && status == "unpriced") {
		t.Errorf("%s: %s is owned as %+v", name, status, owned)
	}
	if _, joins := span.Identify(options, status, found.Reason); call && !joins {
		t.Errorf("%s: a call that joins no other", name)
	}
	var again Reading
	if span.Read(options, &again); status == "not_applicable" && again.Verdict != VerdictPass {
		t.Errorf("%s: what is not applicable is read again, %d", name, again.Verdict)
	}
	if source := out.text(TokenomicsCostSource); (source == "sdk" || source == "collector") && again.Verdict != VerdictPass {
		t.Errorf("%s: our figure is not final, verdict %d", name, again.Verdict)
	}
	return true
}
