package tokenomicsprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// observe hands a span to the reader. Only values that a rule reads are looked at.
func observe(target *attributes.Span, span ptrace.Span) {
	target.Reset()
	target.StartMillis = int64(uint64(span.StartTimestamp()) / 1_000_000)
	target.Failed = span.Status().Code() == ptrace.StatusCodeError
	if kind := span.Kind(); kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer {
		target.Kind = attributes.KindServer
	}
	for key, value := range span.Attributes().All() {
		if place := attributes.Find(key); place != nil {
			target.Take(place, read(value))
		}
	}
	if target.Failed {
		target.Exception = exceptionType(span.Events())
	}
}

func read(value pcommon.Value) attributes.Value {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return attributes.StringValue(value.Str())
	case pcommon.ValueTypeInt:
		return attributes.IntValue(value.Int())
	case pcommon.ValueTypeDouble:
		return attributes.DoubleValue(value.Double())
	case pcommon.ValueTypeBool:
		return attributes.BoolValue(value.Bool())
	case pcommon.ValueTypeEmpty:
		return attributes.Value{}
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
	}
	return attributes.Value{Type: attributes.TypeOther}
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
