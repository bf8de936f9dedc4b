package pricing

// rateSet holds the rates that a book states for a row or tier, in pico-USD per unit.
type rateSet struct {
	values [UnitCount]int64
	has    unitSet
}

func (s *rateSet) set(unit Unit, rate int64) {
	s.values[unit] = rate
	s.has |= 1 << unit
}

// over returns the rates with what they lack taken from those below.
func (s *rateSet) over(below *rateSet) rateSet {
	merged := *s
	for unit := range Unit(UnitCount) {
		if !merged.has.has(unit) && below.has.has(unit) {
			merged.set(unit, below.values[unit])
		}
	}
	return merged
}

// fallbacks names, per unit, the units whose rate stands in for a missing one, first found first.
var fallbacks = [UnitCount][]Unit{
	CacheRead:      {Input},
	CacheWrite:     {Input},
	CacheWrite1h:   {CacheWrite, Input},
	CacheWrite12h:  {CacheWrite1h, CacheWrite, Input},
	Reasoning:      {Output},
	AudioIn:        {Input},
	AudioOut:       {Output},
	AudioCacheRead: {CacheRead, AudioIn, Input},
	ImageIn:        {Input},
	ImageOut:       {Output},
	VideoIn:        {Input},
	VideoOut:       {Output},
}

// ordinary holds the units whose fallback is common billing practice and no assumption.
const ordinary unitSet = 1<<Reasoning | 1<<ImageIn | 1<<VideoIn

// rateTable holds the rates in force for a row or one of its tiers, fallbacks expanded.
type rateTable struct {
	// gt is the total input above which the tier applies; -1 for the row itself.
	gt      int64
	rates   [UnitCount]int64
	missing unitSet
	assumed unitSet
	// reasoningPart is PartOutput where reasoning has no rate of its own.
	reasoningPart Part
	sku           string
}

func newRateTable(gt int64, stated *rateSet, sku string) rateTable {
	table := rateTable{gt: gt, rates: stated.values, missing: allUnits &^ stated.has, reasoningPart: PartOutput, sku: sku}
	if stated.has.has(Reasoning) {
		table.reasoningPart = PartReasoning
	}
	for unit := range Unit(UnitCount) {
		if stated.has.has(unit) {
			continue
		}
		for _, other := range fallbacks[unit] {
			if stated.has.has(other) {
				table.rates[unit] = stated.values[other]
				table.missing &^= 1 << unit
				table.assumed |= 1 << unit &^ ordinary
				break
			}
		}
	}
	return table
}

// part returns the part that a unit's amount belongs to under this table.
func (t *rateTable) part(unit Unit) Part {
	if unit == Reasoning {
		return t.reasoningPart
	}
	return partOf[unit]
}
