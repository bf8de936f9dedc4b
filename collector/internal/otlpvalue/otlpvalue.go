// Package otlpvalue hands values of the collector's data model to the reader of attributes, which knows none of it.
package otlpvalue

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Of returns a value as the reader of attributes takes it.
func Of(value pcommon.Value) attributes.Value {
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
