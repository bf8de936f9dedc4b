package tokenomicsconnector

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// startsOf returns start and value of the points of the cost metric by team.
func startsOf(metrics pmetric.Metrics) map[string][2]any {
	found := map[string][2]any{}
	each(metrics, func(metric pmetric.Metric) {
		if metric.Name() != "tokenomics.span.cost" {
			return
		}
		for _, one := range metric.Sum().DataPoints().All() {
			team, _ := one.Attributes().Get("tokenomics.tag.team")
			found[team.Str()] = [2]any{one.StartTimestamp(), one.DoubleValue()}
		}
	})
	return found
}

func team(name string) map[string]any { return call(map[string]any{"tokenomics.tag.team": name}) }

// TestSeriesExpire: an idle series is repeated until its time is over; what comes after the gap is a new one, which
// begins at 0 after the old one's last point.
func TestSeriesExpire(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.SeriesExpiration = time.Minute })
	defer s.end()
	s.traces(team("a"), team("b"))
	assert.Equal(t, map[string][2]any{"a": {at(0), 0.0075}, "b": {at(0), 0.0075}}, startsOf(s.flushAt(15)))
	s.time = morning.Add(20 * time.Second)
	s.traces(team("b"))
	assert.Equal(t, map[string][2]any{"a": {at(0), 0.0075}, "b": {at(0), 0.015}}, startsOf(s.flushAt(61)))
	// a is gone; a series that is new begins where the last collection ended.
	s.traces(team("c"))
	assert.Equal(t, map[string][2]any{"b": {at(0), 0.015}, "c": {at(61), 0.0075}}, startsOf(s.flushAt(75)))
	s.traces(team("a"))
	assert.Equal(t, map[string][2]any{"a": {at(75), 0.0075}, "b": {at(0), 0.015}, "c": {at(61), 0.0075}}, startsOf(s.flushAt(80)))
	// a's series: one of cost, one of requests, three of tokens.
	assert.Equal(t, int64(5), s.state.evicted)
}

// TestDeltaPointsMeet: each delta point begins where the last collection ended, also that of a series which was idle or
// is new, and what did not change has none.
func TestDeltaPointsMeet(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality, cfg.SeriesExpiration = temporalityDelta, time.Minute })
	defer s.end()
	s.traces(team("a"))
	assert.Equal(t, map[string][2]any{"a": {at(0), 0.0075}}, startsOf(s.flushAt(15)))
	s.traces(team("b"))
	assert.Equal(t, map[string][2]any{"b": {at(15), 0.0075}}, startsOf(s.flushAt(30)))
	assert.Empty(t, startsOf(s.flushAt(45)))
	s.traces(team("a"), team("b"), team("b"))
	assert.Equal(t, map[string][2]any{"a": {at(45), 0.0075}, "b": {at(45), 0.015}}, startsOf(s.flushAt(60)))
	assert.Empty(t, startsOf(s.flushAt(200)))
	assert.Equal(t, int64(10), s.state.evicted)
	s.traces(team("a"))
	assert.Equal(t, map[string][2]any{"a": {at(200), 0.0075}}, startsOf(s.flushAt(215)))
	// A free call is no money and yet news.
	s.traces(call(map[string]any{"tokenomics.cost.status": "free", "tokenomics.cost.total": 0.0}))
	assert.Equal(t, map[string][2]any{"": {at(215), 0.}}, startsOf(s.flushAt(230)))
}

// TestRefusedSeriesStay: what no backend has seen is not forgotten, however long that takes.
func TestRefusedSeriesStay(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality, cfg.SeriesExpiration = temporalityDelta, time.Minute })
	defer s.end()
	s.traces(team("a"))
	s.sink.err = assert.AnError
	s.flushAt(15)
	s.flushAt(1000)
	s.sink.err = nil
	assert.Equal(t, map[string][2]any{"a": {at(0), 0.0075}}, startsOf(s.flushAt(2000)))
	assert.Equal(t, int64(5), s.state.evicted)
}

