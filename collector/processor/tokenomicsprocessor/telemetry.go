package tokenomicsprocessor

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otel-tokenomics/otel-tokenomics/collector/booksource"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadata"
)

// outcome is what became of a span or log record.
type outcome uint8

const (
	outcomePassed outcome = iota
	outcomePriced
	outcomePartial
	outcomeFree
	outcomeUnpriced
	outcomeNotApplicable
	outcomeMalformed
	outcomeCount
)

var outcomeNames = [outcomeCount]string{
	"passed", "priced", "partial", "free", "unpriced", "not_applicable", "malformed",
}

// money is a sum of pico-USD that cannot overflow in the life of a process.
type money struct{ usd, pico int64 }

const picoPerUSD = 1_000_000_000_000

func (m *money) add(usd, pico int64) {
	m.usd += usd + (m.pico+pico)/picoPerUSD
	m.pico = (m.pico + pico) % picoPerUSD
}

func (m money) double() float64 { return float64(m.usd) + pricing.ToDouble(m.pico) }

type costKey struct{ source, basis string }

// costSums holds a few sums; a span costs a comparison of words that are mostly the very same, where a map would hash.
type costSums []costSum

type costSum struct {
	key costKey
	sum money
}

func (c *costSums) of(key costKey) *money {
	for index := range *c {
		if entry := &(*c)[index]; entry.key == key {
			return &entry.sum
		}
	}
	*c = append(*c, costSum{key: key})
	return &(*c)[len(*c)-1].sum
}

type tokenKey struct{ side, reason string }

// tally counts one batch without a lock.
type tally struct {
	outcomes  [outcomeCount]int64
	records   [outcomeCount]int64
	costs     costSums
	unpriced  map[tokenKey]int64
	agreed    int64
	different int64
	// dedup are the charges that another span of the batch holds, by rule.
	dedup [2]int64
	// missing counts by the place of a policy.
	missing [maxTags]int64
}

// miss counts the tags that a charge lacks, a bit for each policy; -1 takes that back.
func (t *tally) miss(policies uint32, count int64) {
	for ; policies != 0; policies &= policies - 1 {
		t.missing[bits.TrailingZeros32(policies)] += count
	}
}

var ruleNames = [2]string{"response_id", "nested"}

// settled counts one priced item.
func (t *tally) settled(reading *attributes.Reading, result *pricing.Result) outcome {
	if result.HasTotal {
		t.costs.of(costKey{result.Source, result.Basis}).add(result.Total/picoPerUSD, result.Total%picoPerUSD)
	}
	switch result.Status {
	case pricing.StatusPriced:
		return outcomePriced
	case pricing.StatusPartial:
		return outcomePartial
	case pricing.StatusFree:
		return outcomeFree
	}
	if t.unpriced == nil {
		t.unpriced = make(map[tokenKey]int64, 2)
	}
	if reading.InputTokens > 0 {
		t.unpriced[tokenKey{"input", result.Reason}] += reading.InputTokens
	}
	if reading.OutputTokens > 0 {
		t.unpriced[tokenKey{"output", result.Reason}] += reading.OutputTokens
	}
	return outcomeUnpriced
}

// compare counts whether a cost that somebody else wrote is ours to within one percent.
func (t *tally) compare(reading *attributes.Reading, result *pricing.Result) {
	ours, theirs, both := result.Total, reading.Estimate.Pico, result.HasTotal && reading.Estimate.Has
	if reading.Query.HasStated {
		ours, theirs, both = result.Computed, reading.Query.StatedPico, result.HasComputed
	}
	if !both {
		return
	}
	if difference := max(ours-theirs, theirs-ours); difference > theirs/100 {
		t.different++
	} else {
		t.agreed++
	}
}

type reloadKey struct {
	source booksource.Kind
	result booksource.Result
}

// counters are the sums since the start, observed when somebody asks.
type counters struct {
	mu      sync.Mutex
	total   tally
	reloads map[reloadKey]int64
	names   nameCache
}

// nameCache adds up what the memories of all books did that were in use: each book begins with an empty one.
type nameCache struct {
	book                  *pricing.Book
	seen                  pricing.CacheStats
	hits, misses, evicted int64
}

// look takes the counts of the book in use.
func (n *nameCache) look(book *pricing.Book) {
	if n.book != book {
		n.book, n.seen = book, pricing.CacheStats{}
	}
	now := book.CacheStats()
	n.hits += now.Hits - n.seen.Hits
	n.misses += now.Misses - n.seen.Misses
	n.evicted += now.Evicted - n.seen.Evicted
	n.seen = now
}

// passed counts a batch without any model call.
func (c *counters) passed(spans, records int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total.outcomes[outcomePassed] += spans
	c.total.records[outcomePassed] += records
}

func (c *counters) add(batch *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for index := range outcomeCount {
		c.total.outcomes[index] += batch.outcomes[index]
		c.total.records[index] += batch.records[index]
	}
	for _, entry := range batch.costs {
		c.total.costs.of(entry.key).add(entry.sum.usd, entry.sum.pico)
	}
	if len(batch.unpriced) > 0 && c.total.unpriced == nil {
		c.total.unpriced = map[tokenKey]int64{}
	}
	for key, count := range batch.unpriced {
		c.total.unpriced[key] += count
	}
	c.total.agreed += batch.agreed
	c.total.different += batch.different
	for rule, count := range batch.dedup {
		c.total.dedup[rule] += count
	}
	for index, count := range batch.missing {
		c.total.missing[index] += count
	}
}

