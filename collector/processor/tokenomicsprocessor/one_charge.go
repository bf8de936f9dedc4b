package tokenomicsprocessor

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/rollup"
)

// calls are the model calls of one batch, and beside each the span and what was counted for it.
type calls struct {
	calls []rollup.Call
	spans []chargedSpan
}

// chargedSpan is a span of the batch, and what is taken back where another span holds the charge.
type chargedSpan struct {
	span    ptrace.Span
	outcome outcome
	// pico is the cost on the span. counted: this batch counted it, under key; tokens are those of an unpriced call.
	pico    int64
	counted bool
	key     costKey
	reason  string
	tokens  [2]int64
	// missing are the tags of a policy that it lacks.
	missing uint32
}

// note keeps what joins a span, once it is priced, with the others of its call.
func (c *calls) note(work *batch, span ptrace.Span, options *attributes.Options, result outcome) {
	there := chargedSpan{span: span, outcome: result, missing: work.missing}
	if work.reading.Verdict == attributes.VerdictPrice && result != outcomeNotApplicable {
		// What was just written is known.
		id := work.span.Identity(&work.reading)
		if there.counted = work.result.HasTotal; there.counted {
			there.pico, there.key = work.result.Total, costKey{work.result.Source, work.result.Basis}
		}
		if result == outcomeUnpriced {
			there.reason = work.result.Reason
			there.tokens = [2]int64{work.reading.InputTokens, work.reading.OutputTokens}
		}
		c.spans = append(c.spans, there)
		c.calls = append(c.calls, spancost.PricedCall(span, &id, work.scope.Name, work.resource, there.counted, work.result.Model))
		return
	}
	id, ok := work.span.Identify(options, spancost.Text(span, attributes.TokenomicsCostStatus), spancost.Text(span, attributes.TokenomicsCostReason))
	if !ok {
		return
	}
	there.pico, _ = work.span.Total()
	c.spans = append(c.spans, there)
	c.calls = append(c.calls, spancost.CallOf(span, &id, work.scope.Name, work.resource))
}

// forget lets go of the spans and keeps the room.
func (c *calls) forget() {
	clear(c.calls)
	clear(c.spans)
	c.calls, c.spans = c.calls[:0], c.spans[:0]
}

// safelySettle keeps a batch that nobody foresaw from stopping the pipeline: its charges stay as they were priced.
func (p *tokenomicsProcessor) safelySettle(work *batch, traces ptrace.Traces) {
	var lost outcome
	defer p.recovered(&lost)
	findings := rollup.Repeated(work.calls.calls, func() map[rollup.Link]rollup.Above { return standing(traces) })
	for index, found := range findings {
		if found.Verdict == rollup.Keeps {
			continue
		}
		there := &work.calls.spans[index]
		reason := attributes.ReasonShadowed
		if found.Verdict == rollup.Container {
			reason = attributes.ReasonContainer
		}
		spancost.Withdraw(there.span.Attributes(), there.pico, work.calls.calls[index].HasTotal, reason)
		work.tally.withdraw(there)
		if found.Rule == rollup.ByResponseID {
			work.tally.dedup[0]++
		} else {
			work.tally.dedup[1]++
		}
	}
}

// standing returns where every span of a batch stands.
func standing(traces ptrace.Traces) map[rollup.Link]rollup.Above {
	found := make(map[rollup.Link]rollup.Above, traces.SpanCount())
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			name := scope.Scope().Name()
			for _, span := range scope.Spans().All() {
				link := rollup.Link{Trace: span.TraceID(), ID: span.SpanID()}
				if _, there := found[link]; !there {
					found[link] = rollup.Above{Parent: span.ParentSpanID(), Scope: name}
				}
			}
		}
	}
	return found
}

// withdraw takes back what was counted for a span whose charge another holds.
func (t *tally) withdraw(there *chargedSpan) {
	t.outcomes[there.outcome]--
	t.outcomes[outcomeNotApplicable]++
	t.miss(there.missing, -1)
	if there.counted {
		t.costs.of(there.key).add(-(there.pico / picoPerUSD), -(there.pico % picoPerUSD))
	}
	for index, side := range [...]string{"input", "output"} {
		if there.tokens[index] > 0 {
			t.unpriced[tokenKey{side, there.reason}] -= there.tokens[index]
		}
	}
}
