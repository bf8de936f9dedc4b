package spancost

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
	"github.com/otel-tokenomics/otel-tokenomics/collector/rollup"
)

// StatusNotApplicable is the status of a span that bears no amount because nothing is billable there.
const StatusNotApplicable = "not_applicable"

// Withdraw takes the figures off a span whose charge another one holds; what it counted stays. pico is the cost that it
// bears, if total is set.
func Withdraw(target pcommon.Map, pico int64, total bool, reason string) {
	if total {
		RemoveRepeats(target, pico)
	}
	target.RemoveIf(func(key string, _ pcommon.Value) bool {
		// What is no charge lacks no tag.
		return attributes.Own(key) || key == attributes.TokenomicsTagsMissing
	})
	target.PutStr(attributes.TokenomicsCostStatus, StatusNotApplicable)
	target.PutStr(attributes.TokenomicsCostReason, reason)
}

// Charge makes what a container's usage would cost its own cost: it stands for calls that nobody saw. What it is made of
// and why stands there already.
func Charge(target pcommon.Map, pico int64) {
	target.RemoveIf(func(key string, _ pcommon.Value) bool {
		return key == attributes.TokenomicsCostComputed || key == attributes.TokenomicsCostReason
	})
	status := pricing.StatusPriced
	if pico == 0 {
		status = pricing.StatusFree
	}
	target.PutDouble(attributes.TokenomicsCostTotal, pricing.ToDouble(pico))
	target.PutStr(attributes.TokenomicsCostCurrency, "USD")
	target.PutStr(attributes.TokenomicsCostSource, attributes.SourceCollector)
	target.PutStr(attributes.TokenomicsCostStatus, status)
}

// maxText is more than any name or response id has.
const maxText = 257

// Text returns the beginning of a textual attribute, or "" where there is none.
func Text(span ptrace.Span, key string) string {
	if value, ok := span.Attributes().Get(key); ok {
		found := value.Str()
		return found[:min(len(found), maxText)]
	}
	return ""
}

// CallOf returns a priced span as one of the calls of its trace.
func CallOf(span ptrace.Span, id *attributes.Identity, scope string, resource int) rollup.Call {
	_, total := span.Attributes().Get(attributes.TokenomicsCostTotal)
	return PricedCall(span, id, scope, resource, total, Text(span, attributes.TokenomicsPriceModel))
}

// PricedCall is CallOf for a caller that knows what it wrote: whether a total, and the model of the book.
func PricedCall(
	span ptrace.Span, id *attributes.Identity, scope string, resource int, total bool, model string,
) rollup.Call {
	return rollup.Call{
		Trace: span.TraceID(), ID: span.SpanID(), Parent: span.ParentSpanID(),
		Start: uint64(span.StartTimestamp()), End: uint64(span.EndTimestamp()),
		Resource: resource, Scope: scope,
		Own: id.Own, Repeats: id.Repeats, HasTotal: total,
		ResponseID: Text(span, attributes.GenAiResponseId), Provider: id.Provider,
		Models: [3]string{id.RequestModel, id.ResponseModel, model},
		Input:  id.InputTokens, Output: id.OutputTokens,
	}
}