// TestClockSetBack: no point ends before it begins.
func TestClockSetBack(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(call(nil))
	s.flushAt(15)
	s.traces(team("new"))
	last := pcommon.Timestamp(0)
	for _, second := range []int{-3600, -3600, 14, 15} {
		each(s.flushAt(second), func(metric pmetric.Metric) {
			for _, one := range metric.Sum().DataPoints().All() {
				assert.Greater(t, one.Timestamp(), one.StartTimestamp())
				assert.GreaterOrEqual(t, one.Timestamp(), last)
				last = one.Timestamp()
			}
		})
	}
}

// TestCountedWhileSending: what comes while metrics are on their way belongs to the next ones, whatever the clock says.
func TestCountedWhileSending(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality, cfg.SeriesExpiration = temporalityDelta, time.Minute })
	defer s.end()
	s.traces(team("a"))
	s.sink.during = func() {
		s.sink.during = nil
		s.time = morning.Add(-time.Hour)
		s.traces(team("a"), team("b"))
	}
	assert.Equal(t, map[string][2]any{"a": {at(0), 0.0075}}, startsOf(s.flushAt(15)))
	assert.Equal(t, map[string][2]any{"a": {at(15), 0.0075}, "b": {at(15), 0.0075}}, startsOf(s.flushAt(30)))
}

// TestTooManyValues: the 101st team and the 101st raw model go to __other__; each charge of an unknown kind too. A value
// that no series bears any more makes room.
func TestTooManyValues(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.SeriesExpiration = time.Minute })
	defer s.end()
	for index := range 150 {
		s.traces(team(fmt.Sprint("team-", index)), unpriced(map[string]any{"gen_ai.request.model": fmt.Sprint("model-", index)}))
	}
	got := s.flushAt(15)
	teams := valuesOf(got, "tokenomics.span.cost", "tokenomics.tag.team")
	assert.Len(t, teams, 101)
	assert.Equal(t, 50*0.0075, teams["__other__"])
	models := valuesOf(got, "tokenomics.span.unpriced.tokens", "gen_ai.request.model")
	assert.Len(t, models, 101)
	assert.Equal(t, int64(50*42), models["__other__"])
	assert.Equal(t, 150*0.0075, math.Round(totals(got)["tokenomics.span.cost"]*1e6)/1e6)
	s.time = morning.Add(50 * time.Second)
	s.traces(team("team-149"))
	s.flushAt(100)
	for index := range 100 {
		s.traces(team(fmt.Sprint("new-", index)))
	}
	teams = valuesOf(s.flushAt(101), "tokenomics.span.cost", "tokenomics.tag.team")
	assert.Len(t, teams, 101)
	assert.Equal(t, 51*0.0075, teams["__other__"])
}

// TestTooManySeries: what exceeds the cap adds up in one series, and the metric as a whole is still right.
func TestTooManySeries(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.MaxSeries, cfg.MetricsOptional = 10, []string{"request.cost"} })
	defer s.end()
	for index := range 30 {
		require.NoError(t, s.ConsumeTraces(t.Context(), tracesOf(map[string]any{"service.name": fmt.Sprint("shop-", index)}, call(nil))))
	}
	got := s.flushAt(15)
	for _, metric := range []string{"tokenomics.span.cost", "tokenomics.span.requests", "tokenomics.span.tokens"} {
		points := only(pointsOf(got), metric)
		assert.Len(t, points, 11, metric)
	}
	overflow := only(pointsOf(got), "tokenomics.span.requests")
	assert.Contains(t, overflow, point{"tokenomics.span.requests", map[string]any{"otel.metric.overflow": true}, int64(20)})
	assert.Equal(t, 30., totals(got)["tokenomics.span.requests"])
	assert.Equal(t, 30*1500., totals(got)["tokenomics.span.tokens"])
	assert.Equal(t, int64(20), s.state.tables[metricCost].overflowed)
	assert.Len(t, s.state.tables[metricRequestCost].series, 11)
}

