// Package spancost is how a cost stands on a span of the collector: reading what decides, the keys of backends that repeat
// a figure, and taking a charge off that another span holds. Processors and the connector share it.
package spancost

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Observe hands a span to the reader. Only values that a rule reads are looked at.
func Observe(target *attributes.Span, span ptrace.Span) {
	target.Reset()
	target.StartMillis = int64(uint64(span.StartTimestamp()) / 1_000_000)
	target.Failed = span.Status().Code() == ptrace.StatusCodeError
	if kind := span.Kind(); kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer {
		target.Kind = attributes.KindServer
	}
	for key, value := range span.Attributes().All() {
		if place := attributes.Find(key); place != nil {
			target.Take(place, Value(value))
		}
	}
	if target.Failed {
		target.Exception = exceptionType(span.Events())
	}
}

const (
	eventException   = "exception"
	keyExceptionType = "exception.type"
)

func exceptionType(events ptrace.SpanEventSlice) string {
	for _, event := range events.All() {
		if event.Name() != eventException {
			continue
		}
		if value, ok := event.Attributes().Get(keyExceptionType); ok {
			return value.Str()
		}
	}
	return ""
}
