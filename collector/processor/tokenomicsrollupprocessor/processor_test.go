package tokenomicsrollupprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// consume sends pieces as one batch.
func consume(t *testing.T, holder *rollupProcessor, pieces ...piece) {
	t.Helper()
	require.NoError(t, holder.ConsumeTraces(t.Context(), batchOf(pieces...)))
}

func tally(holder *rollupProcessor, why cause, complete int) int64 {
	return holder.counts.traces[why][complete].Load()
}

// TestReleaseRules: when a trace goes on, counted from its first span, its last span or its root.
func TestReleaseRules(t *testing.T) {
	type arrival struct {
		after time.Duration
		piece piece
	}
	for name, test := range map[string]struct {
		arrivals []arrival
		held     time.Duration // after the last arrival it is still held
		gone     time.Duration // and then it is not
		why      cause
		complete int
	}{
		"the root came and nothing is missing": {
			[]arrival{{0, piece{id: 2, parent: 1}}, {5 * time.Second, piece{id: 1}}}, 1900 * time.Millisecond, 2 * time.Second, causeRoot, 1,
		},
		"the missing parent comes in time": {
			[]arrival{{0, piece{id: 1}}, {time.Second, piece{id: 3, parent: 2}}, {0, piece{id: 2, parent: 1}}},
			900 * time.Millisecond, time.Second, causeRoot, 1,
		},
		"the missing parent comes late, after which nothing is to be waited for": {
			[]arrival{{0, piece{id: 1}}, {0, piece{id: 3, parent: 2}}, {5 * time.Second, piece{id: 2, parent: 1}}}, -1, 0, causeRoot, 1,
		},
		"a parent is missing": {
			[]arrival{{0, piece{id: 1}}, {0, piece{id: 3, parent: 2}}}, 9900 * time.Millisecond, 10 * time.Second, causeIdle, 0,
		},
		"no root": {
			[]arrival{{0, piece{id: 3, parent: 2}}, {9 * time.Second, piece{id: 4, parent: 3}}}, 9900 * time.Millisecond, 10 * time.Second, causeIdle, 0,
		},
		"the root comes twice": {
			[]arrival{{0, piece{id: 1}}, {1500 * time.Millisecond, piece{id: 1}}}, 400 * time.Millisecond, 500 * time.Millisecond, causeRoot, 1,
		},
		"a span of its own parent waits for nobody": {
			[]arrival{{0, piece{id: 1}}, {0, piece{id: 2, parent: 2}}}, 1900 * time.Millisecond, 2 * time.Second, causeRoot, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &consumertest.TracesSink{}
			holder, clock := still(t, createDefaultConfig().(*Config), sink)
			for _, arrival := range test.arrivals {
				clock.add(arrival.after)
				holder.tick()
				arrival.piece.trace = 1
				consume(t, holder, arrival.piece)
			}
			if test.held >= 0 {
				clock.add(test.held)
				holder.tick()
				require.Zero(t, sink.SpanCount(), "too early")
			}
			clock.add(test.gone - max(0, test.held))
			holder.tick()
			require.Equal(t, len(test.arrivals), sink.SpanCount())
			assert.Equal(t, int64(1), tally(holder, test.why, test.complete))
			assert.Zero(t, holder.held)
			assert.Empty(t, holder.shelf.byID)
			assert.Empty(t, holder.shelf.origins)
		})
	}
}

// TestMaxWait: a trace of which spans come again and again goes on after five minutes, flagged; the rest of it is late.
func TestMaxWait(t *testing.T) {
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, createDefaultConfig().(*Config), sink)
	for number := range 60 {
		consume(t, holder, piece{trace: 1, id: 100 + number, parent: 2, cost: 1})
		clock.add(5 * time.Second)
		holder.tick()
	}
	require.Equal(t, 60, sink.SpanCount())
	assert.Equal(t, int64(1), tally(holder, causeMaxWait, 0))
	consume(t, holder, piece{trace: 1, id: 2, parent: 1}, piece{trace: 1, id: 1})
	require.Equal(t, 62, sink.SpanCount(), "a late span passes at once")
	assert.Equal(t, int64(2), holder.counts.late.Load())
	root := bears(sink.AllTraces())[[2]int{1, 1}]
	assert.Equal(t, map[string]any{"tokenomics.trace.complete": false}, root)
}

