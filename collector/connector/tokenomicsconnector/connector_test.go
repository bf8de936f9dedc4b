package tokenomicsconnector

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// TestEveryMetric has one call, one that nobody could price, and one charge; the numbers are added up by hand.
func TestEveryMetric(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(
		call(map[string]any{"tokenomics.tag.team": "search", "tokenomics.call.end": "completed"}),
		call(map[string]any{"tokenomics.tag.team": "search", "tokenomics.call.end": "completed", "tokenomics.cost.total": 0.1}),
		unpriced(map[string]any{"error.type": "TimeoutError", "session.id": "s-1", "user.id": "u-1"}),
		map[string]any{
			"tokenomics.cost.status": "priced", "tokenomics.cost.total": 0.2, "tokenomics.cost.currency": "USD",
			"tokenomics.cost.source": "sdk", "tokenomics.cost.basis": "billed", "tokenomics.charge.kind": "ocr", "tokenomics.charge.quantity": 3.0,
		},
		map[string]any{"http.route": "/"},
	)
	base := func(more map[string]any) map[string]any {
		return with(map[string]any{
			"gen_ai.provider.name": "openai", "gen_ai.operation.name": "chat", "tokenomics.price.model": "gpt-4o",
			"service.name": "shop", "deployment.environment.name": "production", "tokenomics.tag.team": "search",
		}, more)
	}
	without := map[string]any{"tokenomics.price.model": nil, "tokenomics.tag.team": nil}
	unknown := func(more map[string]any) map[string]any { return with(base(without), more) }
	money := map[string]any{"tokenomics.cost.currency": "USD", "tokenomics.cost.source": "collector", "tokenomics.cost.basis": "list"}
	assert.ElementsMatch(t, []point{
		{"tokenomics.span.cost", base(money), 0.1075},
		{"tokenomics.span.cost", map[string]any{
			"tokenomics.charge.kind": "ocr", "service.name": "shop", "deployment.environment.name": "production",
			"tokenomics.cost.currency": "USD", "tokenomics.cost.source": "sdk", "tokenomics.cost.basis": "billed",
		}, 0.2},
		// 400 of the 1,000 were read from the cache.
		{"tokenomics.span.tokens", base(map[string]any{"tokenomics.token.class": "input"}), int64(1200)},
		{"tokenomics.span.tokens", base(map[string]any{"tokenomics.token.class": "cache_read"}), int64(800)},
		{"tokenomics.span.tokens", base(map[string]any{"tokenomics.token.class": "output"}), int64(1000)},
		{"tokenomics.span.tokens", unknown(map[string]any{"tokenomics.token.class": "input"}), int64(30)},
		{"tokenomics.span.tokens", unknown(map[string]any{"tokenomics.token.class": "output"}), int64(12)},
		{"tokenomics.span.requests", base(map[string]any{"tokenomics.cost.status": "priced", "tokenomics.call.end": "completed"}), int64(2)},
		{"tokenomics.span.requests", unknown(map[string]any{
			"tokenomics.cost.status": "unpriced", "tokenomics.cost.reason": "unknown_model", "error.type": "TimeoutError",
		}), int64(1)},
		{"tokenomics.span.unpriced.tokens", unknown(map[string]any{"tokenomics.cost.reason": "unknown_model", "gen_ai.request.model": "gpt-99"}), int64(42)},
	}, pointsOf(s.flushAt(15)))
}

