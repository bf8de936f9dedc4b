package tokenomicsprocessor

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// dialect repeats a cost under the keys that one backend reads.
type dialect struct {
	name string
	// object is the key of a dialect that holds one JSON object; its fields are then the object's members.
	object string
	fields []dialectField
}

// dialectField is one number: the total, or a sum of parts.
type dialectField struct {
	key   string
	total bool
	parts []pricing.Part
}

func newDialects(names []string) []dialect {
	var dialects []dialect
	for _, name := range names {
		built := dialect{name: name}
		for _, entry := range attributes.Dialects[name] {
			switch entry.Parts[0] {
			case "json":
				built.object = entry.Key
			case "total":
				built.fields = append(built.fields, dialectField{key: entry.Key, total: true})
			default:
				built.fields = append(built.fields, dialectField{key: entry.Key, parts: partsOf(entry.Parts)})
			}
		}
		dialects = append(dialects, built)
	}
	return dialects
}

func partsOf(names []string) []pricing.Part {
	parts := make([]pricing.Part, 0, len(names))
	for _, name := range names {
		if index := slices.Index(pricing.PartNames[:], name); index >= 0 {
			parts = append(parts, pricing.Part(index))
		}
	}
	return parts
}

// amount returns the number of a field. A total that somebody else stated has no parts.
func (f *dialectField) amount(result *pricing.Result) (int64, bool) {
	if f.total {
		return result.Total, true
	}
	var sum int64
	for _, part := range f.parts {
		sum += result.Parts[part]
	}
	return sum, sum != 0
}

// write puts the dialect's keys beside a total. A key that we did not write is never overwritten, except a 0 that was
// ignored: boards that read it would show 0 for ever.
func (d *dialect) write(
	target pcommon.Map, result *pricing.Result, reading *attributes.Reading, earlier int64, repriced bool,
) {
	if d.name == dialectScalar {
		if _, rival := target.Get(scalarRival); rival {
			return
		}
	}
	if d.object != "" {
		if _, taken := target.Get(d.object); !taken || repriced {
			target.PutStr(d.object, d.text(result))
		}
		return
	}
	ours := repriced && d.repeats(target, earlier)
	for index := range d.fields {
		field := &d.fields[index]
		amount, there := field.amount(result)
		value, taken := target.Get(field.key)
		switch {
		case taken && !ours && !(reading.Estimate.Zero && isZero(value)):
		case there:
			target.PutDouble(field.key, pricing.ToDouble(amount))
		case taken && ours:
			target.Remove(field.key)
		}
	}
}

// repeats says whether the dialect's total on a span is the figure that we wrote there before.
func (d *dialect) repeats(target pcommon.Map, earlier int64) bool {
	for index := range d.fields {
		if value, ok := target.Get(d.fields[index].key); ok && d.fields[index].total {
			return value.Type() == pcommon.ValueTypeDouble && value.Double() == pricing.ToDouble(earlier)
		}
	}
	return false
}

func isZero(value pcommon.Value) bool {
	switch value.Type() {
	case pcommon.ValueTypeDouble:
		return value.Double() == 0
	case pcommon.ValueTypeInt:
		return value.Int() == 0
	default:
		return false
	}
}

// text returns the JSON object of a dialect: always an object, since MLflow refuses a whole batch for a bare number.
func (d *dialect) text(result *pricing.Result) string {
	var text strings.Builder
	text.WriteByte('{')
	for index := range d.fields {
		amount, there := d.fields[index].amount(result)
		if !there {
			continue
		}
		if text.Len() > 1 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.Quote(d.fields[index].key))
		text.WriteByte(':')
		text.WriteString(number(pricing.ToDouble(amount)))
	}
	text.WriteByte('}')
	return text.String()
}

// number writes a double as Python's json does, so that SDK and collector write equal texts.
func number(value float64) string {
	const smallest, largest = 1e-4, 1e16
	if size := math.Abs(value); size != 0 && (size < smallest || size >= largest) {
		return strconv.FormatFloat(value, 'e', -1, 64)
	}
	text := strconv.FormatFloat(value, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
