package tokenomicsconnector

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadata"
)

func nopSettings() connector.Settings { return connectortest.NewNopSettings(metadata.Type) }

var morning = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// at is a time of that morning as metrics have it.
func at(seconds int) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(morning.Add(time.Duration(seconds) * time.Second))
}

// stage is a connector whose time a test sets, and what came out of it.
type stage struct {
	*tokenomicsConnector
	t    *testing.T
	time time.Time
	tick chan time.Time
	sink *sink
}

// sink keeps metrics; it refuses them while err is set.
type sink struct {
	consumertest.MetricsSink
	err     error
	arrived chan int
	// during is what happens while metrics are on their way.
	during func()
}

func (s *sink) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	if s.during != nil {
		s.during()
	}
	if s.err != nil {
		return s.err
	}
	err := s.MetricsSink.ConsumeMetrics(ctx, metrics)
	select {
	case s.arrived <- metrics.DataPointCount():
	default:
	}
	return err
}

// staged starts a connector at 10:00:00.
func staged(t *testing.T, set connector.Settings, changes ...func(*Config)) *stage {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	for _, change := range changes {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	s := &stage{t: t, time: morning, tick: make(chan time.Time), sink: &sink{arrived: make(chan int, 1)}}
	made, err := newConnector(set, cfg, s.sink, clock{
		now:   func() time.Time { return s.time },
		ticks: func(time.Duration) (<-chan time.Time, func()) { return s.tick, func() {} },
	})
	require.NoError(t, err)
	s.tokenomicsConnector = made
	require.NoError(t, made.Start(t.Context(), componenttest.NewNopHost()))
	return s
}

// end shuts down; the last metrics are in the sink then.
func (s *stage) end() { require.NoError(s.t, s.Shutdown(context.Background())) }

// flushAt hands metrics on at a second and returns what arrived.
func (s *stage) flushAt(second int) pmetric.Metrics {
	s.t.Helper()
	s.time = morning.Add(time.Duration(second) * time.Second)
	s.sink.Reset()
	require.ErrorIs(s.t, s.flush(s.t.Context()), s.sink.err)
	if all := s.sink.AllMetrics(); len(all) > 0 {
		return all[0]
	}
	return pmetric.NewMetrics()
}

func (s *stage) traces(spans ...map[string]any) {
	s.t.Helper()
	require.NoError(s.t, s.ConsumeTraces(s.t.Context(), tracesOf(shop, spans...)))
}

var shop = map[string]any{"service.name": "shop", "deployment.environment.name": "production"}

// tracesOf builds one span for each set of attributes; "tracestate" is none of them.
func tracesOf(resource map[string]any, spans ...map[string]any) ptrace.Traces {
	traces := ptrace.NewTraces()
	holder := traces.ResourceSpans().AppendEmpty()
	must(holder.Resource().Attributes().FromRaw(resource))
	scope := holder.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	for index, attributes := range spans {
		span := scope.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: 1})
		span.SetSpanID(pcommon.SpanID{7: byte(index + 1)})
		for key, value := range attributes {
			if key == "tracestate" {
				span.TraceState().FromRaw(value.(string))
				continue
			}
			must(span.Attributes().PutEmpty(key).FromRaw(value))
		}
	}
	return traces
}

func logsOf(resource map[string]any, records ...map[string]any) plog.Logs {
	logs := plog.NewLogs()
	holder := logs.ResourceLogs().AppendEmpty()
	must(holder.Resource().Attributes().FromRaw(resource))
	for _, attributes := range records {
		must(holder.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes().FromRaw(attributes))
	}
	return logs
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// call is a chat that the processor priced; more changes or adds attributes, nil takes one off.
func call(more map[string]any) map[string]any {
	made := map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
		"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500, "gen_ai.usage.cache_read.input_tokens": 400,
		"tokenomics.cost.status": "priced", "tokenomics.cost.total": 0.0075, "tokenomics.cost.currency": "USD",
		"tokenomics.cost.source": "collector", "tokenomics.cost.basis": "list", "tokenomics.price.book": "vectors@1",
		"tokenomics.price.sku": "openai/gpt-4o", "tokenomics.price.model": "gpt-4o",
	}
	return with(made, more)
}

func unpriced(more map[string]any) map[string]any {
	return with(map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-99",
		"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 12,
		"tokenomics.cost.status": "unpriced", "tokenomics.cost.reason": "unknown_model", "tokenomics.price.book": "vectors@1",
	}, more)
}

func with(made, more map[string]any) map[string]any {
	for key, value := range more {
		if value == nil {
			delete(made, key)
		} else {
			made[key] = value
		}
	}
	return made
}

// point is one data point without its times.
type point struct {
	metric     string
	attributes map[string]any
	value      any
}

func pointsOf(metrics pmetric.Metrics) []point {
	var points []point
	each(metrics, func(metric pmetric.Metric) {
		if metric.Type() != pmetric.MetricTypeSum {
			return
		}
		for _, one := range metric.Sum().DataPoints().All() {
			made := point{metric.Name(), one.Attributes().AsRaw(), one.DoubleValue()}
			if one.ValueType() == pmetric.NumberDataPointValueTypeInt {
				made.value = one.IntValue()
			}
			points = append(points, made)
		}
	})
	return points
}

func each(metrics pmetric.Metrics, do func(pmetric.Metric)) {
	for _, resource := range metrics.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				do(metric)
			}
		}
	}
}

// totals adds all points of each counter up.
func totals(metrics pmetric.Metrics) map[string]float64 {
	sums := map[string]float64{}
	for _, one := range pointsOf(metrics) {
		switch value := one.value.(type) {
		case int64:
			sums[one.metric] += float64(value)
		case float64:
			sums[one.metric] += value
		}
	}
	return sums
}

// only returns the points of one metric.
func only(points []point, metric string) []point {
	var found []point
	for _, one := range points {
		if one.metric == metric {
			found = append(found, one)
		}
	}
	return found
}

// valuesOf adds the points of a metric up by one attribute.
func valuesOf(metrics pmetric.Metrics, metric, key string) map[any]any {
	values := map[any]any{}
	for _, one := range only(pointsOf(metrics), metric) {
		name := one.attributes[key]
		switch value := one.value.(type) {
		case int64:
			before, _ := values[name].(int64)
			values[name] = before + value
		case float64:
			before, _ := values[name].(float64)
			values[name] = before + value
		}
	}
	return values
}

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
