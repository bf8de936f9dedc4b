package attributes

import (
	"math"
	"strconv"
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// Type says what an attribute value holds.
type Type uint8

// The types a rule can read; TypeOther stands for lists, maps and bytes.
const (
	TypeEmpty Type = iota
	TypeString
	TypeInt
	TypeDouble
	TypeBool
	TypeOther
)

// Value is one attribute value. It is four words: a larger one would go through memory at every step, which costs each
// attribute of each span more than the look-up of its key.
type Value struct {
	Text string
	// number holds an integer, the bits of a double, and 1 for a boolean that is true.
	number int64
	Type   Type
}

// StringValue returns a text as a value.
func StringValue(text string) Value { return Value{Type: TypeString, Text: text} }

// IntValue returns an integer as a value.
func IntValue(number int64) Value { return Value{Type: TypeInt, number: number} }

// DoubleValue returns a double as a value.
func DoubleValue(number float64) Value {
	return Value{Type: TypeDouble, number: int64(math.Float64bits(number))}
}

// BoolValue returns a boolean as a value.
func BoolValue(yes bool) Value {
	if yes {
		return Value{Type: TypeBool, number: 1}
	}
	return Value{Type: TypeBool}
}

func (v *Value) double() float64 { return math.Float64frombits(uint64(v.number)) }

// yes reads a value as a boolean.
func (v *Value) yes() bool {
	return v.Type == TypeBool && v.number == 1 || v.Type == TypeString && strings.EqualFold(strings.TrimSpace(v.Text), "true")
}

// countState says what a value is worth as a count.
type countState uint8

const (
	countAbsent countState = iota
	countGood
	// countBad is no count (negative, not finite, a boolean, no number): as if absent, and the rest is incomplete.
	countBad
	// countHuge is above pricing.MaxCount: nothing on such a span is believed.
	countHuge
)

// count reads a value as a number of tokens or other units. Integers, doubles and numeric texts are accepted because
// emitters write all three; a fraction is cut.
func (v *Value) count() (int64, countState) {
	switch v.Type {
	case TypeEmpty:
		return 0, countAbsent
	case TypeInt:
		return checkedCount(v.number)
	case TypeDouble:
		return doubleCount(v.double())
	case TypeString:
		text := strings.TrimSpace(v.Text)
		if !decimal(text) {
			return 0, countBad
		}
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			return checkedCount(number)
		}
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, countBad
		}
		return doubleCount(number)
	case TypeBool, TypeOther:
	}
	return 0, countBad
}

func checkedCount(number int64) (int64, countState) {
	switch {
	case number < 0:
		return 0, countBad
	case number > pricing.MaxCount:
		return 0, countHuge
	}
	return number, countGood
}

func doubleCount(number float64) (int64, countState) {
	switch {
	case math.IsNaN(number), math.IsInf(number, 0), number < 0:
		return 0, countBad
	case number >= pricing.MaxCount+1:
		return 0, countHuge
	}
	return int64(number), countGood
}

// decimal keeps the parsers from reading what people do not write as a number: hexadecimal, underscores, "inf", "nan".
func decimal(text string) bool {
	for index := range len(text) {
		if c := text[index]; (c < '0' || c > '9') && !strings.ContainsRune("+-.eE", rune(c)) {
			return false
		}
	}
	return text != ""
}

// maxMoneyBytes is more than any amount needs; a longer text is not worth parsing.
const maxMoneyBytes = 64

// money reads a value as an amount in pico-USD.
func (v *Value) money() (int64, bool) {
	var pico int64
	var err error
	switch v.Type {
	case TypeInt:
		pico, err = pricing.ParseUSD(strconv.FormatInt(v.number, 10))
	case TypeDouble:
		if pico, exact := exactPico(v.double()); exact {
			return pico, true
		}
		pico, err = pricing.ParseUSDFloat(v.double())
	case TypeString:
		if len(v.Text) > maxMoneyBytes {
			return 0, false
		}
		pico, err = pricing.ParseUSD(strings.TrimSpace(v.Text))
	case TypeEmpty, TypeBool, TypeOther:
		return 0, false
	}
	if err != nil || pico < 0 {
		return 0, false
	}
	return pico, true
}

// exactPico is pricing.ParseUSDFloat without its texts, where it can be sure of the same answer. Below 1,000 USD a number
// of whole pico-USD has at most 15 digits, and two decimals of at most 15 digits are never the same double: the one that
// gives this double back is its shortest text.
func exactPico(usd float64) (int64, bool) {
	const limit = 1000
	if !(usd >= 0 && usd < limit) {
		return 0, false
	}
	pico := math.Round(usd * pricing.PicoPerUSD)
	return int64(pico), pico/pricing.PicoPerUSD == usd
}