// TestLateGroup: spans whose trace has gone on pass at once, with their own cost; what stands together still adds up,
// and says that it is a part.
func TestLateGroup(t *testing.T) {
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, createDefaultConfig().(*Config), sink)
	consume(t, holder, piece{trace: 1, id: 1}, piece{trace: 1, id: 2, parent: 1, cost: 0.002})
	clock.add(2 * time.Second)
	holder.tick()
	require.Equal(t, int64(1), tally(holder, causeRoot, 1))
	consume(t, holder,
		piece{trace: 1, id: 5, parent: 4, cost: 0.003}, piece{trace: 2, id: 9, parent: 8}, piece{trace: 1, id: 4, parent: 1},
		piece{trace: 1, id: 6, parent: 4, cost: 0.004},
	)
	require.Equal(t, 5, sink.SpanCount(), "trace 2 is held, the three others passed")
	got := bears(sink.AllTraces())
	assert.Equal(t, 0.002, got[[2]int{1, 1}]["tokenomics.trace.cost.total"], "not repaired")
	assert.Equal(t, 0.003, got[[2]int{1, 5}]["tokenomics.cost.total"])
	assert.Equal(t, map[string]any{"tokenomics.subtree.cost.total": 0.007, "tokenomics.subtree.partial": true}, got[[2]int{1, 4}])
	assert.Equal(t, int64(3), holder.counts.late.Load())
	assert.Equal(t, int64(1), tally(holder, causeLate, 0))
	assert.Equal(t, 1, holder.held)
}

// TestALateRootKeepsWhatTheSDKSaw: the SDK's totals of the whole process are a better lower bound than what is left.
func TestALateRootKeepsWhatTheSDKSaw(t *testing.T) {
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, createDefaultConfig().(*Config), sink)
	consume(t, holder, piece{trace: 1, id: 2, parent: 1, cost: 0.5})
	clock.add(10 * time.Second)
	holder.tick()
	consume(t, holder, piece{trace: 1, id: 3, parent: 1, cost: 0.25}, piece{trace: 1, id: 1, attrs: map[string]any{
		"tokenomics.subtree.cost.total": 0.75, "tokenomics.subtree.partial": false, "tokenomics.trace.cost.total": 0.75,
		"tokenomics.trace.llm_calls": 2, "tokenomics.trace.unpriced_calls": 0, "tokenomics.trace.tokens.input": 2000,
		"tokenomics.trace.tokens.output": 200, "tokenomics.trace.top_model": "gpt-4o",
	}})
	assert.Equal(t, map[string]any{
		"tokenomics.subtree.cost.total": 0.75, "tokenomics.subtree.partial": true, "tokenomics.trace.cost.total": 0.75,
		"tokenomics.trace.cost.total_micros": int64(750_000), "tokenomics.trace.complete": false,
		"tokenomics.trace.llm_calls": int64(2), "tokenomics.trace.unpriced_calls": int64(0), "tokenomics.trace.tokens.input": int64(2000),
		"tokenomics.trace.tokens.output": int64(200), "tokenomics.trace.top_model": "gpt-4o",
	}, bears(sink.AllTraces())[[2]int{1, 1}])
}

// TestTheSDKSawMoreCalls: a trace from which a filter, or another instance, took calls has no missing parent; the SDK's
// count of them tells. Calls that were taken back as repeated are not missing.
func TestTheSDKSawMoreCalls(t *testing.T) {
	root := func(calls int) piece {
		return piece{trace: 1, id: 1, attrs: map[string]any{
			"tokenomics.subtree.cost.total": 0.75, "tokenomics.trace.cost.total": 0.75, "tokenomics.trace.llm_calls": calls,
		}}
	}
	repeated := map[string]any{"gen_ai.response.id": "r1"}
	for _, one := range []struct {
		name     string
		pieces   []piece
		complete bool
		total    float64
	}{
		{"all are here", []piece{root(1), {trace: 1, id: 2, parent: 1, cost: 0.5}}, true, 0.5},
		{"one is elsewhere", []piece{root(2), {trace: 1, id: 2, parent: 1, cost: 0.5}}, false, 0.75},
		{"one was taken back", []piece{
			root(2), {trace: 1, id: 2, parent: 1, cost: 0.5, attrs: repeated}, {trace: 1, id: 3, parent: 2, cost: 0.5, attrs: repeated},
		}, true, 0.5},
	} {
		t.Run(one.name, func(t *testing.T) {
			got := bears(through(t, createDefaultConfig().(*Config), batchOf(one.pieces...)))[[2]int{1, 1}]
			assert.Equal(t, one.complete, got["tokenomics.trace.complete"])
			assert.Equal(t, !one.complete, got["tokenomics.subtree.partial"])
			assert.Equal(t, one.total, got["tokenomics.trace.cost.total"])
		})
	}
}