func (c *counters) reloaded(report booksource.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reloads == nil {
		c.reloads = map[reloadKey]int64{}
	}
	c.reloads[reloadKey{report.Kind, report.Result}]++
}

// register connects the sums with the collector's own telemetry.
func (c *counters) register(builder *metadata.TelemetryBuilder, books *booksource.Source, tags *tagRules) error {
	book := books.Book
	ints := []struct {
		register func(metric.Int64Callback) error
		observe  func(metric.Int64Observer)
	}{
		{builder.RegisterProcessorTokenomicsSpansCallback, func(o metric.Int64Observer) {
			c.observeOutcomes(o, &c.total.outcomes)
		}},
		{builder.RegisterProcessorTokenomicsLogRecordsCallback, func(o metric.Int64Observer) {
			c.observeOutcomes(o, &c.total.records)
		}},
		{builder.RegisterProcessorTokenomicsUnpricedTokensCallback, c.observeUnpriced},
		{builder.RegisterProcessorTokenomicsForeignCostsCallback, c.observeForeign},
		{builder.RegisterProcessorTokenomicsDedupCallback, c.observeDedup},
		{builder.RegisterProcessorTokenomicsModelCacheEvictedCallback, func(o metric.Int64Observer) {
			o.Observe(c.looked(book()).evicted)
		}},
		{builder.RegisterProcessorTokenomicsMissingTagsCallback, func(o metric.Int64Observer) { c.observeMissing(o, tags) }},
		{builder.RegisterProcessorTokenomicsBookReloadsCallback, c.observeReloads},
		{builder.RegisterProcessorTokenomicsBookAgeSecondsCallback, func(o metric.Int64Observer) {
			o.Observe(int64(time.Since(time.UnixMilli(book().GeneratedAtMillis())).Seconds()))
		}},
		{builder.RegisterProcessorTokenomicsBookEntriesCallback, func(o metric.Int64Observer) {
			o.Observe(int64(book().Len()))
		}},
		{builder.RegisterProcessorTokenomicsBookFetchAgeSecondsCallback, func(o metric.Int64Observer) {
			if at := books.Fetched(); !at.IsZero() {
				o.Observe(int64(time.Since(at).Seconds()))
			}
		}},
		{builder.RegisterProcessorTokenomicsModelCacheHitsCallback, func(o metric.Int64Observer) {
			o.Observe(c.looked(book()).hits)
		}},
		{builder.RegisterProcessorTokenomicsModelCacheMissesCallback, func(o metric.Int64Observer) {
			o.Observe(c.looked(book()).misses)
		}},
		{builder.RegisterProcessorTokenomicsModelCacheSizeCallback, func(o metric.Int64Observer) {
			o.Observe(c.looked(book()).seen.Size)
		}},
		{builder.RegisterProcessorTokenomicsBookInfoCallback, func(o metric.Int64Observer) {
			o.Observe(1, metric.WithAttributes(attribute.String("version", book().ID())))
		}},
	}
	for _, entry := range ints {
		callback := func(_ context.Context, o metric.Int64Observer) error {
			entry.observe(o)
			return nil
		}
		if err := entry.register(callback); err != nil {
			return err
		}
	}
	return builder.RegisterProcessorTokenomicsCostCallback(func(_ context.Context, o metric.Float64Observer) error {
		c.observeCost(o)
		return nil
	})
}

func (c *counters) looked(book *pricing.Book) nameCache {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names.look(book)
	return c.names
}

func (c *counters) observeOutcomes(o metric.Int64Observer, outcomes *[outcomeCount]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for index, count := range outcomes {
		if count > 0 {
			o.Observe(count, metric.WithAttributes(attribute.String("outcome", outcomeNames[index])))
		}
	}
}

func (c *counters) observeUnpriced(o metric.Int64Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, count := range c.total.unpriced {
		o.Observe(count, metric.WithAttributes(attribute.String("type", key.side), attribute.String("reason", key.reason)))
	}
}

func (c *counters) observeForeign(o metric.Int64Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total.agreed > 0 {
		o.Observe(c.total.agreed, metric.WithAttributes(attribute.String("difference", "within_one_percent")))
	}
	if c.total.different > 0 {
		o.Observe(c.total.different, metric.WithAttributes(attribute.String("difference", "above_one_percent")))
	}
}

func (c *counters) observeDedup(o metric.Int64Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rule, count := range c.total.dedup {
		o.Observe(count, metric.WithAttributes(attribute.String("rule", ruleNames[rule])))
	}
}

func (c *counters) observeMissing(o metric.Int64Observer, tags *tagRules) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for place := range tags.policies {
		target, action := &tags.targets[place], "marked"
		if target.fallback != "" {
			action = "defaulted"
		}
		o.Observe(c.total.missing[place], metric.WithAttributes(attribute.String("tag", target.name), attribute.String("action", action)))
	}
}

func (c *counters) observeReloads(o metric.Int64Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, count := range c.reloads {
		o.Observe(count, metric.WithAttributes(
			attribute.String("source", string(key.source)), attribute.String("result", string(key.result))))
	}
}

func (c *counters) observeCost(o metric.Float64Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range c.total.costs {
		o.Observe(entry.sum.double(), metric.WithAttributes(attribute.String("currency", "USD"),
			attribute.String("source", entry.key.source), attribute.String("basis", entry.key.basis)))
	}
}
