package tokenomicsconnector

import (
	"math"
	"math/bits"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// base is where the low part of a sum carries over: one USD in pico-USD.
const base = pricing.PicoPerUSD

// sum is a count or an amount in pico-USD that cannot overflow in the life of a process: high*base + low, and rest
// 2^-32ths, which only weighted measurements have.
type sum struct {
	high, low int64
	rest      uint32
}

// add adds an amount, which is not negative.
func (s *sum) add(amount int64) {
	if amount >= base {
		s.high += amount / base
		amount %= base
	}
	s.low += amount
	if s.low >= base {
		s.high++
		s.low -= base
	}
}

// addWeighted adds an amount as often as a weight says, to 2^-32 of a unit.
func (s *sum) addWeighted(amount int64, w weight) {
	if w.exact() {
		s.add(amount)
		return
	}
	// amount * 2^56 / kept, as a quotient of 128 bits: the weight and the amount are bounded, the high word is small.
	high, low := bits.Mul64(uint64(amount), randomness)
	above := high / w.kept
	below, remainder := bits.Div64(high%w.kept, low, w.kept)
	high, low = bits.Div64(above, below, base)
	s.high += int64(high)
	s.add(int64(low))
	const parts = 1 << 32
	high, below = bits.Mul64(remainder, parts)
	rest, _ := bits.Div64(high, below, w.kept)
	if rest += uint64(s.rest); rest >= parts {
		s.add(1)
		rest -= parts
	}
	s.rest = uint32(rest)
}

// since returns the whole units by which a sum grew.
func (s sum) since(before sum) sum {
	grown := sum{high: s.high - before.high, low: s.low - before.low}
	if grown.low < 0 {
		grown.high--
		grown.low += base
	}
	return grown
}

// whole returns a count as an integer, the largest one where it has no room.
func (s sum) whole() int64 {
	if s.high > (math.MaxInt64-s.low)/base {
		return math.MaxInt64
	}
	return s.high*base + s.low
}

// usd returns an amount as a double: correctly rounded as long as it fits into pico-USD, to the last place beyond.
func (s sum) usd() float64 {
	if s.high < math.MaxInt64/base {
		return pricing.ToDouble(s.high*base + s.low)
	}
	return float64(s.high) + pricing.ToDouble(s.low)
}
