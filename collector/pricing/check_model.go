package pricing

import (
	"math"
	"slices"
	"strings"
)

var (
	modelKeys   = []string{"p", "id", "ids", "prefixes", "class", "retired_at", "rows"}
	rowKeys     = []string{"from", "until", "when", "rates", "tiers", "src", "verified", "basis"}
	tierKeys    = []string{"gt", "rates"}
	basisWords  = []string{BasisList, BasisContracted, BasisBilled, BasisAllocated, BasisListEquivalent}
	classWords  = []string{"small", "medium", "large", "frontier"}
	overlayRows = append(slices.Clone(rowKeys), "usd_per_million", "usd_each")
)

// rowChecker returns the rates of one row: a book states integers, an overlay may state amounts for people.
type rowChecker func(c *checker, value any, path string) (entry object, rates rateSet)

func checkRow(c *checker, value any, path string) (object, rateSet) {
	entry := c.closed(value, path, rowKeys)
	return entry, c.rates(entry["rates"], join(path, "rates"))
}

func (c *checker) models(value any, doc *document, rowOf rowChecker) []modelEntry {
	items := c.list(value, "models")
	models := make([]modelEntry, 0, len(items))
	for index, item := range items {
		models = append(models, c.model(item, at("models", index), doc, rowOf))
		if c.err != nil {
			return nil
		}
	}
	return models
}

func (c *checker) model(value any, path string, doc *document, rowOf rowChecker) modelEntry {
	entry := c.closed(value, path, modelKeys)
	result := modelEntry{
		provider: c.providerKey(entry["p"], join(path, "p"), doc.providers),
		id:       c.lower(entry["id"], join(path, "id")),
		path:     path,
	}
	// Most of what may stand in a model does not: a path is built for what is there.
	if ids, ok := entry["ids"]; ok {
		result.ids = c.lowers(ids, join(path, "ids"))
	}
	if prefixes, ok := entry["prefixes"]; ok {
		result.prefixes = c.lowers(prefixes, join(path, "prefixes"))
	}
	if class, ok := entry["class"]; ok {
		c.word(class, join(path, "class"), classWords...)
	}
	if retired, ok := entry["retired_at"]; ok {
		c.instant(retired, join(path, "retired_at"))
	}
	rows := c.filled(entry["rows"], join(path, "rows"), "row")
	result.rows = make([]rowEntry, 0, len(rows))
	for index, item := range rows {
		place := at(path+".rows", index)
		row, rates := rowOf(c, item, place)
		result.rows = append(result.rows, c.row(row, rates, place, doc.calendars))
	}
	c.oneAnswer(&result)
	return result
}

func (c *checker) row(entry object, rates rateSet, path string, calendars map[string]*calendar) rowEntry {
	result := rowEntry{rates: rates}
	result.from, result.until = c.span(entry, path)
	if when, ok := entry["when"]; ok {
		result.when, result.calendarName = c.when(when, join(path, "when"), calendars)
		result.calendar = calendars[result.calendarName]
	}
	if basis, ok := entry["basis"]; ok {
		result.basis = c.word(basis, join(path, "basis"), basisWords...)
	}
	if src, ok := entry["src"]; ok {
		place := join(path, "src")
		for index, item := range c.list(src, place) {
			c.text(item, at(place, index))
		}
	}
	if verified, ok := entry["verified"]; ok {
		c.day(verified, join(path, "verified"))
	}
	if tiers, ok := entry["tiers"]; ok {
		result.tiersStated = true
		result.tiers = c.tiers(tiers, join(path, "tiers"))
	}
	return result
}

func (c *checker) tiers(value any, path string) []tierEntry {
	items := c.list(value, path)
	tiers := make([]tierEntry, 0, len(items))
	last := int64(-1)
	for index, item := range items {
		place := at(path, index)
		entry := c.closed(item, place, tierKeys)
		gt := c.integer(entry["gt"], join(place, "gt"), 0, math.MaxInt64, "input tokens")
		if gt <= last {
			c.refuse(join(place, "gt"), "must be above the tier before it (%d), is %d", last, gt)
		}
		last = gt
		tiers = append(tiers, tierEntry{gt: gt, rates: c.rates(entry["rates"], join(place, "rates"))})
	}
	return tiers
}

func (c *checker) rates(value any, path string) rateSet {
	var rates rateSet
	entries := c.object(value, path)
	for name, rate := range entries {
		unit, ok := UnitByName(name)
		if !ok {
			// Another order of the keys could meet another unknown one first.
			for _, key := range sorted(entries) {
				c.unitKey(key, join(path, key))
			}
			return rates
		}
		number, ok := whole(rate, 0, maxRate)
		if !ok {
			number = c.integer(rate, join(path, name), 0, maxRate, "pico-USD for one unit")
		}
		rates.set(unit, number)
	}
	return rates
}