// TestTracesDoNotMix: many traces in one batch, of which each gets its own totals.
func TestTracesDoNotMix(t *testing.T) {
	var pieces []piece
	for trace := 1; trace <= 50; trace++ {
		pieces = append(pieces, piece{trace: trace, id: 2, parent: 1, cost: float64(trace) / 1000, service: "a"})
	}
	for trace := 50; trace >= 1; trace-- {
		pieces = append(pieces, piece{trace: trace, id: 1, service: "b"})
	}
	out := through(t, createDefaultConfig().(*Config), batchOf(pieces...))
	require.Len(t, out, 1, "what is due together leaves together")
	assert.Equal(t, 2, out[0].ResourceSpans().Len(), "equal resources of all traces are one")
	got := bears(out)
	for trace := 1; trace <= 50; trace++ {
		root := got[[2]int{trace, 1}]
		assert.Equal(t, float64(trace)/1000, root["tokenomics.trace.cost.total"])
		assert.Equal(t, int64(1), root["tokenomics.trace.llm_calls"])
	}
}

// TestLargeTracesLeaveAlone: a payload is not larger than it must be.
func TestLargeTracesLeaveAlone(t *testing.T) {
	var pieces []piece
	for trace := 1; trace <= 3; trace++ {
		for id := 1; id <= 700; id++ {
			pieces = append(pieces, piece{trace: trace, id: id, parent: id - 1})
		}
	}
	out := through(t, createDefaultConfig().(*Config), batchOf(pieces...))
	require.Len(t, out, 3)
	for _, traces := range out {
		assert.Equal(t, 700, traces.SpanCount())
	}
}