// heap is what is reachable, in bytes.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestFloodIsBounded: as many teams, services, models and reasons as there are spans cost no more memory than the caps
// allow, however long the texts are.
func TestFloodIsBounded(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) {
		cfg.MaxSeries, cfg.Dedupe = 500, DedupeConfig{Window: time.Hour, MaxSpans: 10_000}
		cfg.MetricsOptional = []string{"request.cost", "cost.part"}
	})
	defer s.end()
	long := strings.Repeat("x", 4000)
	spans := 0
	before := heap()
	for round := range 300 {
		batch := tracesOf(map[string]any{"service.name": fmt.Sprint(long, round), "tokenomics.tag.feature": fmt.Sprint(round, long)})
		target := batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		for range 100 {
			spans++
			name := fmt.Sprint(spans, long)
			span := target.AppendEmpty()
			span.SetTraceID(pcommon.TraceID{0: 1, 14: byte(spans >> 16), 15: byte(spans >> 8)})
			span.SetSpanID(pcommon.SpanID{0: 1, 7: byte(spans)})
			made := team(name)
			if spans%2 == 0 {
				made = unpriced(map[string]any{"gen_ai.request.model": name, "tokenomics.cost.reason": name, "error.type": name})
			}
			must(span.Attributes().FromRaw(made))
		}
		require.NoError(t, s.ConsumeTraces(t.Context(), batch))
		assert.LessOrEqual(t, len(s.state.groups), 1000)
		assert.LessOrEqual(t, len(s.recent.young)+len(s.recent.old), 10_000)
		for index := range s.state.tables {
			assert.LessOrEqual(t, len(s.state.tables[index].series), 501)
		}
		for key, seen := range s.state.values {
			assert.LessOrEqual(t, len(seen), mostValues, key)
		}
	}
	// 2,500 series and 1,000 kinds of calls at some 3 kB; 120 MB of texts went through.
	const most = 16 << 20
	grown := heap() - before
	t.Logf("%d bytes more", grown)
	assert.Less(t, grown, int64(most))
	got := s.flushAt(15)
	assert.Equal(t, float64(spans), totals(got)["tokenomics.span.requests"])
	assert.Equal(t, float64(spans/2*1500+spans/2*42), totals(got)["tokenomics.span.tokens"])
	for _, one := range pointsOf(got) {
		for key, value := range one.attributes {
			if text, ok := value.(string); ok {
				require.LessOrEqual(t, len(text), mostText, key)
			}
		}
	}
}

// TestValuesAreText: half a character, or none, would make Prometheus refuse the series.
func TestValuesAreText(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	for _, value := range []string{"\xff\xfe", "a\xc3", strings.Repeat("x", 255) + "é", strings.Repeat("é", 300)} {
		s.traces(call(map[string]any{
			"tokenomics.tag.team": value, "tokenomics.price.model": value, "error.type": value, "gen_ai.operation.name": value,
		}), unpriced(map[string]any{"gen_ai.request.model": value}))
	}
	got := s.flushAt(15)
	assert.Equal(t, 8., totals(got)["tokenomics.span.requests"])
	for _, one := range pointsOf(got) {
		for key, value := range one.attributes {
			assert.True(t, utf8.ValidString(value.(string)), key)
		}
	}
}

