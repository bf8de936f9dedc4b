package pricing

import (
	"math"
	"math/big"
	"math/bits"
)

// mulCount returns count * rate; ok is false where the product leaves int64. Both are non-negative.
func mulCount(count, rate int64) (product int64, ok bool) {
	high, low := bits.Mul64(uint64(count), uint64(rate))
	return int64(low), high == 0 && low <= math.MaxInt64
}

// addPico returns a + b of non-negative amounts; ok is false where the sum leaves int64.
func addPico(a, b int64) (sum int64, ok bool) {
	low, carry := bits.Add64(uint64(a), uint64(b), 0)
	return int64(low), carry == 0 && low <= math.MaxInt64
}

// ratio is an exact positive fraction. Three factors of at most a million each stay below 1e18.
type ratio struct{ num, den uint64 }

var one = ratio{1, 1}

// times returns the product in lowest terms, so that equal factors are equal values.
func (r ratio) times(other ratio) ratio {
	if r == one {
		return other
	}
	// Crosswise first: the parts of reduced factors stay small.
	a, b := gcd(r.num, other.den), gcd(other.num, r.den)
	return ratio{(r.num / a) * (other.num / b), (r.den / b) * (other.den / a)}
}

func (r ratio) reduced() ratio {
	common := gcd(r.num, r.den)
	return ratio{r.num / common, r.den / common}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// halfEven returns amount * r rounded to the nearest integer, ties to even; ok is false on overflow of int64.
func (r ratio) halfEven(amount int64) (int64, bool) {
	quotient, rest, ok := r.divide(amount)
	if !ok {
		return 0, false
	}
	// den < 2^63, so twice the rest fits.
	if double := 2 * rest; double > r.den || double == r.den && quotient&1 == 1 {
		quotient++
	}
	return int64(quotient), quotient <= math.MaxInt64
}

// halfEvenBig returns amount / divisor rounded to the nearest integer, ties to even; the divisor is positive.
func halfEvenBig(amount, divisor *big.Int) *big.Int {
	// Division and rest of Euclid: the rest is never negative, so half-even reads alike on both sides of 0.
	quotient, left := new(big.Int).DivMod(amount, divisor, new(big.Int))
	order := left.Lsh(left, 1).Cmp(divisor)
	if order > 0 || order == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

// floor returns the integer part of amount * r; ok is false on overflow of int64.
func (r ratio) floor(amount int64) (int64, bool) {
	quotient, _, ok := r.divide(amount)
	return int64(quotient), ok && quotient <= math.MaxInt64
}

func (r ratio) divide(amount int64) (quotient, rest uint64, ok bool) {
	high, low := bits.Mul64(uint64(amount), r.num)
	if high >= r.den {
		return 0, 0, false
	}
	quotient, rest = bits.Div64(high, low, r.den)
	return quotient, rest, true
}