// TestLinksAreNoParents: a span that links to another trace belongs to its own.
func TestLinksAreNoParents(t *testing.T) {
	batch := batchOf(piece{trace: 1, id: 1}, piece{trace: 2, id: 1}, piece{trace: 2, id: 2, parent: 1, cost: 0.5})
	spans := batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	link := spans.At(2).Links().AppendEmpty()
	link.SetTraceID(traceID(1))
	link.SetSpanID(spanID(1))
	out := through(t, createDefaultConfig().(*Config), batch)
	got := bears(out)
	assert.Empty(t, got[[2]int{1, 1}])
	assert.Equal(t, 0.5, got[[2]int{2, 1}]["tokenomics.trace.cost.total"])
	assert.Equal(t, 1, out[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(2).Links().Len())
}

// TestSpansWithoutATraceID are of no trace: they pass at once, and never wait for one another.
func TestSpansWithoutATraceID(t *testing.T) {
	sink := &consumertest.TracesSink{}
	holder, _ := still(t, createDefaultConfig().(*Config), sink)
	consume(t, holder, piece{id: 1, cost: 1}, piece{id: 2, parent: 9, cost: 1})
	assert.Equal(t, 2, sink.SpanCount())
	assert.Zero(t, holder.held)
}

// TestEmptyBatches hold nothing and keep nothing.
func TestEmptyBatches(t *testing.T) {
	holder, _ := still(t, createDefaultConfig().(*Config), &consumertest.TracesSink{})
	batch := ptrace.NewTraces()
	batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	require.NoError(t, holder.ConsumeTraces(t.Context(), batch))
	require.NoError(t, holder.ConsumeTraces(t.Context(), ptrace.NewTraces()))
	assert.Zero(t, holder.held)
	assert.Empty(t, holder.shelf.origins)
}

// TestDedupeMayBeOff: then every span keeps what it bears.
func TestDedupeMayBeOff(t *testing.T) {
	for dedupe, want := range map[bool]float64{true: 0.5, false: 1} {
		cfg := createDefaultConfig().(*Config)
		cfg.DedupeNested = dedupe
		out := through(t, cfg, batchOf(piece{trace: 1, id: 1}, piece{trace: 1, id: 2, parent: 1, cost: 0.5}, piece{trace: 1, id: 3, parent: 2, cost: 0.5}))
		assert.Equal(t, want, bears(out)[[2]int{1, 1}]["tokenomics.trace.cost.total"])
	}
}

// TestGroupedPassesAtOnce: a batch of whole traces goes on within the call, and an error comes back to the sender.
func TestGroupedPassesAtOnce(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Grouped = true
	sink := &consumertest.TracesSink{}
	holder, _ := still(t, cfg, sink)
	require.NoError(t, holder.Start(t.Context(), nil))
	consume(t, holder, piece{trace: 1, id: 2, parent: 1, cost: 0.5}, piece{trace: 2, id: 1, cost: 0.25}, piece{trace: 1, id: 1})
	got := bears(sink.AllTraces())
	assert.Equal(t, 0.5, got[[2]int{1, 1}]["tokenomics.trace.cost.total"])
	assert.Equal(t, true, got[[2]int{1, 1}]["tokenomics.trace.complete"])
	assert.Equal(t, 0.25, got[[2]int{2, 1}]["tokenomics.trace.cost.total"])
	assert.Equal(t, int64(2), tally(holder, causeGrouped, 1))
	require.NoError(t, holder.Shutdown(t.Context()))

	failing := consumertest.NewErr(assert.AnError)
	holder, _ = still(t, cfg, failing)
	require.ErrorIs(t, holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 1, id: 1})), assert.AnError)
	assert.Equal(t, int64(1), holder.counts.refused.Load())
	assert.Zero(t, holder.counts.received.Load())
}

// TestClockGoesBackwards: where it is set back, nothing is held longer for it, and nothing leaves early.
func TestClockGoesBackwards(t *testing.T) {
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, createDefaultConfig().(*Config), sink)
	consume(t, holder, piece{trace: 1, id: 1})
	clock.add(time.Second)
	consume(t, holder, piece{trace: 2, id: 1})
	clock.add(-time.Hour)
	holder.tick()
	require.Zero(t, sink.SpanCount())
	clock.add(time.Second)
	holder.tick()
	require.Equal(t, 1, sink.SpanCount())
	clock.add(time.Second)
	holder.tick()
	assert.Equal(t, 2, sink.SpanCount())
}

// TestWhatAnEarlierStepSawIsReplaced: where the trace is whole, its own sums hold, also where they are smaller, and what
// was said of a span with nothing below it goes.
func TestWhatAnEarlierStepSawIsReplaced(t *testing.T) {
	earlier := map[string]any{
		"tokenomics.subtree.cost.total": 9.5, "tokenomics.subtree.partial": true, "tokenomics.trace.cost.total": 9.5,
		"tokenomics.trace.llm_calls": 1, "tokenomics.trace.top_model": "gpt-5.4", "app": "x",
	}
	out := through(t, createDefaultConfig().(*Config), batchOf(
		piece{trace: 1, id: 1, attrs: earlier}, piece{trace: 1, id: 2, parent: 1, attrs: earlier},
		piece{trace: 1, id: 3, parent: 1, cost: 0.5},
	))
	got := bears(out)
	assert.Equal(t, map[string]any{"app": "x"}, got[[2]int{1, 2}])
	assert.Equal(t, map[string]any{
		"app": "x", "tokenomics.subtree.cost.total": 0.5, "tokenomics.subtree.partial": false, "tokenomics.trace.complete": true,
		"tokenomics.trace.cost.total": 0.5, "tokenomics.trace.cost.total_micros": int64(500_000), "tokenomics.trace.llm_calls": int64(1),
		"tokenomics.trace.unpriced_calls": int64(0), "tokenomics.trace.tokens.input": int64(1000), "tokenomics.trace.tokens.output": int64(100),
		"tokenomics.trace.top_model": "gpt-4o",
	}, got[[2]int{1, 1}])
}
