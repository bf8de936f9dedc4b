package pricing

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	beginning = math.MinInt64
	forever   = math.MaxInt64
)

// row is one dated row of a model, ready for use.
type row struct {
	from, until int64
	when        []condition
	calendar    *calendar
	// asks has one bit per fact that the row asks for.
	asks       uint8
	table      rateTable
	tiers      []rateTable
	basis      string
	contracted bool
	// capacity is set where the row shares out an hour that is paid.
	capacity bool
	// preference of the row as it stands in the book, before it was cut at the base rows' dates
	conditions int
	statedFrom int64
	keys       string
}

func (r *row) applies(facts *factSet, atMillis int64) bool {
	return r.from <= atMillis && atMillis < r.until && allHold(r.when, facts) &&
		(r.calendar == nil || r.calendar.holds(atMillis))
}

// tableFor returns the rates of the context tier that the request's whole input reaches.
func (r *row) tableFor(call *calculation) *rateTable {
	table := &r.table
	if len(r.tiers) == 0 {
		return table
	}
	// At most nine counts of at most 1e12: the sum stays far inside int64.
	total := int64(0)
	for rest := call.reported & totalInputUnits; rest != 0; {
		var unit Unit
		unit, rest = rest.pop()
		total += call.counts[unit]
	}
	for index := range r.tiers {
		if total <= r.tiers[index].gt {
			break
		}
		table = &r.tiers[index]
	}
	return table
}

// prepareRows returns a model's rows in the order in which they are tried. A conditional row takes the units that it
// lacks from the base row of the same instant, so it is cut at the base rows' dates here, once. below is the book's
// entry under an overlay's one: its base rows stand in where the overlay has none.
func prepareRows(model, below *modelEntry, name string) []row {
	contracted := below != model
	bases := baseSpans(model)
	if contracted && below != nil {
		bases = fillGaps(bases, baseSpans(below))
	}
	var rows []row
	for index := range model.rows {
		entry := &model.rows[index]
		if entry.conditions() == 0 {
			rows = append(rows, entry.prepare(baseSpan{from: entry.from, until: entry.until}, name, contracted))
			continue
		}
		rows = append(rows, entry.cut(bases, name, contracted)...)
	}
	slices.SortStableFunc(rows, preferred)
	return rows
}

// baseSpan is a time in which one base row is in force; rates is nil where none is.
type baseSpan struct {
	from, until int64
	rates       *rateSet
}

// baseSpans returns the base rows of a model in order of time; they do not overlap.
func baseSpans(model *modelEntry) []baseSpan {
	var spans []baseSpan
	for index := range model.rows {
		if entry := &model.rows[index]; entry.conditions() == 0 {
			spans = append(spans, baseSpan{entry.from, entry.until, &entry.rates})
		}
	}
	slices.SortFunc(spans, func(a, b baseSpan) int { return cmp.Compare(a.from, b.from) })
	return spans
}

// fillGaps returns the upper spans with the parts of the lower ones that lie between them.
func fillGaps(upper, lower []baseSpan) []baseSpan {
	filled := slices.Clone(upper)
	for _, gap := range gaps(upper, beginning, forever) {
		for _, span := range lower {
			if from, until := max(gap.from, span.from), min(gap.until, span.until); from < until {
				filled = append(filled, baseSpan{from, until, span.rates})
			}
		}
	}
	slices.SortFunc(filled, func(a, b baseSpan) int { return cmp.Compare(a.from, b.from) })
	return filled
}

// gaps returns the times between from and until that no span covers.
func gaps(spans []baseSpan, from, until int64) []baseSpan {
	var open []baseSpan
	for _, span := range spans {
		if span.until <= from {
			continue
		}
		if span.from >= until {
			break
		}
		if from < span.from {
			open = append(open, baseSpan{from: from, until: span.from})
		}
		from = span.until
	}
	if from < until {
		open = append(open, baseSpan{from: from, until: until})
	}
	return open
}

// preferred orders rows: most conditions, then a calendar, then the latest date, then the names of the keys.
func preferred(a, b row) int {
	return cmp.Or(
		cmp.Compare(b.conditions, a.conditions),
		cmp.Compare(calendarRank(a), calendarRank(b)),
		cmp.Compare(b.statedFrom, a.statedFrom),
		cmp.Compare(a.keys, b.keys),
	)
}

func calendarRank(r row) int {
	if r.calendar != nil {
		return 0
	}
	return 1
}

// cut returns the row once per base row of its time, and once per gap between them.
func (e *rowEntry) cut(bases []baseSpan, name string, contracted bool) []row {
	var rows []row
	for _, span := range bases {
		if from, until := max(e.from, span.from), min(e.until, span.until); from < until {
			rows = append(rows, e.prepare(baseSpan{from, until, span.rates}, name, contracted))
		}
	}
	for _, gap := range gaps(bases, e.from, e.until) {
		rows = append(rows, e.prepare(gap, name, contracted))
	}
	return rows
}

func (e *rowEntry) prepare(span baseSpan, name string, contracted bool) row {
	rates := e.rates
	if span.rates != nil {
		rates = e.rates.over(span.rates)
	}
	sku := name + e.skuConditions()
	if e.capacity != "" {
		sku += ";capacity=" + e.capacity
	}
	basis := e.basis
	if basis == "" {
		basis = BasisList
		if contracted {
			basis = BasisContracted
		}
	}
	prepared := row{
		from: span.from, until: span.until, when: e.when, calendar: e.calendar,
		table: newRateTable(-1, &rates, sku), basis: basis, contracted: contracted, capacity: e.capacity != "",
		conditions: e.conditions(), statedFrom: e.from, keys: e.keys(),
	}
	for _, condition := range e.when {
		prepared.asks |= 1 << condition.key
	}
	if prepared.capacity {
		prepared.asks |= tierFacts // the hour is paid whatever service level an answer names
	}
	for index := range e.tiers {
		tier := &e.tiers[index]
		tierRates := tier.rates.over(&rates)
		tierSKU := sku + ";tier=" + strconv.FormatInt(tier.gt, 10)
		prepared.tiers = append(prepared.tiers, newRateTable(tier.gt, &tierRates, tierSKU))
	}
	return prepared
}

// conditions returns how many `when` keys the row has.
func (e *rowEntry) conditions() int {
	if e.calendar != nil {
		return len(e.when) + 1
	}
	return len(e.when)
}

// keys returns the names of the row's `when` keys in order, comparable as a list would be.
func (e *rowEntry) keys() string {
	names := make([]string, 0, e.conditions())
	for _, condition := range e.when {
		names = append(names, factNames[condition.key])
	}
	if e.calendar != nil {
		names = append(names, calendarKey)
		slices.Sort(names)
	}
	return strings.Join(names, "\x00")
}

// skuConditions returns ";key=value" per condition, in key order.
func (e *rowEntry) skuConditions() string {
	var text strings.Builder
	calendarPending := e.calendar != nil
	writeCalendar := func() {
		text.WriteString(";" + calendarKey + "=" + e.calendarName)
		calendarPending = false
	}
	for _, condition := range e.when {
		if calendarPending && factNames[condition.key] > calendarKey {
			writeCalendar()
		}
		text.WriteString(";" + factNames[condition.key] + "=" + strings.Join(condition.words, "|"))
	}
	if calendarPending {
		writeCalendar()
	}
	return text.String()
}
