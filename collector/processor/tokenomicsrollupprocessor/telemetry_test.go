package tokenomicsrollupprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsrollupprocessor/internal/metadatatest"
)

func points(value int64, attrs ...attribute.KeyValue) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attrs...)}
}

// TestTelemetry: every span that came in is somewhere in the counts, and every count has its event.
func TestTelemetry(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	next := &gate{}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 10
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	holder, err := newProcessor(set, cfg, next)
	require.NoError(t, err)
	watch := &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	holder.now, holder.sleep = watch.now, func(context.Context, time.Duration) {}
	require.NoError(t, holder.register())

	// A whole trace of which two pairs are one charge each: by the response and by the nesting.
	response := map[string]any{"gen_ai.response.id": "resp_1"}
	consume(t, holder,
		piece{trace: 1, id: 1}, piece{trace: 1, id: 2, parent: 1, cost: 0.5}, piece{trace: 1, id: 3, parent: 2, cost: 0.5},
		piece{trace: 1, id: 4, parent: 1, cost: 0.25, attrs: response}, piece{trace: 1, id: 5, parent: 1, cost: 0.25, attrs: response},
	)
	watch.add(2 * time.Second)
	holder.tick()
	consume(t, holder, piece{trace: 1, id: 6, parent: 1}) // late
	next.say(func(ptrace.Traces) error { return consumererror.NewPermanent(errDown) })
	consume(t, holder, piece{trace: 2, id: 1})
	watch.add(2 * time.Second)
	holder.tick() // lost
	next.say(down)
	for trace := 3; trace <= 7; trace++ {
		consume(t, holder, piece{trace: trace, id: 1}, piece{trace: trace, id: 2, parent: 1})
	}
	require.Error(t, holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 8, id: 1}))) // refused

	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualProcessorTokenomicsRollupReceivedSpans(t, telemetry, []metricdata.DataPoint[int64]{points(5 + 1 + 1 + 10)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupReleasedSpans(t, telemetry, []metricdata.DataPoint[int64]{points(6)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupHeldSpans(t, telemetry, []metricdata.DataPoint[int64]{points(10)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupHeldTraces(t, telemetry, []metricdata.DataPoint[int64]{points(4)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupLateSpans(t, telemetry, []metricdata.DataPoint[int64]{points(1)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupRefusedSpans(t, telemetry, []metricdata.DataPoint[int64]{points(1)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupMalformedTraces(t, telemetry, []metricdata.DataPoint[int64]{points(0)}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupLostSpans(t, telemetry, []metricdata.DataPoint[int64]{
		points(1, attribute.String("cause", "permanent_error")), points(0, attribute.String("cause", "shutdown")),
	}, ignore)
	metadatatest.AssertEqualProcessorTokenomicsRollupDedup(t, telemetry, []metricdata.DataPoint[int64]{
		points(1, attribute.String("rule", "response_id")), points(1, attribute.String("rule", "nested")),
	}, ignore)
	released := func(count int64, complete bool, why string) metricdata.DataPoint[int64] {
		return points(count, attribute.Bool("complete", complete), attribute.String("released", why))
	}
	metadatatest.AssertEqualProcessorTokenomicsRollupTraces(t, telemetry, []metricdata.DataPoint[int64]{
		released(2, true, "root"), released(1, false, "late"), released(1, false, "max_spans"),
	}, ignore)
	next.say(nil)
	require.NoError(t, holder.Shutdown(t.Context()))
	balanced(t, holder)
}

// TestItRunsByItself: a started processor releases what is due without anybody asking, and ends with its loop.
func TestItRunsByItself(t *testing.T) {
	arrived := make(chan int, 1)
	next, err := consumerOf(func(traces ptrace.Traces) { arrived <- traces.SpanCount() })
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	cfg.WaitAfterRoot = 0
	traces, err := NewFactory().CreateTraces(t.Context(), nopSettings(), cfg, next)
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
	assert.True(t, traces.Capabilities().MutatesData)
	require.NoError(t, traces.ConsumeTraces(t.Context(), batchOf(piece{trace: 1, id: 1})))
	select {
	case count := <-arrived:
		assert.Equal(t, 1, count)
	case <-time.After(20 * time.Second):
		t.Error("nothing came")
	}
	require.NoError(t, traces.Shutdown(t.Context()))
}

// TestSleepEnds with its context.
func TestSleepEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sleep(ctx, time.Hour)
	sleep(t.Context(), 0)
}

// TestTheBatchOfOneSenderOutlivesIt: what is handed on for others must not fail because one sender gave up.
func TestTheBatchOfOneSenderOutlivesIt(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 1
	sink := &consumertest.TracesSink{}
	holder, _ := still(t, cfg, sink)
	consume(t, holder, piece{trace: 1, id: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, holder.ConsumeTraces(ctx, batchOf(piece{trace: 2, id: 1})))
	require.Len(t, sink.Contexts(), 1)
	assert.NoError(t, sink.Contexts()[0].Err())
}
