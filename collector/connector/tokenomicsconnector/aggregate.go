package tokenomicsconnector

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// aggregate holds all series. Whoever uses it holds the lock of the connector.
type aggregate struct {
	delta, histogram, byPart bool
	tagKeys                  []string
	mostSeries               int
	expiration               time.Duration

	tables [metricCount]table
	groups map[string]*group
	// values are those of the bounded dimensions that some series bears.
	values  map[string]map[string]struct{}
	evicted int64

	// collected is the time of the last collection, accepted that of the last one that was accepted; a series that
	// begins after a collection counts from it.
	collected, accepted pcommon.Timestamp
	// epoch counts collections; sentEpoch is the last one whose points were accepted.
	epoch, sentEpoch uint64
}

func newAggregate(cfg *Config) *aggregate {
	made := &aggregate{
		delta:      cfg.Temporality == temporalityDelta,
		histogram:  slices.Contains(cfg.MetricsOptional, optionalRequestCost),
		byPart:     slices.Contains(cfg.MetricsOptional, optionalCostPart),
		mostSeries: cfg.MaxSeries,
		expiration: cfg.SeriesExpiration,
		groups:     map[string]*group{},
		values:     map[string]map[string]struct{}{},
		epoch:      1,
	}
	for _, key := range cfg.Dimensions {
		made.tagKeys = append(made.tagKeys, attributes.TokenomicsTagPrefix+key)
	}
	for _, key := range append([]string{attributes.TokenomicsChargeKind, attributes.GenAiRequestModel}, made.tagKeys...) {
		made.values[key] = map[string]struct{}{}
	}
	for index := range made.tables {
		made.tables[index].series = map[string]*series{}
	}
	return made
}

// begin sets the time from which the first series count.
func (a *aggregate) begin(now pcommon.Timestamp) { a.collected, a.accepted = now, now }

// add adds to a series, and notices where it is the one for what exceeds the cap.
func (a *aggregate) add(to *series, amount int64, m *measurement) {
	to.add(amount, m)
	if to.overflow {
		a.tables[to.metric].overflowed++
	}
}

// of returns the series of a metric with these attributes, which it keeps; the overflow series where there is no room.
func (a *aggregate) of(m metric, attrs []pair) *series {
	held := a.tables[m].series
	key := string(identify(nil, attrs))
	if found := held[key]; found != nil {
		return found
	}
	_, overflows := held[overflowKey]
	room := a.mostSeries
	if overflows {
		room++
	}
	if len(held) >= room {
		key = overflowKey
		if found := held[key]; found != nil {
			return found
		}
		attrs = nil
	}
	made := newSeries(m, attrs, a.collected)
	made.overflow = key == overflowKey
	held[key] = made
	return made
}

// groupOf returns the group of a kind of call. They are a memory and no state: a flood of kinds empties it.
func (a *aggregate) groupOf(key []byte, from *place, it *attributes.Settled, weighted bool) *group {
	if found := a.groups[string(key)]; found != nil {
		return found
	}
	if len(a.groups) >= 2*a.mostSeries {
		clear(a.groups)
	}
	made := a.newGroup(from, it, weighted)
	a.groups[string(key)] = made
	return made
}

// bounded returns a value while its dimension has room for another one, then __other__.
func (a *aggregate) bounded(key, value string) string {
	seen, value := a.values[key], keep(value)
	if _, there := seen[value]; there {
		return value
	}
	if len(seen) >= mostValues {
		return other
	}
	seen[value] = struct{}{}
	return value
}

// expire drops the series to which nothing was added for long, once all of it was accepted. What comes afterwards
// begins a new one, which counts from a later time.
func (a *aggregate) expire(now int64) {
	if a.expiration == 0 {
		return
	}
	dropped := int64(0)
	for index := range a.tables {
		for key, held := range a.tables[index].series {
			if held.epoch <= a.sentEpoch && time.Duration(now-held.touched) > a.expiration {
				delete(a.tables[index].series, key)
				dropped++
			}
		}
	}
	if dropped == 0 {
		return
	}
	a.evicted += dropped
	// Groups point to what was dropped; values that no series bears any more make room for others.
	clear(a.groups)
	for _, seen := range a.values {
		clear(seen)
	}
	for index := range a.tables {
		for _, held := range a.tables[index].series {
			for _, attr := range held.attributes {
				if seen := a.values[attr.key]; seen != nil && attr.value != other {
					seen[attr.value] = struct{}{}
				}
			}
		}
	}
}

// mostText is how long the value of a dimension may be, in bytes.
const mostText = 256

// clip cuts a text to mostText bytes.
func clip(text string) string { return text[:min(len(text), mostText)] }

// keep returns a value of a dimension as a copy that holds on to nothing else. What is no UTF-8, or was cut inside a
// character, would make backends refuse the whole series.
func keep(text string) string { return strings.Clone(strings.ToValidUTF8(clip(text), "\ufffd")) }
