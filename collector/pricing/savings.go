package pricing

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
	standard := c.facts
	standard[factProcessing] = ""
	if other := c.choose(&standard, false); other != nil {
		if price, complete, ok := c.listPrice(other, &standard); ok && complete {
			r.SavingsBatch, r.HasSavingsBatch = price-r.Total, true
		}
	}
}

func (c *calculation) cacheSavings(used unitSet, row *row, table *rateTable) int64 {
	saved := int64(0)
	for rest := used; rest != 0; {
		var unit, plain Unit
		unit, rest = rest.pop()
		if unit == AudioCacheRead {
			plain = AudioIn
		}
		if c.counts[unit] == 0 || table.missing.has(unit) || table.missing.has(plain) {
			continue
		}
		factor, _, ok := c.multiplied(unit, &c.facts)
		if cut := c.discounted(row, unit); ok && cut != nil {
			factor = factor.times(cut.ratio)
		}
		difference := table.rates[plain] - table.rates[unit]
		sign := int64(1)
		if difference < 0 {
			difference, sign = -difference, -1
		}
		amount, fits := mulCount(c.counts[unit], difference)
		rounded, fine := factor.halfEven(amount)
		if !fits || !fine {
			return 0
		}
		saved += sign * rounded
	}
	return saved
}
