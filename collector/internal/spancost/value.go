package spancost

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Value returns a value of the collector's data model as the reader of attributes takes it, which knows none of that.
func Value(value pcommon.Value) attributes.Value {
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
