package pricing

import (
	"math"
	"math/big"
	"slices"
)

// Capacity that is paid by the hour. An overlay's entry gives rows to the deployments that it names: what a unit costs
// of an hour that is used in full, or an explicit 0 where a report spreads the hour.

// deployment is one name of a capacity entry; its row is dated and may have conditions.
type deployment struct {
	provider, id string
	row          rowEntry
	// entry is the place of the entry in the overlay.
	entry int
}

var (
	capacityKeys = []string{"p", "ids", "kind", "from", "until", "account", "when"}
	hourlyKeys   = append(slices.Clone(capacityKeys), "usd_per_hour", "units_per_hour", "allocate")
	gpuKeys      = append(slices.Clone(capacityKeys), "usd_per_gpu_hour", "gpus", "tokens_per_second", "utilization")
)

// capacities returns the deployments of the entries, each with its row.
func (c *checker) capacities(value any, providers map[string]*provider) []deployment {
	var result []deployment
	type name struct{ provider, id string }
	taken := map[name][]int{}
	for index, item := range c.list(value, "capacity") {
		path := at("capacity", index)
		owner, ids, row := c.capacity(item, path, providers)
		for _, id := range ids {
			for _, other := range taken[name{owner, id}] {
				if before := &result[other]; before.row.meets(&row) {
					c.refuse(join(path, "ids"), "must be that of one entry for the same calls, is %s, which capacity[%d] has too",
						shown(id), before.entry)
				}
			}
			taken[name{owner, id}] = append(taken[name{owner, id}], len(result))
			result = append(result, deployment{owner, id, row, index})
		}
	}
	return result
}

// meets says whether two rows of a capacity both hold for some call.
func (e *rowEntry) meets(other *rowEntry) bool {
	if e.from >= other.until || other.from >= e.until {
		return false
	}
	for _, ours := range e.when {
		for _, theirs := range other.when {
			if ours.key == theirs.key && !shareWord(ours.words, theirs.words) {
				return false
			}
		}
	}
	return true
}

func shareWord(ours, theirs []string) bool {
	return slices.ContainsFunc(ours, func(word string) bool { return slices.Contains(theirs, word) })
}

// capacity returns one entry: its provider, the names of its deployments and the row of each.
func (c *checker) capacity(value any, path string, providers map[string]*provider) (owner string, ids []string, row rowEntry) {
	entry := c.object(value, path)
	row = rowEntry{basis: BasisAllocated, capacity: c.word(entry["kind"], join(path, "kind"), "hourly", "gpu")}
	hourly := row.capacity == "hourly"
	keys, price, throughput := gpuKeys, "usd_per_gpu_hour", "tokens_per_second"
	if hourly {
		keys, price, throughput = hourlyKeys, "usd_per_hour", "units_per_hour"
	}
	c.known(entry, path, keys)
	owner = c.providerKey(entry["p"], join(path, "p"), providers)
	ids = c.lowers(c.filled(entry["ids"], join(path, "ids"), "id"), join(path, "ids"))
	row.from, row.until = c.span(entry, path)
	row.when = c.capacityWhen(entry, path)
	amount, allocate, share := big.NewInt(c.money(entry[price], join(path, price), usdDigits)), "capacity", one
	seconds := int64(1)
	if hourly {
		allocate = c.word(entry["allocate"], join(path, "allocate"), "none", "capacity", "use")
	} else {
		amount.Mul(amount, big.NewInt(c.integer(entry["gpus"], join(path, "gpus"), 1, math.MaxInt32)))
		seconds = 3600
		if stated, ok := entry["utilization"]; ok {
			share = c.ratio(stated, join(path, "utilization"))
		}
	}
	if units, _ := entry[throughput].(object); len(units) == 0 && allocate == "capacity" {
		c.refuse(join(path, throughput), "must be an object {...} of at least one unit, is %s", shown(entry[throughput]))
	}
	rates := c.capacityRates(entry[throughput], join(path, throughput), hourRate{amount, seconds, share})
	if allocate == "capacity" {
		row.rates = rates
		return owner, ids, row
	}
	// The hour is owed whatever was used of it: a report spreads it, or gives it a row of its own.
	row.rates = explicitZero()
	return owner, ids, row
}

