package pricing

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// PicoPerUSD is one US dollar in pico-USD.
const PicoPerUSD = 1_000_000_000_000

// usdDigits is how many decimal digits of a dollar a pico-USD is.
const usdDigits = 12

// exactDoubleLimit is 2^53: below it an int64 is a float64 without rounding.
const exactDoubleLimit = 1 << 53

// maxExponent bounds the exponent of a decimal text: nothing beyond it is an amount of money.
const maxExponent = 10_000

var (
	errNoAmount = errors.New("no amount of money")
	errTooLarge = errors.New("above the cap of int64 pico-USD")
)

// ParseUSD returns a decimal text in USD ("0.0015", "-2", "1.5e-7") as pico-USD, rounded half-even to 12 digits.
// It fails where the text is no finite number or the amount leaves int64.
func ParseUSD(text string) (int64, error) { return parseDecimal(text, usdDigits) }

// ParseUSDFloat returns a double as pico-USD, read by its shortest text, so that 0.1 is ten cents exactly.
func ParseUSDFloat(usd float64) (int64, error) {
	return ParseUSD(strconv.FormatFloat(usd, 'g', -1, 64))
}

// parseDecimal returns text * 10^digits as an integer, rounded half-even.
func parseDecimal(text string, digits int) (int64, error) {
	trimmed := trimASCII(text)
	mantissa, exponent, err := splitExponent(trimmed)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", shorten(text), err)
	}
	negative := strings.HasPrefix(mantissa, "-")
	if negative || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return 0, fmt.Errorf("%q: %w", shorten(text), errNoAmount)
	}
	pico, ok := shiftHalfEven(whole+fraction, len(whole)+exponent+digits)
	if !ok {
		return 0, fmt.Errorf("%q: %w", shorten(text), errTooLarge)
	}
	if negative {
		pico = -pico
	}
	return pico, nil
}

func splitExponent(text string) (mantissa string, exponent int, err error) {
	mark := strings.IndexAny(text, "eE")
	if mark < 0 {
		return text, 0, nil
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(text[mark+1:], "+"), "-")
	if digits == "" || !allDigits(digits) {
		return "", 0, errNoAmount
	}
	exponent, err = strconv.Atoi(digits)
	if err != nil || exponent > maxExponent {
		exponent = maxExponent
	}
	if text[mark+1] == '-' {
		exponent = -exponent
	}
	return text[:mark], exponent, nil
}

// shiftHalfEven reads the first point digits as an integer and rounds by the rest; point may lie outside the digits.
func shiftHalfEven(digits string, point int) (int64, bool) {
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	if trimmed == "" || point < 0 {
		return 0, true
	}
	if point > 19 {
		return 0, false
	}
	value := uint64(0)
	for place := range point {
		digit := uint64(0)
		if place < len(trimmed) {
			digit = uint64(trimmed[place] - '0')
		}
		high, low := bits.Mul64(value, 10)
		sum, carry := bits.Add64(low, digit, 0)
		if high != 0 || carry != 0 {
			return 0, false
		}
		value = sum
	}
	if point < len(trimmed) && roundsUp(trimmed[point:], value&1 == 1) {
		value++
	}
	return int64(value), value <= math.MaxInt64
}

// roundsUp says whether the dropped digits round the kept integer up.
func roundsUp(dropped string, odd bool) bool {
	if dropped[0] != '5' {
		return dropped[0] > '5'
	}
	return odd || strings.Trim(dropped[1:], "0") != ""
}

func allDigits(text string) bool {
	for index := range len(text) {
		if text[index] < '0' || text[index] > '9' {
			return false
		}
	}
	return true
}

// shorten bounds what a hostile text can put into an error.
func shorten(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// ToDouble returns pico-USD as the correctly rounded double in USD: the one conversion at the edge.
func ToDouble(pico int64) float64 {
	if pico > -exactDoubleLimit && pico < exactDoubleLimit {
		return float64(pico) / PicoPerUSD
	}
	// float64(pico) would round once and the division a second time; the decimal text is rounded once.
	double, err := strconv.ParseFloat(FormatUSD(pico), 64)
	if err != nil {
		return math.NaN() // unreachable: the text of an int64 amount is a finite decimal
	}
	return double
}

// FormatUSD returns pico-USD as a decimal text in USD: no exponent, no trailing zeros.
func FormatUSD(pico int64) string {
	magnitude := uint64(pico)
	sign := ""
	if pico < 0 {
		magnitude, sign = -magnitude, "-"
	}
	whole := strconv.FormatUint(magnitude/PicoPerUSD, 10)
	rest := magnitude % PicoPerUSD
	if rest == 0 {
		return sign + whole
	}
	return sign + whole + "." + strings.TrimRight(fmt.Sprintf("%012d", rest), "0")
}
