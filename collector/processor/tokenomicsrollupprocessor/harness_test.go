package tokenomicsrollupprocessor

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(step)
}

func nopSettings() processor.Settings {
	return processortest.NewNopSettings(component.MustNewType("tokenomics_rollup"))
}

// still makes a processor whose clock stands still until the test moves it: nothing runs beside the test.
func still(t testing.TB, cfg *Config, next consumer.Traces) (*rollupProcessor, *clock) {
	t.Helper()
	require.NoError(t, cfg.Validate())
	made, err := newProcessor(nopSettings(), cfg, next)
	require.NoError(t, err)
	watch := &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	made.now, made.sleep = watch.now, func(context.Context, time.Duration) {}
	return made, watch
}

// piece is one span of a test.
type piece struct {
	trace, id, parent int
	// cost makes it a priced model call, in USD.
	cost  float64
	attrs map[string]any
	// service is its resource.
	service string
}

// batchOf builds one batch; spans of one service share a resource.
func batchOf(pieces ...piece) ptrace.Traces {
	batch := ptrace.NewTraces()
	homes := map[string]ptrace.SpanSlice{}
	for _, piece := range pieces {
		spans, there := homes[piece.service]
		if !there {
			resource := batch.ResourceSpans().AppendEmpty()
			if piece.service != "" {
				resource.Resource().Attributes().PutStr("service.name", piece.service)
			}
			spans = resource.ScopeSpans().AppendEmpty().Spans()
			homes[piece.service] = spans
		}
		span := spans.AppendEmpty()
		if piece.trace > 0 {
			span.SetTraceID(traceID(piece.trace))
		}
		span.SetSpanID(spanID(piece.id))
		if piece.parent > 0 {
			span.SetParentSpanID(spanID(piece.parent))
		}
		span.SetStartTimestamp(pcommon.Timestamp(1000 + piece.id))
		span.SetEndTimestamp(pcommon.Timestamp(2000 + piece.id))
		if piece.cost > 0 {
			call(span, piece.cost)
		}
		for key, value := range piece.attrs {
			_ = span.Attributes().PutEmpty(key).FromRaw(value)
		}
	}
	return batch
}

// bears returns what the spans of some payloads bear, by trace and span.
func bears(all []ptrace.Traces) map[[2]int]map[string]any {
	found := map[[2]int]map[string]any{}
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					found[numbersOf(span)] = span.Attributes().AsRaw()
				}
			}
		}
	}
	return found
}

func numbersOf(span ptrace.Span) [2]int {
	trace, id := span.TraceID(), span.SpanID()
	const inverse = 0xf1de83e19937733d // of the factor of traceID, modulo 2^64
	return [2]int{int(binary.BigEndian.Uint64(trace[8:]) * inverse), int(binary.BigEndian.Uint64(id[:]))}
}

// consumerOf is a next component that takes everything.
func consumerOf(took func(ptrace.Traces)) (consumer.Traces, error) {
	return consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error {
		took(traces)
		return nil
	})
}