// TestWhatRepeatsAddsNothing: a container's usage and a shadowed charge stand on another span too. A call that failed, or
// that a gateway bills, is nobody else's request.
func TestWhatRepeatsAddsNothing(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	for _, reason := range []string{"container", "shadowed", "server_side"} {
		s.traces(call(map[string]any{"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": reason}))
	}
	// The sink would hear of any point.
	s.traces(
		call(map[string]any{
			"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "call_failed", "error.type": "429", "gen_ai.usage.input_tokens": nil,
			"gen_ai.usage.output_tokens": nil, "gen_ai.usage.cache_read.input_tokens": nil, "tokenomics.cost.total": nil,
		}),
		call(map[string]any{"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "billed_elsewhere", "tokenomics.cost.total": nil}),
		call(map[string]any{"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "call_failed", "tokenomics.charge.kind": "ocr"}),
	)
	got := s.flushAt(15)
	assert.Equal(t, map[string]float64{"tokenomics.span.requests": 2, "tokenomics.span.tokens": 1500}, totals(got))
	assert.Equal(t, map[any]any{"call_failed": int64(1), "billed_elsewhere": int64(1)}, valuesOf(got, "tokenomics.span.requests", "tokenomics.cost.reason"))
	assert.Equal(t, int64(4), s.counters.items[signalTraces][outcomeNotApplicable])
}

// TestHostileAmounts: what is no amount is no cost, and no call either; it is counted as what it is.
func TestHostileAmounts(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	for name, value := range map[string]any{
		"not a number": math.NaN(), "negative": -0.1, "huge": 1e300, "above the cap": "9999999.999999999999999", "no number": "a lot", "hexadecimal": "0x10",
		"a list": []any{0.1}, "a boolean": true, "a long text": string(make([]byte, 1<<20)), "nothing": "", "infinite": "Inf",
	} {
		before := s.counters.items[signalTraces][outcomeMalformed]
		s.traces(call(map[string]any{"tokenomics.cost.total": value}))
		assert.Equal(t, before+1, s.counters.items[signalTraces][outcomeMalformed], name)
	}
	for _, other := range []map[string]any{
		{"tokenomics.cost.total": nil}, {"tokenomics.cost.source": nil}, {"tokenomics.cost.currency": "EUR"},
		{"tokenomics.cost.status": "cheap"}, {"tokenomics.cost.status": 7}, {"tokenomics.cost.status": ""},
	} {
		s.traces(call(other))
	}
	assert.Equal(t, int64(17), s.counters.items[signalTraces][outcomeMalformed])
	// A text is what a backend without numbers handed back.
	s.traces(call(map[string]any{"tokenomics.cost.total": "0.0015"}), call(map[string]any{"tokenomics.cost.total": 1}),
		call(map[string]any{"tokenomics.cost.total": "9000000"}))
	got := s.flushAt(15)
	assert.Equal(t, 9000001.0015, totals(got)["tokenomics.span.cost"])
	assert.Equal(t, 3., totals(got)["tokenomics.span.requests"])
}

// TestHostileCounts: a count that nobody can mean is no token, and what stands beside it is still counted.
func TestHostileCounts(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(
		call(map[string]any{"gen_ai.usage.input_tokens": -5, "gen_ai.usage.cache_read.input_tokens": nil}),
		call(map[string]any{"gen_ai.usage.input_tokens": "many", "gen_ai.usage.cache_read.input_tokens": nil}),
		call(map[string]any{"gen_ai.usage.input_tokens": 1 << 60}),
	)
	assert.Equal(t, map[any]any{"output": int64(1000)}, valuesOf(s.flushAt(15), "tokenomics.span.tokens", "tokenomics.token.class"))
}

// TestRowTellsWhoBills: the emitter names the provider whose API it speaks; the row that priced the call, who bills.
func TestRowTellsWhoBills(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(call(map[string]any{"tokenomics.price.sku": "groq/llama-4;service_tier=flex"}), unpriced(map[string]any{"gen_ai.provider.name": " OpenAI "}))
	got := s.flushAt(15)
	assert.Contains(t, valuesOf(got, "tokenomics.span.cost", "gen_ai.provider.name"), "groq")
	assert.Contains(t, valuesOf(got, "tokenomics.span.unpriced.tokens", "gen_ai.provider.name"), "openai")
}

// TestEveryDimensionTellsApart: two calls that differ in one word are two series of the metrics that have it.
func TestEveryDimensionTellsApart(t *testing.T) {
	for key, value := range map[string]string{
		"gen_ai.operation.name": "text_completion", "tokenomics.price.model": "gpt-4o-mini", "tokenomics.price.sku": "azure.ai.openai/gpt-4o",
		"deployment.environment.name": "canary", "tokenomics.tag.team": "search", "tokenomics.tag.feature": "checkout", "tokenomics.cost.status": "partial",
		"tokenomics.cost.reason": "missing_rate", "tokenomics.call.end": "abandoned", "error.type": "500", "tokenomics.cost.source": "sdk",
		"tokenomics.cost.basis": "contracted", "tokenomics.charge.kind": "ocr",
	} {
		s := staged(t, nopSettings())
		s.traces(call(nil), call(map[string]any{key: value}))
		got := s.flushAt(15)
		metric := "tokenomics.span.requests"
		switch key {
		case "tokenomics.cost.source", "tokenomics.cost.basis", "tokenomics.charge.kind":
			metric = "tokenomics.span.cost"
		case "tokenomics.price.sku":
			key, value = "gen_ai.provider.name", "azure.ai.openai"
		}
		assert.Contains(t, valuesOf(got, metric, key), value)
		assert.Len(t, only(pointsOf(got), metric), 2, key)
		s.end()
	}
}

// TestOtherEmittersCalls: an emitter that names no operation says what it did in its own word.
func TestOtherEmittersCalls(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	s.traces(call(map[string]any{"gen_ai.operation.name": nil, "openinference.span.kind": "EMBEDDING"}), call(map[string]any{"gen_ai.operation.name": "Chat"}))
	assert.Equal(t, map[any]any{"embeddings": 0.0075, "chat": 0.0075}, valuesOf(s.flushAt(15), "tokenomics.span.cost", "gen_ai.operation.name"))
}

// TestEqualServicesAreOne: two resources of one service, as two pods have, add to the same series; the span's own word on
// where it runs and whose it is beats that of its resource.
func TestEqualServicesAreOne(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	for _, pod := range []string{"a", "b"} {
		resource := with(map[string]any{"k8s.pod.name": pod, "tokenomics.tag.team": "search", "tokenomics.tag.customer": "acme"}, shop)
		require.NoError(t, s.ConsumeTraces(t.Context(), tracesOf(resource, call(nil))))
	}
	old := map[string]any{"service.name": "shop", "deployment.environment": "staging"}
	require.NoError(t, s.ConsumeTraces(t.Context(), tracesOf(old, call(map[string]any{"tokenomics.tag.team": "ads", "tokenomics.tag.customer": "acme"}))))
	require.NoError(t, s.ConsumeTraces(t.Context(), tracesOf(shop,
		call(map[string]any{"deployment.environment.name": "canary"}), call(map[string]any{"deployment.environment.name": 7, "tokenomics.tag.team": 7}))))
	got := s.flushAt(15)
	assert.Equal(t, map[any]any{"production": 0.0225, "staging": 0.0075, "canary": 0.0075}, valuesOf(got, "tokenomics.span.cost", "deployment.environment.name"))
	assert.Equal(t, map[any]any{"search": 0.015, "ads": 0.0075, nil: 0.015}, valuesOf(got, "tokenomics.span.cost", "tokenomics.tag.team"))
	for _, one := range pointsOf(got) {
		assert.NotContains(t, one.attributes, "tokenomics.tag.customer")
	}
}

// TestLogRecords bear the same attributes, and several of one span are several calls.
func TestLogRecords(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Dedupe.Window = time.Hour })
	defer s.end()
	require.NoError(t, s.ConsumeLogs(t.Context(), logsOf(shop, call(nil), call(nil), unpriced(nil), map[string]any{"event.name": "x"})))
	assert.Equal(t, map[string]float64{
		"tokenomics.span.cost": 0.015, "tokenomics.span.requests": 3, "tokenomics.span.tokens": 3042, "tokenomics.span.unpriced.tokens": 42,
	}, totals(s.flushAt(15)))
	assert.Equal(t, [outcomeCount]int64{outcomeCounted: 3, outcomeSkipped: 1}, s.counters.items[signalLogs])
}

// TestDedupe: a span that is delivered again within the window is counted once, and again after it.
func TestDedupe(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Dedupe = DedupeConfig{Window: time.Minute, MaxSpans: 1000} })
	defer s.end()
	s.traces(call(nil), call(nil))
	s.traces(call(nil), call(nil))
	assert.Equal(t, 2., totals(s.flushAt(59))["tokenomics.span.requests"])
	s.traces(call(nil))
	assert.Equal(t, 2., totals(s.flushAt(300))["tokenomics.span.requests"])
	s.traces(call(nil))
	assert.Equal(t, 3., totals(s.flushAt(301))["tokenomics.span.requests"])
	assert.Equal(t, int64(3), s.counters.items[signalTraces][outcomeDeduplicated])
	// Without an id nobody can say that a span came before.
	nameless := tracesOf(shop, call(nil), call(nil))
	for _, span := range nameless.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.SetSpanID(pcommon.SpanID{})
	}
	require.NoError(t, s.ConsumeTraces(t.Context(), nameless))
	assert.Equal(t, 5., totals(s.flushAt(302))["tokenomics.span.requests"])
}