// TestWeights: a span that stands for four counts four times; a threshold that nobody can mean is none.
func TestWeights(t *testing.T) {
	for tracestate, want := range map[string]weight{
		"": one, "ot=th:0": one, "ot=th:8": {1 << 55}, "ot=th:c": {1 << 54}, "congo=t61rcWkgMzE, ot=rv:1;th:c;x:y": {1 << 54},
		"ot=th:fffff": {1 << 36}, "ot=th:ffffffffffffff": one, "ot=th:fffffff": one, "ot=th:": one, "ot=th:C": one,
		"ot=th:800000000000000": one, "ot=th:-8": one, "ot=rv:c": one, "other=th:8": one, "ot=th:0x8": one, "ot=th:8,ot=th:c": {1 << 55},
	} {
		assert.Equal(t, want, weightOf(tracestate), tracestate)
	}
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.WeightBySampling = true })
	defer s.end()
	s.traces(call(nil), call(map[string]any{"tracestate": "ot=th:c"}), call(map[string]any{"tracestate": "ot=th:c"}))
	got := s.flushAt(15)
	assert.Equal(t, map[any]any{nil: 0.0075, "estimated": 0.06}, valuesOf(got, "tokenomics.span.cost", "tokenomics.usage.source"))
	assert.Equal(t, map[any]any{nil: int64(1), "estimated": int64(8)}, valuesOf(got, "tokenomics.span.requests", "tokenomics.usage.source"))
}

// TestRecordsStandForThemselves also where the span before them stood for others.
func TestRecordsStandForThemselves(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.WeightBySampling = true })
	defer s.end()
	s.traces(call(map[string]any{"tracestate": "ot=th:c"}))
	require.NoError(t, s.ConsumeLogs(t.Context(), logsOf(shop, call(nil))))
	assert.Equal(t, map[any]any{nil: 0.0075, "estimated": 0.03}, valuesOf(s.flushAt(15), "tokenomics.span.cost", "tokenomics.usage.source"))
}

// TestWeightsAreOffByDefault: where every span arrives a threshold says what a later sampler will do.
func TestWeightsAreOffByDefault(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(call(map[string]any{"tracestate": "ot=th:c"}))
	assert.Equal(t, map[any]any{nil: 0.0075}, valuesOf(s.flushAt(15), "tokenomics.span.cost", "tokenomics.usage.source"))
}

// TestSumIsExact adds random amounts and weights up and compares with rational numbers.
func TestSumIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var got sum
	want := new(big.Rat)
	const rounds = 300
	for range rounds {
		amount := random.Int64() >> random.IntN(63)
		w := one
		if random.IntN(2) == 0 {
			w = weight{leastKept + random.Uint64N(randomness-leastKept)}
		}
		got.addWeighted(amount, w)
		share := new(big.Rat).SetFrac(new(big.Int).SetUint64(randomness), new(big.Int).SetUint64(w.kept))
		want.Add(want, share.Mul(share, new(big.Rat).SetInt64(amount)))
	}
	whole := new(big.Int).Add(new(big.Int).Mul(big.NewInt(got.high), big.NewInt(base)), big.NewInt(got.low))
	exact := new(big.Rat).Add(new(big.Rat).SetInt(whole), big.NewRat(int64(got.rest), 1<<32))
	// Each addition drops less than 2^-32 of a unit.
	lost, _ := new(big.Rat).Sub(want, exact).Float64()
	assert.GreaterOrEqual(t, lost, 0.)
	assert.Less(t, lost, float64(rounds)/(1<<32))
	assert.Equal(t, int64(math.MaxInt64), got.whole(), "no integer has room for it")
	usd, _ := new(big.Rat).Quo(exact, new(big.Rat).SetInt64(base)).Float64()
	assert.InEpsilon(t, usd, got.usd(), 1e-15)

	assert.Equal(t, int64(base-4), sum{high: 4, low: 3}.since(sum{high: 3, low: 7}).whole())
	assert.Equal(t, float64(1e7), sum{high: 2e7, low: 3}.since(sum{high: 1e7, low: 3}).usd())
	before := sum{high: 3, low: 7}
	after := before
	after.add(5*base - 8)
	assert.Equal(t, int64(5*base-8), after.since(before).whole())
	assert.Equal(t, 7.999999999999, after.usd())
}

