package tokenomicsconnector

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadatatest"
)

// TestSelfTelemetry counts every item in and every point out.
func TestSelfTelemetry(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	s := staged(t, set, func(cfg *Config) {
		cfg.MaxSeries, cfg.SeriesExpiration, cfg.Dedupe = 1, time.Minute, DedupeConfig{Window: time.Hour, MaxSpans: 4}
	})
	defer s.end()
	s.traces(team("a"), team("b"), unpriced(nil), map[string]any{"http.route": "/"}, call(map[string]any{"tokenomics.cost.total": -1}),
		call(map[string]any{"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "container"}))
	s.traces(team("a"))
	require.NoError(t, s.ConsumeLogs(t.Context(), logsOf(shop, call(nil))))
	items := func(signal, outcome string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("signal", signal), attribute.String("outcome", outcome))}
	}
	metadatatest.AssertEqualConnectorTokenomicsItems(t, telemetry, []metricdata.DataPoint[int64]{
		items("traces", "counted", 3), items("traces", "skipped", 1), items("traces", "malformed", 1), items("traces", "not_applicable", 1),
		items("traces", "deduplicated", 1), items("logs", "counted", 1),
	}, metricdatatest.IgnoreTimestamp())
	by := func(key string, values map[string]int64) (points []metricdata.DataPoint[int64]) {
		for name, value := range values {
			points = append(points, metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attribute.String(key, name))})
		}
		return points
	}
	// One series and the one for the rest; an unpriced call has tokens and no cost.
	metadatatest.AssertEqualConnectorTokenomicsSeries(t, telemetry, by("metric", map[string]int64{
		"tokenomics.span.cost": 2, "tokenomics.span.requests": 2, "tokenomics.span.tokens": 2, "tokenomics.span.unpriced.tokens": 1,
	}), metricdatatest.IgnoreTimestamp())
	// The first class of the first team has the one series: three classes of three calls and two of one, but for one.
	metadatatest.AssertEqualConnectorTokenomicsOverflowed(t, telemetry, by("metric", map[string]int64{
		"tokenomics.span.cost": 2, "tokenomics.span.requests": 3, "tokenomics.span.tokens": 10, "tokenomics.span.unpriced.tokens": 0,
	}), metricdatatest.IgnoreTimestamp())
	s.flushAt(15)
	s.sink.err = assert.AnError
	s.flushAt(30)
	s.sink.err = nil
	s.flushAt(120)
	metadatatest.AssertEqualConnectorTokenomicsFlushes(t, telemetry, by("result", map[string]int64{"sent": 2, "refused": 1}), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualConnectorTokenomicsPoints(t, telemetry, []metricdata.DataPoint[int64]{{Value: 14}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualConnectorTokenomicsEvicted(t, telemetry, by("kind", map[string]int64{"series": 7, "span_id": 0}), metricdatatest.IgnoreTimestamp())
	// Four ids at most: two of this window and two of the one before, which the fifth makes forget.
	s.traces(team("a"), team("a"), team("a"), team("a"), team("a"), team("a"), team("a"))
	metadatatest.AssertEqualConnectorTokenomicsEvicted(t, telemetry, by("kind", map[string]int64{"series": 7, "span_id": 6}), metricdatatest.IgnoreTimestamp())
}

// TestOneConnectorForBothSignals: the collector makes one per signal; two writers of one series would contradict each
// other at the backend.
func TestOneConnectorForBothSignals(t *testing.T) {
	factory, sink := NewFactory(), &consumertest.MetricsSink{}
	cfg := factory.CreateDefaultConfig()
	traces, err := factory.CreateTracesToMetrics(t.Context(), nopSettings(), cfg, sink)
	require.NoError(t, err)
	logs, err := factory.CreateLogsToMetrics(t.Context(), nopSettings(), cfg, sink)
	require.NoError(t, err)
	for _, one := range []component.Component{traces, logs} {
		require.NoError(t, one.Start(t.Context(), componenttest.NewNopHost()))
	}
	require.NoError(t, traces.ConsumeTraces(t.Context(), tracesOf(shop, call(nil))))
	require.NoError(t, logs.ConsumeLogs(t.Context(), logsOf(shop, call(nil))))
	require.NoError(t, traces.Shutdown(t.Context()))
	assert.Empty(t, sink.AllMetrics(), "the logs are still at work")
	require.NoError(t, logs.ConsumeLogs(t.Context(), logsOf(shop, call(nil))))
	require.NoError(t, logs.Shutdown(t.Context()))
	require.Len(t, sink.AllMetrics(), 1)
	assert.Equal(t, map[any]any{"production": 0.0225}, valuesOf(sink.AllMetrics()[0], "tokenomics.span.cost", "deployment.environment.name"))
	// Another pipeline graph of the same configuration, as after a reload, begins anew.
	again, err := factory.CreateTracesToMetrics(t.Context(), nopSettings(), cfg, sink)
	require.NoError(t, err)
	assert.NotSame(t, traces, again)
	require.NoError(t, again.Shutdown(t.Context()))
	other, err := factory.CreateTracesToMetrics(t.Context(), nopSettings(), factory.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	assert.NotSame(t, traces, other)
	require.NoError(t, other.Shutdown(t.Context()))
}

// TestInstanceIsNamed: equal series of two collectors are two streams, by their resource.
func TestInstanceIsNamed(t *testing.T) {
	set := nopSettings()
	set.Resource = pcommon.NewResource()
	set.Resource.Attributes().PutStr("service.instance.id", "collector-7")
	set.BuildInfo.Version = "0.1.0"
	s := staged(t, set)
	defer s.end()
	s.traces(call(nil))
	holder := s.flushAt(15).ResourceMetrics().At(0)
	assert.Equal(t, map[string]any{"collector.instance.id": "collector-7"}, holder.Resource().Attributes().AsRaw())
	assert.Equal(t, "0.1.0", holder.ScopeMetrics().At(0).Scope().Version())
	assert.Equal(t, "github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector", holder.ScopeMetrics().At(0).Scope().Name())
}

// slow holds a flush up until it may go on, or is cancelled.
type slow struct {
	entered, leave chan struct{}
}

func (*slow) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *slow) ConsumeMetrics(ctx context.Context, _ pmetric.Metrics) error {
	s.entered <- struct{}{}
	select {
	case <-s.leave:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestSlowBackendHoldsUpNothing: spans are counted while metrics wait, and a shutdown that has no time ends.
func TestSlowBackendHoldsUpNothing(t *testing.T) {
	backend := &slow{make(chan struct{}), make(chan struct{})}
	tick := make(chan time.Time)
	c, err := newConnector(nopSettings(), createDefaultConfig().(*Config), backend, clock{time.Now, func(time.Duration) (<-chan time.Time, func()) {
		return tick, func() {}
	}})
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, c.ConsumeTraces(t.Context(), tracesOf(shop, call(nil))))
	tick <- morning
	<-backend.entered
	require.NoError(t, c.ConsumeTraces(t.Context(), tracesOf(shop, call(nil))))
	assert.Equal(t, int64(2), c.counters.items[signalTraces][outcomeCounted])
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Shutdown(hurried), context.Canceled)
	<-c.stopped
}

// statusHost is a host that keeps what a component reports of itself.
type statusHost struct {
	component.Host
	events chan componentstatus.Status
}

func (h *statusHost) Report(event *componentstatus.Event) { h.events <- event.Status() }

// TestRefusalIsSaid: a backend that refuses shows in the status of the component, and so does its recovery.
func TestRefusalIsSaid(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	host := &statusHost{componenttest.NewNopHost(), make(chan componentstatus.Status, 9)}
	s.host = host
	s.traces(call(nil))
	s.sink.err = assert.AnError
	s.tick <- morning
	assert.Equal(t, componentstatus.StatusRecoverableError, <-host.events)
	s.sink.err = nil
	s.tick <- morning
	assert.Equal(t, componentstatus.StatusOK, <-host.events)
}

// TestConcurrentBatches: whatever comes at the same time, every span is in exactly one flush.
func TestConcurrentBatches(t *testing.T) {
	const workers, batches = 8, 50
	for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
		s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality = temporality })
		var group sync.WaitGroup
		for worker := range workers {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 1))
				for range batches {
					assert.NoError(t, s.ConsumeTraces(t.Context(), tracesOf(shop, team(string(rune('a'+random.IntN(9)))), unpriced(nil))))
					assert.NoError(t, s.ConsumeLogs(t.Context(), logsOf(shop, call(nil))))
				}
			})
		}
		done := make(chan struct{})
		go func() { group.Wait(); close(done) }()
		for waiting := true; waiting; {
			select {
			case <-done:
				waiting = false
			case s.tick <- morning:
			}
		}
		s.end()
		all := s.sink.AllMetrics()
		sums := map[string]float64{}
		for index, metrics := range all {
			if temporality == temporalityDelta || index == len(all)-1 {
				for name, value := range totals(metrics) {
					sums[name] += value
				}
			}
		}
		assert.InDelta(t, workers*batches*2*0.0075, sums["tokenomics.span.cost"], 1e-9, temporality)
		assert.Equal(t, float64(workers*batches*3), sums["tokenomics.span.requests"], temporality)
		assert.Equal(t, float64(workers*batches*42), sums["tokenomics.span.unpriced.tokens"], temporality)
	}
}