// TestRefusedMetricsGoWithTheNext: nothing is lost where the next component fails, in either temporality.
func TestRefusedMetricsGoWithTheNext(t *testing.T) {
	for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
		s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality = temporality })
		s.traces(call(nil))
		assert.Equal(t, 0.0075, totals(s.flushAt(15))["tokenomics.span.cost"])
		s.traces(call(nil))
		s.sink.err = errors.New("full")
		assert.Empty(t, totals(s.flushAt(30)))
		s.traces(call(nil))
		s.sink.err = nil
		got := s.flushAt(45)
		want, start := 0.0225, at(0)
		if temporality == temporalityDelta {
			// The point holds what the refused one held, and says so: it begins where the last accepted one ended.
			want, start = 0.015, at(15)
		}
		assert.Equal(t, want, totals(got)["tokenomics.span.cost"], temporality)
		each(got, func(metric pmetric.Metric) {
			first := metric.Sum().DataPoints().At(0)
			assert.Equal(t, start, first.StartTimestamp(), temporality)
			assert.Equal(t, at(45), first.Timestamp(), temporality)
		})
		assert.Equal(t, [2]int64{2, 1}, [2]int64{s.counters.sent, s.counters.refused})
		s.end()
	}
}

// TestTicksFlush runs the loop of the collector on ticks of the test.
func TestTicksFlush(t *testing.T) {
	s := staged(t, nopSettings())
	s.traces(call(nil))
	for range 3 {
		s.tick <- morning
		// One point each: cost, requests and three classes of tokens. All of them again at each tick: cumulative series
		// that are not repeated look stale.
		assert.Equal(t, 5, <-s.sink.arrived)
	}
	s.end()
}

// TestShutdownFlushes: what came after the last tick leaves with the connector.
func TestShutdownFlushes(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality = temporalityDelta })
	s.traces(call(nil))
	s.flushAt(15)
	s.sink.Reset()
	s.traces(call(nil))
	s.end()
	require.Len(t, s.sink.AllMetrics(), 1)
	assert.Equal(t, 0.0075, totals(s.sink.AllMetrics()[0])["tokenomics.span.cost"])
}

// TestRestartBeginsAnew: after a restart a counter begins at 0 and says so by its start.
func TestRestartBeginsAnew(t *testing.T) {
	for _, begin := range []time.Time{morning, morning.Add(time.Hour)} {
		s := staged(t, nopSettings())
		s.time = begin
		s.state.begin(pcommon.NewTimestampFromTime(begin))
		s.traces(call(nil))
		s.end()
		point := s.sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
		assert.Equal(t, 0.0075, point.DoubleValue())
		assert.Equal(t, pcommon.NewTimestampFromTime(begin), point.StartTimestamp())
		assert.Greater(t, point.Timestamp(), point.StartTimestamp())
	}
}
