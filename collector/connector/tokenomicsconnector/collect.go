package tokenomicsconnector

import (
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// collection is what was handed on at one time, and what has to be known when it was accepted.
type collection struct {
	metrics pmetric.Metrics
	at      pcommon.Timestamp
	epoch   uint64
}

// collect writes all series, or with delta temporality those that were added to since the last accepted collection. The
// order of points is that of their attributes, so that equal states are equal bytes.
func (a *aggregate) collect(now pcommon.Timestamp, scope pcommon.InstrumentationScope, resource pcommon.Resource) collection {
	// A clock that was set back must not make a point that ends before it begins.
	now = max(now, a.collected+1)
	done := collection{metrics: pmetric.NewMetrics(), at: now, epoch: a.epoch}
	holder := done.metrics.ResourceMetrics().AppendEmpty()
	resource.CopyTo(holder.Resource())
	scoped := holder.ScopeMetrics().AppendEmpty()
	scope.CopyTo(scoped.Scope())
	for index := range a.tables {
		a.collectTable(metric(index), now, scoped.Metrics())
	}
	a.collected, a.epoch = now, a.epoch+1
	return done
}

// accept notes that a collection arrived: from here on delta points count, and what is idle may go.
func (a *aggregate) accept(done *collection) {
	a.accepted, a.sentEpoch = done.at, done.epoch
	for index := range a.tables {
		for _, held := range a.tables[index].series {
			copy(held.sent, held.pending)
		}
	}
	a.expire(int64(done.at))
}

func (a *aggregate) collectTable(m metric, now pcommon.Timestamp, target pmetric.MetricSlice) {
	held := a.tables[m].series
	var chosen []*series
	for _, key := range slices.Sorted(maps.Keys(held)) {
		if one := held[key]; !a.delta || one.epoch > a.sentEpoch {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return
	}
	about := &attributes.ConnectorMetrics[m]
	made := target.AppendEmpty()
	made.SetName(about.Name)
	made.SetUnit(about.Unit)
	made.SetDescription(about.Description)
	temporality := pmetric.AggregationTemporalityCumulative
	if a.delta {
		temporality = pmetric.AggregationTemporalityDelta
	}
	if m == metricRequestCost {
		histogram := made.SetEmptyHistogram()
		histogram.SetAggregationTemporality(temporality)
		for _, one := range chosen {
			a.collectHistogram(one, now, histogram.DataPoints().AppendEmpty(), about.Bounds)
		}
		return
	}
	counter := made.SetEmptySum()
	counter.SetIsMonotonic(true)
	counter.SetAggregationTemporality(temporality)
	for _, one := range chosen {
		a.collectCounter(one, now, counter.DataPoints().AppendEmpty())
	}
}

// next returns the values that a series hands on now.
func (a *aggregate) next(one *series) []sum {
	copy(one.pending, one.values)
	if !a.delta {
		return one.values
	}
	grown := make([]sum, len(one.values))
	for index := range grown {
		grown[index] = one.values[index].since(one.sent[index])
	}
	return grown
}

func (a *aggregate) start(one *series) pcommon.Timestamp {
	if a.delta {
		return a.accepted
	}
	return one.start
}

func (a *aggregate) collectCounter(one *series, now pcommon.Timestamp, point pmetric.NumberDataPoint) {
	point.SetStartTimestamp(a.start(one))
	point.SetTimestamp(now)
	one.label(point.Attributes())
	if value := a.next(one)[0]; one.metric.money() {
		point.SetDoubleValue(value.usd())
	} else {
		point.SetIntValue(value.whole())
	}
	one.show(point.Exemplars())
}

func (a *aggregate) collectHistogram(one *series, now pcommon.Timestamp, point pmetric.HistogramDataPoint, edges []float64) {
	point.SetStartTimestamp(a.start(one))
	point.SetTimestamp(now)
	one.label(point.Attributes())
	values := a.next(one)
	counts := make([]uint64, 0, len(values)-1)
	total := uint64(0)
	for _, count := range values[1:] {
		counts = append(counts, uint64(count.whole()))
		total += uint64(count.whole())
	}
	point.SetCount(total)
	point.SetSum(values[0].usd())
	point.BucketCounts().FromRaw(counts)
	point.ExplicitBounds().FromRaw(edges)
	one.show(point.Exemplars())
}

func (s *series) label(target pcommon.Map) {
	if s.overflow {
		target.PutBool(attributes.OtelMetricOverflow, true)
		return
	}
	target.EnsureCapacity(len(s.attributes))
	for _, attr := range s.attributes {
		target.PutStr(attr.key, attr.value)
	}
}

// show writes the exemplars since the last collection and forgets them.
func (s *series) show(target pmetric.ExemplarSlice) {
	for index := range s.exemplars {
		seen := &s.exemplars[index]
		if seen.at == 0 {
			continue
		}
		made := target.AppendEmpty()
		made.SetTraceID(seen.id.trace)
		made.SetSpanID(seen.id.span)
		made.SetTimestamp(seen.at)
		if amount := (sum{high: seen.value / base, low: seen.value % base}); s.metric.money() {
			made.SetDoubleValue(amount.usd())
		} else {
			made.SetIntValue(seen.value)
		}
		*seen = exemplar{}
	}
}
