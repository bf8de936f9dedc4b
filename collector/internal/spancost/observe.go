// Package spancost is how a cost stands on a span of the collector: reading what decides, the keys of backends that repeat
// a figure, and taking a charge off that another span holds. Processors and the connector share it.
package spancost

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
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
	take(target, span.Attributes())
	if target.Failed {
		target.Exception = exceptionType(span.Events())
	}
}

// ObserveRecord hands a log record that tells of a call to the reader. Some emitters leave its time to whoever sees it.
func ObserveRecord(target *attributes.Span, record plog.LogRecord, event *attributes.Event) {
	target.Begin(event)
	at := record.Timestamp()
	if at == 0 {
		at = record.ObservedTimestamp()
	}
	target.StartMillis = int64(uint64(at) / 1_000_000)
	take(target, record.Attributes())
}

func take(target *attributes.Span, found pcommon.Map) {
	for key, value := range found.All() {
		if place := attributes.Find(key); place != nil {
			target.Take(place, Value(value))
		}
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
