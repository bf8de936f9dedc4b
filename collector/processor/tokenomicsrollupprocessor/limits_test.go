package tokenomicsrollupprocessor

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestMaxSpans: above the limit the oldest traces go on early, flagged, and are never dropped.
func TestMaxSpans(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 10
	next := &gate{}
	holder, clock := still(t, cfg, next)
	for trace := 1; trace <= 5; trace++ {
		consume(t, holder, piece{trace: trace, id: 2, parent: 1, cost: 0.5}, piece{trace: trace, id: 1})
		clock.add(time.Millisecond)
	}
	require.Zero(t, next.SpanCount(), "just full")
	consume(t, holder, piece{trace: 1, id: 3, parent: 1}, piece{trace: 6, id: 1}, piece{trace: 7, id: 1})
	require.Equal(t, 5, next.SpanCount(), "traces 1 and 2, which came first, made room for three spans, and one of these is late")
	got := bears(next.AllTraces())
	root := got[[2]int{1, 1}]
	assert.Equal(t, 0.5, root["tokenomics.trace.cost.total"])
	assert.Equal(t, false, root["tokenomics.trace.complete"])
	assert.Equal(t, true, root["tokenomics.subtree.partial"])
	assert.Contains(t, got, [2]int{2, 1})
	assert.Contains(t, got, [2]int{1, 3})
	assert.Equal(t, 8, holder.held)
	assert.Equal(t, int64(2), tally(holder, causeMaxSpans, 0))
	balanced(t, holder)
}

// TestABatchAboveTheLimit is taken all the same when nothing else is held: it is here already.
func TestABatchAboveTheLimit(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 10
	next := &gate{}
	holder, _ := still(t, cfg, next)
	var pieces []piece
	for trace := 1; trace <= 100; trace++ {
		pieces = append(pieces, piece{trace: trace, id: 1})
	}
	consume(t, holder, pieces...)
	assert.Equal(t, 100, holder.held)
	consume(t, holder, piece{trace: 200, id: 1})
	assert.LessOrEqual(t, holder.held, 10)
	balanced(t, holder)
}

// TestAMillionSpansOfOneTrace: the first hundred thousand go on early when they are there, the others at once.
func TestAMillionSpansOfOneTrace(t *testing.T) {
	holder, _ := still(t, createDefaultConfig().(*Config), consumertest.NewNop())
	const batch, batches = 10_000, 100
	for number := range batches {
		traces := ptrace.NewTraces()
		spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		spans.EnsureCapacity(batch)
		for index := range batch {
			span := spans.AppendEmpty()
			span.SetTraceID(traceID(1))
			span.SetSpanID(spanID(number*batch + index + 1))
			span.SetParentSpanID(spanID((number*batch + index) / 2))
		}
		require.NoError(t, holder.ConsumeTraces(t.Context(), traces))
		require.LessOrEqual(t, holder.held, 100_000)
	}
	assert.Equal(t, int64(batch*batches), holder.counts.released.Load())
	assert.Equal(t, int64(900_000), holder.counts.late.Load())
	assert.Equal(t, int64(1), tally(holder, causeMaxSpansPerTrace, 0))
	assert.Zero(t, holder.held)
	assert.Empty(t, holder.shelf.byID)
}

// TestManySmallTraces: what is remembered of traces that went on is bounded.
func TestManySmallTraces(t *testing.T) {
	holder, clock := still(t, createDefaultConfig().(*Config), consumertest.NewNop())
	const rounds, traces = 30, 5000
	for round := range rounds {
		pieces := make([]piece, traces)
		for index := range pieces {
			pieces[index] = piece{trace: 1 + round*traces + index, id: 1}
		}
		consume(t, holder, pieces...)
		clock.add(2 * time.Second)
		holder.tick()
	}
	assert.Equal(t, int64(rounds*traces), tally(holder, causeRoot, 1))
	assert.Len(t, holder.shelf.recent.ids, maxRecent)
	assert.Len(t, holder.shelf.recent.ring, maxRecent)
	assert.True(t, holder.shelf.recent.has(traceID(rounds*traces)))
	assert.False(t, holder.shelf.recent.has(traceID(1)))
	assert.Zero(t, holder.held)
}