// TestHistogram: a bound belongs to the bucket below it; charges are no calls.
func TestHistogram(t *testing.T) {
	for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
		s := staged(t, nopSettings(), func(cfg *Config) { cfg.MetricsOptional, cfg.Temporality = []string{"request.cost"}, temporality })
		cost := func(usd float64) map[string]any { return call(map[string]any{"tokenomics.cost.total": usd}) }
		s.traces(cost(0), cost(1e-6), cost(1.000001e-6), cost(0.0075), cost(10), cost(10.000001), unpriced(nil),
			call(map[string]any{"tokenomics.charge.kind": "ocr"}))
		for _, want := range [][]uint64{{2, 1, 0, 0, 1, 0, 0, 1, 1}, {0, 0, 0, 0, 1, 0, 0, 0, 0}} {
			each(s.flushAt(15), func(metric pmetric.Metric) {
				if metric.Name() != "tokenomics.span.request.cost" {
					return
				}
				point := metric.Histogram().DataPoints().At(0)
				if temporality == temporalityCumulative && want[0] == 0 {
					want = []uint64{2, 1, 0, 0, 2, 0, 0, 1, 1}
				}
				assert.Equal(t, want, point.BucketCounts().AsRaw())
				assert.Equal(t, []float64{1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10}, point.ExplicitBounds().AsRaw())
				count := uint64(0)
				for _, one := range want {
					count += one
				}
				assert.Equal(t, count, point.Count())
			})
			s.traces(cost(0.0075))
		}
		s.end()
	}
}

// TestParts: parts that add up to the total stand in its place; a total that a provider stated has none.
func TestParts(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.MetricsOptional = []string{"cost.part"} })
	defer s.end()
	parts := map[string]any{"tokenomics.cost.input": 0.0015, "tokenomics.cost.cache_read": 0.001, "tokenomics.cost.output": 0.005}
	s.traces(call(parts), call(parts), call(nil), call(with(map[string]any{"tokenomics.cost.total": 0.01}, parts)),
		call(map[string]any{"tokenomics.cost.status": "free", "tokenomics.cost.total": 0.0}))
	assert.Equal(t, map[any]any{"input": 0.003, "cache_read": 0.002, "output": 0.01, "total": 0.0175},
		valuesOf(s.flushAt(15), "tokenomics.span.cost", "tokenomics.cost.part"))
}

// TestExemplars: a point of cost names the dearest call since the last one, and forgets it.
func TestExemplars(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.MetricsOptional = []string{"request.cost"} })
	defer s.end()
	s.traces(call(nil), call(map[string]any{"tokenomics.cost.total": 0.5}), call(nil), unpriced(nil))
	type shown struct {
		span  byte
		value any
	}
	found := func(metrics pmetric.Metrics) map[string][]shown {
		seen := map[string][]shown{}
		keep := func(name string, exemplars pmetric.ExemplarSlice) {
			for _, one := range exemplars.All() {
				assert.Equal(t, pcommon.TraceID{15: 1}, one.TraceID())
				assert.Equal(t, at(0), one.Timestamp())
				made := shown{one.SpanID()[7], one.DoubleValue()}
				if one.ValueType() == pmetric.ExemplarValueTypeInt {
					made.value = one.IntValue()
				}
				seen[name] = append(seen[name], made)
			}
		}
		each(metrics, func(metric pmetric.Metric) {
			if metric.Type() == pmetric.MetricTypeHistogram {
				keep(metric.Name(), metric.Histogram().DataPoints().At(0).Exemplars())
				return
			}
			for _, one := range metric.Sum().DataPoints().All() {
				keep(metric.Name(), one.Exemplars())
			}
		})
		return seen
	}
	assert.Equal(t, map[string][]shown{
		"tokenomics.span.cost": {{2, 0.5}}, "tokenomics.span.request.cost": {{1, 0.0075}, {2, 0.5}}, "tokenomics.span.unpriced.tokens": {{4, int64(42)}},
	}, found(s.flushAt(15)))
	assert.Empty(t, found(s.flushAt(30)))
}
