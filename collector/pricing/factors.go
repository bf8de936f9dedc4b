package pricing

import "slices"

// mostFactors bounds how many ratios of at most a million each multiply: the parts then stay below 1e18.
const mostFactors = 3

// noteMultipliers notes which of the model's multipliers hold for the call's facts: they are asked for once per unit.
func (c *calculation) noteMultipliers() {
	c.holding = 0
	for index := range min(len(c.model.multipliers), 64) {
		// By pointer: a copy of each rule would take as long as a small price.
		if rule := &c.model.multipliers[index]; rule.ratio != one && allHold(rule.when, &c.facts) {
			c.holding |= 1 << index
		}
	}
}

// holds says whether a multiplier of the model acts; those past the noted ones, which no book has, are looked at anew.
func (c *calculation) holds(index int, rule *multiplier) bool {
	if index < 64 {
		return c.holding>>index&1 != 0
	}
	return rule.ratio != one && allHold(rule.when, &c.facts)
}

// multiplied returns a unit's factor under the multipliers and how many ratios it has; false where they are too many.
func (c *calculation) multiplied(unit Unit) (factor ratio, count int, ok bool) {
	factor = one
	for index := range c.model.multipliers {
		if rule := &c.model.multipliers[index]; c.holds(index, rule) && rule.units.has(unit) {
			count++
			if count > mostFactors {
				return one, count, false
			}
			factor = factor.times(rule.ratio)
		}
	}
	return factor, count, true
}

// discounted returns the narrowest discount on a unit, or nil; discounts act on the book's rows alone.
func (c *calculation) discounted(row *row, unit Unit) *discount {
	if row.contracted {
		return nil
	}
	for index := range c.model.discounts {
		rule := &c.model.discounts[index]
		if rule.units.has(unit) && rule.from <= c.atMillis && c.atMillis < rule.until &&
			(len(rule.accounts) == 0 || slices.Contains(rule.accounts, c.facts[factAccount])) {
			return rule
		}
	}
	return nil
}

// factored fills total and parts of r under multipliers and discounts. It returns the total without the discounts and
// whether one acted; false on overflow.
func (c *calculation) factored(row *row, table *rateTable, sums *amounts, r *Result) (list int64, discounted, ok bool) {
	final := shares{amounts: &sums.values}
	for rest := sums.charged; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		factor, count, fits := c.multiplied(unit)
		if !fits {
			return 0, false, false
		}
		if cut := c.discounted(row, unit); cut != nil {
			discounted = true
			if cut.ratio != one && count == mostFactors {
				return 0, false, false
			}
			factor = factor.times(cut.ratio)
		}
		final.add(unit, factor)
	}
	if r.Total, ok = final.total(table, r); !ok || !discounted {
		return r.Total, discounted, ok
	}
	list, ok = c.listed(sums)
	return list, discounted, ok
}

// listed returns the total of the amounts under multipliers alone; false on overflow.
func (c *calculation) listed(sums *amounts) (total int64, ok bool) {
	parts := shares{amounts: &sums.values}
	for rest := sums.charged; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		factor, _, fits := c.multiplied(unit)
		if !fits {
			return 0, false
		}
		parts.add(unit, factor)
	}
	return parts.total(nil, nil)
}

// shares are the amounts of a call with the factor of each unit. Units of equal factor form a group that is rounded
// once.
type shares struct {
	amounts *[UnitCount]int64
	units   unitSet
	factors [UnitCount]ratio
}

func (s *shares) add(unit Unit, factor ratio) {
	s.units |= 1 << unit
	s.factors[unit] = factor
}

// total returns the sum of the groups, each rounded half-even; false on overflow. With a table the parts of r are
// filled: each unit's share is floored, and what is left of a group goes to its largest unit.
func (s *shares) total(table *rateTable, r *Result) (total int64, ok bool) {
	for rest := s.units; rest != 0; {
		group, sum, fits := s.group(rest)
		if !fits {
			return 0, false
		}
		rest &^= group
		first, _ := group.pop()
		rounded, fits := s.factors[first].halfEven(sum)
		if !fits {
			return 0, false
		}
		if total, fits = addPico(total, rounded); !fits {
			return 0, false
		}
		if table != nil {
			s.share(group, rounded, table, r)
		}
	}
	return total, true
}

// group returns the units that have the factor of the first of the rest, and the sum of their amounts; false where
// it leaves int64.
func (s *shares) group(rest unitSet) (group unitSet, sum int64, ok bool) {
	first, _ := rest.pop()
	for rest != 0 {
		var unit Unit
		unit, rest = rest.pop()
		if s.factors[unit] != s.factors[first] {
			continue
		}
		group |= 1 << unit
		if sum, ok = addPico(sum, s.amounts[unit]); !ok {
			return 0, 0, false
		}
	}
	return group, sum, true
}

func (s *shares) share(group unitSet, rounded int64, table *rateTable, r *Result) {
	largest, _ := group.pop()
	left := rounded
	for group != 0 {
		var unit Unit
		unit, group = group.pop()
		// A share is at most the rounded sum, so it fits.
		share, _ := s.factors[unit].floor(s.amounts[unit])
		r.Parts[table.part(unit)] += share
		left -= share
		if s.amounts[unit] > s.amounts[largest] {
			largest = unit
		}
	}
	r.Parts[table.part(largest)] += left
}
