package tokenomicsconnector

import (
	"context"
	"testing"
	"time"

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
