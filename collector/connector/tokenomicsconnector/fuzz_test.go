package tokenomicsconnector

import (
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// fuzzed is a connector with every option on. A new one for each input: what an earlier one left would change what the
// fuzzer sees of this one.
func fuzzed(t *testing.T, temporality string) (*tokenomicsConnector, *consumertest.MetricsSink) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Temporality, cfg.MaxSeries, cfg.SeriesExpiration, cfg.WeightBySampling = temporality, 50, time.Minute, true
	cfg.MetricsOptional = []string{optionalRequestCost, optionalCostPart}
	cfg.Dedupe = DedupeConfig{Window: time.Minute, MaxSpans: 100}
	sink := &consumertest.MetricsSink{}
	c, err := newConnector(nopSettings(), cfg, sink, clock{now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	return c, sink
}

// sound says what holds of all metrics, whatever came in.
func sound(t *testing.T, metrics pmetric.Metrics) {
	t.Helper()
	each(metrics, func(metric pmetric.Metric) {
		if metric.Type() == pmetric.MetricTypeHistogram {
			for _, one := range metric.Histogram().DataPoints().All() {
				if !(one.Sum() >= 0) || math.IsInf(one.Sum(), 0) || one.Timestamp() <= one.StartTimestamp() {
					t.Fatalf("histogram of %v from %v to %v", one.Sum(), one.StartTimestamp(), one.Timestamp())
				}
			}
			return
		}
		if count := metric.Sum().DataPoints().Len(); count > 51 {
			t.Fatalf("%d series of %s", count, metric.Name())
		}
		for _, one := range metric.Sum().DataPoints().All() {
			if !(one.DoubleValue() >= 0) || math.IsInf(one.DoubleValue(), 0) || one.IntValue() < 0 || one.Timestamp() <= one.StartTimestamp() {
				t.Fatalf("%s is %v, %d from %v to %v", metric.Name(), one.DoubleValue(), one.IntValue(), one.StartTimestamp(), one.Timestamp())
			}
		}
	})
}

// feed sends one batch and has the metrics handed on.
func feed(t *testing.T, c *tokenomicsConnector, sink *consumertest.MetricsSink, traces ptrace.Traces) {
	t.Helper()
	before := c.counters.items[signalTraces]
	if err := c.ConsumeTraces(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for index, count := range c.counters.items[signalTraces] {
		seen += int(count - before[index])
	}
	if seen != traces.SpanCount() {
		t.Fatalf("%d of %d spans are accounted for", seen, traces.SpanCount())
	}
	if err := c.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, metrics := range sink.AllMetrics() {
		sound(t, metrics)
	}
	sink.Reset()
}

// FuzzPayload feeds raw OTLP.
func FuzzPayload(f *testing.F) {
	add := func(traces ptrace.Traces) {
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	add(batchOf(2, 3, 1))
	add(tracesOf(shop, call(map[string]any{"tracestate": "ot=th:c"}), unpriced(nil), call(map[string]any{"tokenomics.charge.kind": "ocr"})))
	f.Fuzz(func(t *testing.T, data []byte) {
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			t.Skip("the bytes are no payload of spans")
		}
		for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
			c, sink := fuzzed(t, temporality)
			feed(t, c, sink, traces)
			feed(t, c, sink, traces)
		}
	})
}

// FuzzAttributes feeds one call whose deciding attributes may hold anything.
func FuzzAttributes(f *testing.F) {
	f.Add("priced", "", "0.0075", 0.0075, "USD", "sdk", "list", int64(1000), "500", "ot=th:c", "gpt-4o", "search", "ocr")
	f.Add("unpriced", "unknown_model", "", math.NaN(), "", "", "", int64(-1), "-1", "ot=th:ffffffffffffff", "\xff", "\x00", "")
	f.Add("partial", "missing_rate", "1e300", math.Inf(1), "EUR", "provider", "billed", int64(math.MaxInt64), "1e12", "ot=;", "", "__other__", "")
	f.Fuzz(func(t *testing.T, status, reason, text string, amount float64, currency, source, basis string, input int64, output, tracestate, model, team, kind string) {
		one := map[string]any{
			"tokenomics.cost.status": status, "tokenomics.cost.reason": reason, "tokenomics.cost.total": amount, "tokenomics.cost.currency": currency,
			"tokenomics.cost.source": source, "tokenomics.cost.basis": basis, "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output,
			"gen_ai.request.model": model, "tokenomics.price.model": model, "tokenomics.tag.team": team, "tracestate": tracestate,
			"tokenomics.cost.input": amount, "tokenomics.cost.output": text,
		}
		other := with(map[string]any{"tokenomics.charge.kind": kind}, one)
		other["tokenomics.cost.total"] = text
		c, sink := fuzzed(t, temporalityCumulative)
		feed(t, c, sink, tracesOf(map[string]any{"service.name": model}, one, other))
	})
}
