package tokenomicsprocessor

import (
	"strings"
	"sync"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// guesses answers whether a price rests on a default that a foreign span could not confirm: a service tier that it
// does not name though rows ask for one, cache writes of unknown lifetime though the rates differ, a Bedrock id
// without the profile that rows ask for. What a row asks for is found by asking the book once per row and remembered.
type guesses struct {
	mu    sync.RWMutex
	book  *pricing.Book
	known map[guessKey]asks
	limit int
}

// guessKey is a row and the hour in which it was asked: a row that begins to be sold later must not change what is said
// of older calls, in whatever order they arrive.
type guessKey struct {
	sku  string
	hour int64
}

const millisPerHour = 3_600_000

// asks says what the rows beside the one that priced a call depend on.
type asks struct{ tier, lifetime, profile bool }

// maxGuesses bounds what is remembered; the keys are rows of the book and hours.
const maxGuesses = 16384

func newGuesses() *guesses { return &guesses{known: map[guessKey]asks{}, limit: maxGuesses} }

// guess is the answer for the span before: calls of one batch are often of one model.
type guess struct {
	key   guessKey
	row   asks
	known bool
}

// rests says whether the price of a foreign span rests on such a default.
func (g *guesses) rests(work *batch) bool {
	reading, result := &work.reading, &work.result
	usage := &reading.Query.Usage
	writes := !reading.SplitStated && usage.Counts[pricing.CacheWrite] > 0
	bedrock := result.Provider == providerBedrock && !hasProfile(modelOf(reading))
	if reading.TierStated && !writes && !bedrock {
		return false
	}
	key := guessKey{result.SKU, reading.Query.AtMillis / millisPerHour}
	if !work.guess.known || work.guess.key != key {
		work.guess = guess{key, g.asks(key, work.book, reading, result), true}
	}
	row := work.guess.row
	return !reading.TierStated && row.tier || writes && row.lifetime || bedrock && row.profile
}

const providerBedrock = "aws.bedrock"

// profiles are the geographic prefixes of Bedrock's inference profiles.
var profiles = []string{"us.", "eu.", "apac.", "au.", "jp.", "us-gov.", "global."}

func hasProfile(model string) bool {
	for _, profile := range profiles {
		if len(model) >= len(profile) && strings.EqualFold(model[:len(profile)], profile) {
			return true
		}
	}
	return strings.HasPrefix(model, "arn:")
}

func modelOf(reading *attributes.Reading) string {
	if reading.Query.ResponseModel != "" {
		return reading.Query.ResponseModel
	}
	return reading.Query.RequestModel
}

func (g *guesses) asks(
	key guessKey, book *pricing.Book, reading *attributes.Reading, result *pricing.Result,
) asks {
	g.mu.RLock()
	row, ok := g.known[key]
	same := g.book == book
	g.mu.RUnlock()
	if ok && same {
		return row
	}
	row = probe(book, reading, result)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.book != book || len(g.known) >= g.limit {
		g.book, g.known = book, map[guessKey]asks{}
	}
	g.known[key] = row
	return row
}

// probe asks the book for the prices of the same call under facts that the span did not state.
func probe(book *pricing.Book, reading *attributes.Reading, result *pricing.Result) asks {
	differs := func(change func(q *pricing.Query)) bool {
		var other pricing.Result
		q := reading.Query
		q.HasStated, q.Reason = false, ""
		change(&q)
		book.Price(&q, &other)
		return other.HasTotal && other.Reason != pricing.ReasonTierUnpriced && other.SKU != result.SKU
	}
	var row asks
	for _, tier := range [...]string{"flex", "priority", "ultrafast", "batch", "provisioned"} {
		row.tier = row.tier || differs(func(q *pricing.Query) { q.Facts.ServiceTier = tier })
	}
	for _, deployment := range [...]string{"geo", "global", "regional"} {
		row.profile = row.profile || differs(func(q *pricing.Query) { q.Facts.DeploymentType = deployment })
	}
	row.lifetime = writesDiffer(book, reading)
	return row
}

// writesDiffer compares a cache write of the default lifetime with one of an hour, at the instant of the call.
func writesDiffer(book *pricing.Book, reading *attributes.Reading) bool {
	var short, long pricing.Result
	const million = 1_000_000
	q := reading.Query
	q.HasStated, q.Reason = false, ""
	q.Usage = pricing.Usage{}
	q.Usage.Set(pricing.CacheWrite, million)
	book.Price(&q, &short)
	q.Usage = pricing.Usage{}
	q.Usage.Set(pricing.CacheWrite1h, million)
	book.Price(&q, &long)
	return short.HasTotal && long.HasTotal && short.Total != long.Total
}
