package pricing

// calculation is one call under way: a model that was found, the effective facts and what is to be billed.
type calculation struct {
	model    *model
	atMillis int64
	facts    factSet
	// holding has one bit for each of the model's first 64 multipliers that holds for the facts.
	holding uint64
	counts  *Counts
	// reported are the units with a count that is believed; incomplete is set where one was not, or was estimated.
	reported   unitSet
	incomplete bool
}

// take sets the counts of the call. A negative one is as good as not reported; false where none is left, or one is
// above MaxCount.
func (c *calculation) take(usage *Usage) bool {
	c.counts, c.reported, c.incomplete = &usage.Counts, usage.reported(), usage.Estimated
	for rest := c.reported; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		switch count := usage.Counts[unit]; {
		case count > MaxCount:
			return false
		case count < 0:
			c.reported &^= 1 << unit
			c.incomplete = true
		}
	}
	return c.reported != 0
}

// amounts are what each unit costs before factors.
type amounts struct {
	values [UnitCount]int64
	// billed are the units with a count above 0 that have a rate, charged those whose amount is above 0.
	billed, charged unitSet
	// missing is set where a unit with a count above 0 has no rate.
	missing bool
	// fits is false where a product or the sum leaves int64.
	fits  bool
	total int64
}

// run fills r, or returns the reason why the call has no price.
func (c *calculation) run(reason string, r *Result) (unpriced string) {
	row := c.choose(false)
	if row == nil {
		return ReasonNoRowForDate
	}
	table := row.tableFor(c)
	r.SKU = table.sku
	var sums amounts
	sums.fill(table, c)
	if sums.billed&table.assumed != 0 {
		r.Flags |= FlagAssumedRate
	}
	if sums.billed == 0 && (sums.missing || c.reported == 1<<Request && c.counts[Request] > 0) {
		return ReasonMissingRate
	}
	if !c.fill(row, table, &sums, r) {
		r.Total, r.Parts, r.List, r.HasList, r.Basis = 0, [PartCount]int64{}, 0, false, ""
		return ReasonOverflow
	}
	r.HasTotal, r.Source = true, SourceComputed
	r.Status, r.Reason = c.status(row, &sums, reason)
	c.savings(row, table, r)
	return ""
}

// choose returns the first row in force whose conditions hold; listed leaves an overlay's rows out.
func (c *calculation) choose(listed bool) *row {
	for index := range c.model.rows {
		row := &c.model.rows[index]
		if !(listed && row.contracted) && row.applies(&c.facts, c.atMillis) {
			return row
		}
	}
	return nil
}

// fill multiplies counts and rates.
func (a *amounts) fill(table *rateTable, call *calculation) {
	a.fits = true
	for rest := call.reported; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		count := call.counts[unit]
		if count == 0 {
			continue
		}
		if table.missing.has(unit) {
			// A request without a rate costs nothing: most models have no fee per call.
			a.missing = a.missing || unit != Request
			continue
		}
		a.billed |= 1 << unit
		amount, ok := mulCount(count, table.rates[unit])
		a.fits = a.fits && ok
		if amount != 0 {
			a.charged |= 1 << unit
			a.values[unit] = amount
			a.total, ok = addPico(a.total, amount)
			a.fits = a.fits && ok
		}
	}
}

// fill sets total, parts, list and basis of r; false on overflow.
func (c *calculation) fill(row *row, table *rateTable, sums *amounts, r *Result) bool {
	if !sums.fits {
		return false
	}
	list, discounted := sums.total, false
	// On a share of an hour that is paid no factor of the provider acts.
	if row.basis != BasisAllocated &&
		(c.holding != 0 || len(c.model.multipliers) > 64 || len(c.model.discounts) > 0 && !row.contracted) {
		var ok bool
		if list, discounted, ok = c.factored(row, table, sums, r); !ok {
			return false
		}
	} else {
		r.Total = sums.total
		for rest := sums.charged; rest != 0; {
			var unit Unit
			unit, rest = rest.pop()
			r.Parts[table.part(unit)] += sums.values[unit]
		}
	}
	r.Basis = row.basis
	if discounted {
		r.Basis = BasisContracted
	}
	if row.contracted {
		return c.listBeside(r)
	}
	r.setList(list)
	return true
}

// setList keeps a list price where it differs from the total.
func (r *Result) setList(list int64) {
	if list != r.Total {
		r.List, r.HasList = list, true
	}
}

// listBeside sets what the book's own row asks beside a price of one's own; nothing where the book has no row, or no
// rate for a unit.
func (c *calculation) listBeside(r *Result) bool {
	row := c.choose(true)
	if row == nil {
		return true
	}
	list, complete, ok := c.listPrice(row)
	if complete {
		r.setList(list)
	}
	return ok
}

// listPrice returns the price of the usage under a row and the multipliers, without discounts. complete is false
// where the row lacks a rate, ok on overflow.
func (c *calculation) listPrice(row *row) (list int64, complete, ok bool) {
	table := row.tableFor(c)
	var sums amounts
	sums.fill(table, c)
	if sums.missing {
		return 0, false, true
	}
	if !sums.fits {
		return 0, false, false
	}
	list, ok = c.listed(&sums)
	return list, ok, ok
}

// status returns the status of a price, and of several reasons the first of the list.
func (c *calculation) status(row *row, sums *amounts, reason string) (status, why string) {
	switch {
	case sums.missing || reason == ReasonMissingRate:
		return StatusPartial, ReasonMissingRate
	case c.asksForMore(row):
		return StatusPartial, ReasonTierUnpriced
	case reason != "":
		return StatusPartial, reason
	case c.incomplete:
		return StatusPartial, ReasonIncompleteUsage
	case sums.billed != 0 && sums.charged == 0:
		return StatusFree, ""
	}
	return StatusPriced, ""
}

// asksForMore says whether the call states a service level that the row does not ask for.
func (c *calculation) asksForMore(row *row) bool {
	unasked := tierFacts &^ row.asks
	return unasked>>factServiceTier&1 != 0 && c.facts[factServiceTier] != "" ||
		unasked>>factProcessing&1 != 0 && c.facts[factProcessing] != "" ||
		unasked>>factSpeed&1 != 0 && c.facts[factSpeed] != ""
}
