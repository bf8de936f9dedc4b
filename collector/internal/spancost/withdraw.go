package spancost

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// StatusNotApplicable is the status of a span that bears no amount because nothing is billable there.
const StatusNotApplicable = "not_applicable"

// Withdraw takes the figures off a span whose charge another one holds; what it counted stays. pico is the cost that it
// bears, if total is set.
func Withdraw(target pcommon.Map, pico int64, total bool, reason string) {
	if total {
		RemoveRepeats(target, pico)
	}
	target.RemoveIf(func(key string, _ pcommon.Value) bool { return attributes.Own(key) })
	target.PutStr(attributes.TokenomicsCostStatus, StatusNotApplicable)
	target.PutStr(attributes.TokenomicsCostReason, reason)
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