// whenKeys are the words of conditions, in the order in which a refusal lists them.
var whenKeys = []string{
	"service_tier", "processing", "speed", "inference_geo", "deployment_type", "region", "search_context_size",
	calendarKey, "account",
}

func withoutCalendar() []string {
	return slices.DeleteFunc(slices.Clone(whenKeys), func(key string) bool { return key == calendarKey })
}

// when returns the conditions of a row in key order, and the name of its calendar; without calendars (nil) there is no
// condition of that kind.
func (c *checker) when(value any, path string, calendars map[string]*calendar) (conditions []condition, calendarName string) {
	if value == nil {
		return nil, ""
	}
	entries := c.object(value, path)
	for _, key := range sorted(entries) {
		place := join(path, key)
		fact, ok := factByName(key)
		if !ok && (key != calendarKey || calendars == nil) {
			allowed := whenKeys
			if calendars == nil {
				allowed = withoutCalendar()
			}
			c.refuse(place, "%s", noKey(key, allowed, "is no condition here"))
		}
		items := c.filled(entries[key], place, "word")
		words := c.lowers(items, place)
		if key != calendarKey {
			conditions = append(conditions, condition{fact, words})
			continue
		}
		if len(words) != 1 || calendars[words[0]] == nil {
			known := strings.Join(sortedKeys(calendars), ", ")
			if known == "" {
				known = "none"
			}
			c.refuse(place, "must be a list of one calendar (there is %s), is %s", known, shown(entries[key]))
			return conditions, ""
		}
		calendarName = words[0]
	}
	return conditions, calendarName
}

// oneAnswer refuses rows that overlap or are equally good where both hold, and tiers that would be inherited.
func (c *checker) oneAnswer(model *modelEntry) {
	tiered := false
	for j := range model.rows {
		later := &model.rows[j]
		tiered = tiered || later.conditions() == 0 && len(later.tiers) > 0
		for i := range j {
			earlier := &model.rows[i]
			if earlier.from >= later.until || later.from >= earlier.until || !equallyGood(earlier, later) {
				continue
			}
			if later.conditions() == 0 {
				c.refuse(at(model.path+".rows", j), "holds at the same time as rows[%d]: of rows without when, one must end (until) where the next begins", i)
			} else {
				c.refuse(at(model.path+".rows", j), "holds for the same calls as rows[%d], and nothing decides: they must differ in when, or in from", i)
			}
		}
	}
	for index := range model.rows {
		if row := &model.rows[index]; tiered && row.conditions() > 0 && !row.tiersStated {
			c.refuse(at(model.path+".rows", index)+".tiers", "must be a list [...] of its own ([] for none), since the row without when has tiers, is missing")
		}
	}
}

// equallyGood says whether nothing decides between two rows whose dates overlap: rows of other keys, or of another
// date, have an order.
func equallyGood(a, b *rowEntry) bool {
	if a.conditions() == 0 && b.conditions() == 0 {
		return true
	}
	return a.from == b.from && a.keys() == b.keys() && canBothHold(a, b)
}

// canBothHold says whether some call satisfies two rows of the same keys: each key has a word in common, and the
// calendars a moment.
func canBothHold(a, b *rowEntry) bool {
	for index, one := range a.when {
		if !shareWord(one.words, b.when[index].words) {
			return false
		}
	}
	return a.calendar == nil || a.calendar.meets(b.calendar)
}

// uniqueModels refuses an id that two models of one provider bear.
func (c *checker) uniqueModels(models []modelEntry) {
	type key struct{ provider, name string }
	ids, prefixes := make(map[key]int, 2*len(models)), map[key]int{}
	claim := func(taken map[key]int, index int, name, path string) {
		claimed := key{models[index].provider, name}
		if other, ok := taken[claimed]; ok {
			c.refuse(path, "must be that of one model of %s alone, is %s, which models[%d] has too",
				pathKey(claimed.provider), shown(name), other)
		}
		taken[claimed] = index
	}
	for index := range models {
		model := &models[index]
		claim(ids, index, model.id, model.path+".id")
		for place, id := range model.ids {
			claim(ids, index, id, at(model.path+".ids", place))
		}
		for place, prefix := range model.prefixes {
			claim(prefixes, index, prefix, at(model.path+".prefixes", place))
		}
	}
}
