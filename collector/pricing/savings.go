package pricing

import "math/big"

// cacheUnits are the units that caching put in the place of plain input.
const cacheUnits unitSet = 1<<CacheRead | 1<<CacheWrite | 1<<CacheWrite1h | 1<<CacheWrite12h | 1<<AudioCacheRead

// savings fills what caching saved against plain input and batch against the standard price; both may be negative.
func (c *calculation) savings(row *row, table *rateTable, r *Result) {
	if used := c.reported & cacheUnits; used != 0 {
		r.SavingsCache = c.cacheSavings(used, row, table)
		r.HasSavingsCache = r.SavingsCache != 0
	}
	if c.facts[factProcessing] != "batch" || row.asks>>factProcessing&1 == 0 {
		return
	}
	// The same call without batch, under the same terms: own rows and discounts too.
	standard := *c
	standard.facts[factProcessing] = ""
	standard.noteMultipliers()
	other := standard.choose(false)
	if other == nil {
		return
	}
	var sums amounts
	var usual Result
	sums.fill(other.tableFor(&standard), &standard)
	if !sums.missing && standard.fill(other, other.tableFor(&standard), &sums, &usual) {
		r.SavingsBatch = usual.Total - r.Total
		r.HasSavingsBatch = r.SavingsBatch != 0
	}
}

// cacheSavings returns the sum over the cached units; 0 where it leaves int64.
func (c *calculation) cacheSavings(used unitSet, row *row, table *rateTable) int64 {
	saved := int64(0)
	for rest := used; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		difference, factor, ok := c.spared(unit, row, table)
		if !ok {
			continue
		}
		magnitude := max(difference, -difference)
		amount, fits := mulCount(c.counts[unit], magnitude)
		rounded, fine := factor.halfEven(amount)
		if difference < 0 {
			rounded = -rounded
		}
		sum := saved + rounded
		if !fits || !fine || (saved >= 0) == (rounded >= 0) && (sum >= 0) != (saved >= 0) {
			return c.cacheSavingsExact(used, row, table)
		}
		saved = sum
	}
	return saved
}

// spared returns what one of a cached unit costs less than the plain unit, and the factor on it; false where there is
// nothing to compare.
func (c *calculation) spared(unit Unit, row *row, table *rateTable) (difference int64, factor ratio, ok bool) {
	plain := Input
	if unit == AudioCacheRead {
		plain = AudioIn
	}
	if c.counts[unit] == 0 || table.missing.has(unit) || table.missing.has(plain) {
		return 0, one, false
	}
	factor, fits := one, true
	if row.basis != BasisAllocated {
		factor, _, fits = c.multiplied(unit)
	}
	if cut := c.discounted(row, unit); fits && cut != nil {
		factor = factor.times(cut.ratio)
	}
	return table.rates[plain] - table.rates[unit], factor, true
}

// cacheSavingsExact is the way of amounts that no call has: a part may leave int64 while the sum does not.
func (c *calculation) cacheSavingsExact(used unitSet, row *row, table *rateTable) int64 {
	sum := new(big.Int)
	for rest := used; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		difference, factor, ok := c.spared(unit, row, table)
		if !ok {
			continue
		}
		amount := new(big.Int).Mul(big.NewInt(c.counts[unit]), big.NewInt(difference))
		amount.Mul(amount, new(big.Int).SetUint64(factor.num))
		sum.Add(sum, halfEvenBig(amount, new(big.Int).SetUint64(factor.den)))
	}
	if !sum.IsInt64() {
		return 0
	}
	return sum.Int64()
}
