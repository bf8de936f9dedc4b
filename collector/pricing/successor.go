package pricing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// DefaultMaxChangeRatio is by how much a rate may move from one book to the next before the next is refused.
const DefaultMaxChangeRatio = 10

// CheckSuccessor refuses a book that goes back behind this one in version or date, has less than half of its models,
// or moves a rate that exists more than maxChangeRatio-fold without naming the model in x-accepted-jumps (0 switches
// that last check off). The error is a *BookError. Overlays do not count.
func (b *Book) CheckSuccessor(next *Book, origin string, maxChangeRatio int64) error {
	c := &checker{origin: origin}
	old, fresh := b.base, next.base
	if compareVersions(fresh.version, old.version) < 0 {
		c.refuse("version", "must not go back behind the book in use (%s), is %s", shown(old.version), shown(fresh.version))
	}
	if fresh.generatedAt < old.generatedAt {
		c.refuse("generated_at", "must not go back behind the book in use (%s), is %s", shown(old.generated), shown(fresh.generated))
	}
	if 2*len(fresh.models) < len(old.models) {
		c.refuse("models", "must be at least half as many as in the book in use (%d), are %d", len(old.models), len(fresh.models))
	}
	if maxChangeRatio > 0 {
		c.jumps(old, fresh, maxChangeRatio)
	}
	return c.failure()
}

// compareVersions compares dotted versions, numbers by value.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var ours, theirs string
		ours, a, _ = strings.Cut(a, ".")
		theirs, b, _ = strings.Cut(b, ".")
		if allDigits(ours) && allDigits(theirs) {
			ours, theirs = strings.TrimLeft(ours, "0"), strings.TrimLeft(theirs, "0")
			if order := cmp.Compare(len(ours), len(theirs)); order != 0 {
				return order
			}
		}
		if order := cmp.Compare(ours, theirs); order != 0 {
			return order
		}
	}
	return 0
}

// rateKey names a rate of a model across books: a row is known by its conditions and its date; the latest row of the same
// conditions stands for the price of today, whatever its date.
type rateKey struct {
	conditions string
	from, gt   int64
	latest     bool
	unit       Unit
}

func (c *checker) jumps(old, fresh *document, maxRatio int64) {
	known := make(map[string]*modelEntry, len(old.models))
	for index := range old.models {
		known[old.models[index].name()] = &old.models[index]
	}
	for index := range fresh.models {
		model := &fresh.models[index]
		name := model.name()
		was := known[name]
		// From one book to the next most models stay as they are, and looking at each rate takes as long as reading it.
		if _, accepted := fresh.accepted[name]; was == nil || accepted || slices.EqualFunc(was.rows, model.rows, sameRates) {
			continue
		}
		before := map[rateKey]int64{}
		was.eachRate(func(_ string, key rateKey, rate int64) { before[key] = rate })
		model.eachRate(func(path string, key rateKey, rate int64) {
			was, known := before[key]
			if known && moreThan(maxRatio, min(was, rate), max(was, rate)) {
				c.refuse(path, "must not move more than %d times, moved from %d to %d; if that is right, name %s in x-accepted-jumps",
					maxRatio, was, rate, shown(name))
			}
		})
	}
}

// sameRates says whether a row has the same rates under the same conditions from the same date.
func sameRates(a, b rowEntry) bool {
	return a.from == b.from && a.rates == b.rates && slices.Equal(a.tiers, b.tiers) && a.calendarName == b.calendarName &&
		slices.EqualFunc(a.when, b.when, func(a, b condition) bool { return a.key == b.key && slices.Equal(a.words, b.words) })
}

// moreThan says whether high > times * low, without a product that could overflow. From or to 0 is any factor.
func moreThan(times, low, high int64) bool {
	return high/times > low || high/times == low && high%times > 0
}

// name returns <p>/<id>.
func (m *modelEntry) name() string { return m.provider + "/" + m.id }

func (m *modelEntry) eachRate(visit func(path string, key rateKey, rate int64)) {
	latest := map[string]int{}
	for place := range m.rows {
		conditions := m.rows[place].skuConditions()
		if other, ok := latest[conditions]; !ok || m.rows[other].from < m.rows[place].from {
			latest[conditions] = place
		}
	}
	for place := range m.rows {
		row := &m.rows[place]
		conditions := row.skuConditions()
		key := rateKey{conditions: conditions, from: row.from}
		path := fmt.Sprintf("%s.rows[%d]", m.path, place)
		row.eachRate(path, key, visit)
		if latest[conditions] == place {
			key.from, key.latest = 0, true
			row.eachRate(path, key, visit)
		}
	}
}

func (e *rowEntry) eachRate(path string, key rateKey, visit func(path string, key rateKey, rate int64)) {
	key.gt = -1
	e.rates.each(path+".rates.", key, visit)
	for index := range e.tiers {
		key.gt = e.tiers[index].gt
		e.tiers[index].rates.each(at(path+".tiers", index)+".rates.", key, visit)
	}
}

func (s *rateSet) each(path string, key rateKey, visit func(path string, key rateKey, rate int64)) {
	for rest := s.has; rest != 0; {
		key.unit, rest = rest.pop()
		visit(path+UnitNames[key.unit], key, s.values[key.unit])
	}
}