// TestManyOrigins: spans that all come from different places are not compared with each other for ever.
func TestManyOrigins(t *testing.T) {
	const places = 20_000
	pieces := make([]piece, places)
	for index := range pieces {
		pieces[index] = piece{trace: 1, id: index + 1, parent: index, service: time.Duration(index).String()}
	}
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, createDefaultConfig().(*Config), sink)
	consume(t, holder, pieces...)
	clock.add(time.Minute)
	holder.tick()
	assert.Equal(t, places, sink.SpanCount())
	assert.Empty(t, holder.shelf.origins)
}

// TestConservation: however traces are cut into batches, shuffled and delivered twice, the totals of the complete traces
// are the sum of the own costs of their spans, and no span is lost.
func TestConservation(t *testing.T) {
	chance := rand.New(rand.NewPCG(11, 7))
	for range 40 {
		var pieces []piece
		costs := map[int]int64{}
		for trace := 1; trace <= 20; trace++ {
			size := 1 + chance.IntN(30)
			for id := 1; id <= size; id++ {
				next := piece{trace: trace, id: id, service: string(rune('a' + chance.IntN(3)))}
				if id > 1 {
					next.parent = 1 + chance.IntN(id-1)
				}
				if id > 1 && chance.IntN(3) == 0 {
					// Distinct amounts and response ids: each is a call of its own.
					micros := int64(chance.IntN(9999) + 1)
					costs[trace] += micros
					next.cost = float64(micros) / 1e6
					next.attrs = map[string]any{"gen_ai.response.id": time.Duration(trace*1000 + id).String()}
				}
				pieces = append(pieces, next)
				if chance.IntN(10) == 0 {
					pieces = append(pieces, next)
				}
			}
		}
		chance.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		sink := &consumertest.TracesSink{}
		holder, clock := still(t, createDefaultConfig().(*Config), sink)
		for left := pieces; len(left) > 0; {
			size := min(len(left), 1+chance.IntN(50))
			consume(t, holder, left[:size]...)
			left = left[size:]
		}
		clock.add(2 * time.Second)
		holder.tick()
		require.Equal(t, len(pieces), sink.SpanCount())
		got := bears(sink.AllTraces())
		for trace := 1; trace <= 20; trace++ {
			root := got[[2]int{trace, 1}]
			if costs[trace] == 0 {
				require.NotContains(t, root, "tokenomics.trace.cost.total")
				continue
			}
			require.Equal(t, costs[trace], root["tokenomics.trace.cost.total_micros"])
			require.Equal(t, float64(costs[trace])/1e6, root["tokenomics.trace.cost.total"])
		}
	}
}

// TestManySendersAtOnce: with a small limit, a next component that fails at times, the clock running and a shutdown in
// the midst, every span that was taken in leaves or is counted.
func TestManySendersAtOnce(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans, cfg.MaxSpansPerTrace = 200, 50
	next := &gate{}
	holder, clock := still(t, cfg, next)
	require.NoError(t, holder.Start(t.Context(), nil))
	chance := rand.New(rand.NewPCG(1, 2))
	next.say(func(ptrace.Traces) error {
		switch chance.IntN(20) {
		case 0:
			return errDown
		case 1:
			return consumererror.NewPermanent(errDown)
		}
		return nil
	})
	var senders sync.WaitGroup
	for sender := range 4 {
		senders.Go(func() {
			for number := range 300 {
				var pieces []piece
				for id := 1; id <= 10; id++ {
					pieces = append(pieces, piece{trace: 1 + (number*7+id)%60, id: sender*100_000 + number*10 + id, parent: id % 3, cost: 0.001})
				}
				if err := holder.ConsumeTraces(t.Context(), batchOf(pieces...)); err != nil && !errors.Is(err, errClosed) {
					clock.add(time.Second)
				}
				clock.add(20 * time.Millisecond)
				holder.tick()
			}
		})
	}
	senders.Wait()
	_ = holder.Shutdown(t.Context())
	balanced(t, holder)
	assert.Zero(t, holder.held)
	assert.Equal(t, holder.counts.released.Load(), int64(next.SpanCount()))
	assert.Positive(t, holder.counts.released.Load())
	assert.Equal(t, int64(4*300*10), holder.counts.received.Load()+holder.counts.refused.Load())
	assert.Empty(t, holder.shelf.byID)
	assert.Empty(t, holder.shelf.origins)
}

var _ consumer.Traces = (*gate)(nil)
