package spancost

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

const (
	// Scalar is the name of the dialect that is on by default.
	Scalar = "scalar"
	// scalarRival is the key beside which the scalar gen_ai.usage.cost must not stand: a value and an object would share
	// a path.
	scalarRival = "gen_ai.usage.cost.amount"
)

// Dialect repeats a cost under the keys that one backend reads.
type Dialect struct {
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

// NewDialects returns the dialects of some names, as the registry defines them.
func NewDialects(names []string) []Dialect {
	var dialects []Dialect
	for _, name := range names {
		built := Dialect{name: name}
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

// Write puts the dialect's keys beside a total. A key that is there was written by somebody else, or holds this figure
// already: it stays, except a 0 that was ignored, which boards would show for ever.
func (d *Dialect) Write(target pcommon.Map, result *pricing.Result, reading *attributes.Reading) {
	if d.name == Scalar {
		if _, rival := target.Get(scalarRival); rival {
			return
		}
	}
	if d.object != "" {
		if _, taken := target.Get(d.object); !taken {
			target.PutStr(d.object, d.text(result))
		}
		return
	}
	for index := range d.fields {
		field := &d.fields[index]
		amount, there := field.amount(result)
		if !there {
			continue
		}
		if value, taken := target.Get(field.key); !taken || reading.Estimate.Zero && isZero(value) {
			target.PutDouble(field.key, pricing.ToDouble(amount))
		}
	}
}

// allDialects are those of every release and component of ours, in the order of their names: what another step wrote
// must be found whatever this one is set to write.
var allDialects = NewDialects(slices.Sorted(maps.Keys(attributes.Dialects)))

// RemoveRepeats takes a figure of ours that holds no longer off the keys of backends.
func RemoveRepeats(target pcommon.Map, earlier int64) {
	for index := range allDialects {
		dialect := &allDialects[index]
		if !dialect.repeats(target, earlier) {
			continue
		}
		target.RemoveIf(func(key string, _ pcommon.Value) bool {
			return key == dialect.object || dialect.object == "" &&
				slices.ContainsFunc(dialect.fields, func(field dialectField) bool { return field.key == key })
		})
	}
}

// repeats says whether the dialect's total on a span is the figure that we wrote there before, to the pico-dollar. The
// reader of foreign costs takes such a figure for ours: one that stayed would be somebody else's the next time.
func (d *Dialect) repeats(target pcommon.Map, earlier int64) bool {
	for index := range d.fields {
		field := &d.fields[index]
		if !field.total {
			continue
		}
		if d.object == "" {
			value, ok := target.Get(field.key)
			if !ok {
				return false
			}
			pico, amount := attributes.Pico(Value(value))
			return amount && pico == earlier
		}
		value, ok := target.Get(d.object)
		return ok && strings.HasSuffix(value.Str(), strconv.Quote(field.key)+":"+number(pricing.ToDouble(earlier))+"}")
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
func (d *Dialect) text(result *pricing.Result) string {
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