// capacityWhen returns the conditions of an entry, its accounts among them: the key that sorts first.
func (c *checker) capacityWhen(entry object, path string) []condition {
	when, _ := c.when(entry["when"], join(path, "when"), nil)
	if len(when) > 0 && when[0].key == factAccount {
		c.refuse(join(path, "when.account"), "is no condition here: accounts stand under account, beside when")
	}
	var accounts []string
	for place, account := range c.list(entry["account"], join(path, "account")) {
		accounts = append(accounts, c.text(account, at(join(path, "account"), place)))
	}
	if len(accounts) > 0 {
		when = append([]condition{{factAccount, accounts}}, when...)
	}
	return when
}

// hourRate is what an hour costs, in how many parts of it units are counted, and the share of it that is busy.
type hourRate struct {
	pico  *big.Int
	parts int64
	busy  ratio
}

// of returns pico-USD per unit, half-even in one division.
func (h *hourRate) of(units int64) *big.Int {
	amount := new(big.Int).Mul(h.pico, new(big.Int).SetUint64(h.busy.den))
	divisor := new(big.Int).Mul(big.NewInt(units), big.NewInt(h.parts))
	divisor.Mul(divisor, new(big.Int).SetUint64(h.busy.num))
	return halfEvenBig(amount, divisor)
}

func (c *checker) capacityRates(value any, path string, hour hourRate) (rates rateSet) {
	if value == nil {
		return rates
	}
	entries := c.object(value, path)
	for _, name := range sorted(entries) {
		place := join(path, name)
		unit := c.unitKey(name, place)
		rate := hour.of(c.integer(entries[name], place, 1, MaxCount))
		if rate.Cmp(big.NewInt(maxRate)) > 0 {
			c.refuse(place, "must come to at most %d pico-USD for one unit, comes to %s", int64(maxRate), rate)
			return rates
		}
		rates.set(unit, rate.Int64())
	}
	return rates
}

// explicitZero is a price of 0 for tokens and requests.
func explicitZero() (zero rateSet) {
	for unit := range Unit(TokenUnitCount) {
		zero.set(unit, 0)
	}
	zero.set(Request, 0)
	return zero
}

// addDeployments lays the rows of capacity above all others of the models that they name, in the order of the overlay.
func (b *Book) addDeployments(deployments []deployment) {
	rows := map[*model][]row{}
	for index := range deployments {
		one := &deployments[index]
		target := b.addModel(&modelEntry{provider: one.provider, id: one.id})
		if target.provider.deployments == nil {
			target.provider.deployments = map[string]*model{}
		}
		target.provider.deployments[one.id] = target
		span := baseSpan{from: one.row.from, until: one.row.until}
		rows[target] = append(rows[target], one.row.prepare(span, target.name(), true))
	}
	for target, own := range rows {
		slices.SortStableFunc(own, preferred)
		target.rows = append(own, target.rows...)
	}
}

// findDeployment returns the deployment of a capacity that bears a name, or nil.
func (b *Book) findDeployment(owner *provider, text string) *match {
	if owner == nil || text == "" {
		return nil
	}
	target := owner.deployments[lowerASCII(text)]
	if target == nil {
		return nil
	}
	return &match{model: target, provider: owner, how: MatchAlias}
}

// asOf returns the match, or what the names say without a capacity that is not in force at the call's time: outside
// its dates and accounts a capacity says nothing of a deployment.
func (m *match) asOf(q *Query) *match {
	if m.otherwise == nil {
		return m
	}
	call := calculation{model: m.model, atMillis: q.AtMillis}
	call.facts.fill(&q.Facts, m.fixed, m.provider)
	if row := call.choose(false); row != nil && row.capacity {
		return m
	}
	return m.otherwise
}
