package tokenomicsrollupprocessor

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// gate is a next component that answers as the test says.
type gate struct {
	consumertest.TracesSink
	mu     sync.Mutex
	answer func(ptrace.Traces) error
	calls  int
}

func (g *gate) say(answer func(ptrace.Traces) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

func (g *gate) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	if g.answer != nil {
		if err := g.answer(traces); err != nil {
			return err
		}
	}
	return g.TracesSink.ConsumeTraces(ctx, traces)
}

var (
	errDown   = errors.New("backend is down")
	down      = func(ptrace.Traces) error { return errDown }
	permanent = func(ptrace.Traces) error { return consumererror.NewPermanent(errDown) }
)

// balanced checks the promise: what was taken in went out, is held, or is counted as lost.
func balanced(t *testing.T, holder *rollupProcessor) {
	t.Helper()
	lost := holder.counts.lost[lostForGood].Load() + holder.counts.lost[lostAtShutdown].Load()
	assert.Equal(t, holder.counts.received.Load(), holder.counts.released.Load()+lost+int64(holder.heldSpans()))
}

// TestADeadBackend: what cannot be handed on is kept and tried again after a pause; when the limit is reached, the sender
// is told to come again; and when the backend is back everything arrives.
func TestADeadBackend(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 6
	next := &gate{}
	core, logs := observer.New(zap.WarnLevel)
	holder, clock := still(t, cfg, next)
	holder.logger = zap.New(core)
	next.say(down)
	for trace := 1; trace <= 3; trace++ {
		consume(t, holder, piece{trace: trace, id: 2, parent: 1, cost: 0.5}, piece{trace: trace, id: 1})
	}
	clock.add(3 * time.Second)
	holder.tick()
	require.Equal(t, 1, next.calls)
	require.Equal(t, 6, holder.held)
	holder.tick()
	require.Equal(t, 1, next.calls, "nothing is tried during the pause")
	err := holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 9, id: 1}))
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, `"max_spans"`)
	require.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, int64(1), holder.counts.refused.Load())
	require.Equal(t, 1, next.calls)
	clock.add(time.Second)
	require.ErrorIs(t, holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 9, id: 1})), errDown)
	require.Equal(t, 2, next.calls, "after the pause the sender's call tries again")
	clock.add(2 * time.Second)
	next.say(nil)
	consume(t, holder, piece{trace: 9, id: 1})
	assert.Equal(t, 6, next.SpanCount())
	balanced(t, holder)
	clock.add(3 * time.Second)
	holder.tick()
	assert.Equal(t, 7, next.SpanCount())
	assert.Zero(t, holder.held)
	assert.Equal(t, int64(2), holder.counts.refused.Load())
	require.Equal(t, 1, logs.Len(), "said once, not once per attempt")
	root := bears(next.AllTraces())[[2]int{1, 1}]
	assert.Equal(t, true, root["tokenomics.trace.complete"], "that it had to wait changes nothing about the trace")
}

// TestPauses double up to half a minute, and a success ends them.
func TestPauses(t *testing.T) {
	var q queue
	var pauses []time.Duration
	for range 7 {
		q.failed(errDown, 0)
		pauses = append(pauses, q.pause)
	}
	assert.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}, pauses)
	assert.True(t, q.pausing(29e9))
	assert.False(t, q.pausing(30e9))
	q.recovered()
	assert.False(t, q.pausing(0))
	q.failed(errDown, 0)
	assert.Equal(t, time.Second, q.pause)
}

// TestLateSpansOfADeadBackend are kept as well: their sender was told that they are taken.
func TestLateSpansOfADeadBackend(t *testing.T) {
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	consume(t, holder, piece{trace: 1, id: 1})
	clock.add(2 * time.Second)
	holder.tick()
	next.say(down)
	consume(t, holder, piece{trace: 1, id: 2, parent: 1})
	consume(t, holder, piece{trace: 1, id: 3, parent: 1})
	assert.Equal(t, 2, holder.held)
	assert.Equal(t, 2, next.calls, "the second is not tried within the pause")
	next.say(nil)
	clock.add(time.Second)
	holder.tick()
	assert.Equal(t, 3, next.SpanCount())
	balanced(t, holder)
}

// TestOneBadPayload: what the next component refuses again and again does not hold up what it would take.
func TestOneBadPayload(t *testing.T) {
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	poison := func(traces ptrace.Traces) error {
		if _, there := bears([]ptrace.Traces{traces})[[2]int{13, 1}]; there {
			return errDown
		}
		return nil
	}
	next.say(poison)
	consume(t, holder, piece{trace: 13, id: 1})
	clock.add(2 * time.Second)
	holder.tick()
	for trace := 20; trace < 40; trace++ {
		consume(t, holder, piece{trace: trace, id: 1})
		clock.add(3 * time.Second)
		holder.tick()
	}
	assert.Equal(t, 1, holder.held, "the one that nobody wants")
	assert.Equal(t, 20, next.SpanCount())
	next.say(nil)
	clock.add(time.Minute)
	holder.tick()
	assert.Zero(t, holder.held)
	balanced(t, holder)
}

// TestAPartOfAPayloadIsRefused: only that part is sent again.
func TestAPartOfAPayloadIsRefused(t *testing.T) {
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	next.say(func(traces ptrace.Traces) error {
		part := ptrace.NewTraces()
		traces.CopyTo(part)
		part.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(span ptrace.Span) bool { return numbersOf(span)[0] != 2 })
		return consumererror.NewTraces(errDown, part)
	})
	consume(t, holder, piece{trace: 1, id: 1}, piece{trace: 2, id: 1}, piece{trace: 3, id: 1})
	clock.add(2 * time.Second)
	holder.tick()
	assert.Equal(t, 1, holder.held)
	assert.Equal(t, int64(2), holder.counts.released.Load())
	next.say(nil)
	clock.add(time.Second)
	holder.tick()
	assert.Contains(t, bears(next.AllTraces()), [2]int{2, 1})
	assert.Equal(t, 1, next.SpanCount())
	balanced(t, holder)
}

// TestAPermanentErrorIsALossThatIsCounted: it will never be taken, so it must not fill the memory; it is said aloud.
func TestAPermanentErrorIsALossThatIsCounted(t *testing.T) {
	next := &gate{}
	core, logs := observer.New(zap.ErrorLevel)
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	holder.logger = zap.New(core)
	next.say(permanent)
	consume(t, holder, piece{trace: 1, id: 1}, piece{trace: 1, id: 2, parent: 1})
	clock.add(2 * time.Second)
	holder.tick()
	assert.Zero(t, holder.held)
	assert.Equal(t, int64(2), holder.counts.lost[lostForGood].Load())
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, int64(2), logs.All()[0].ContextMap()["spans"])
	next.say(nil)
	consume(t, holder, piece{trace: 2, id: 1})
	clock.add(2 * time.Second)
	holder.tick()
	assert.Equal(t, 1, next.SpanCount(), "no pause after it")
	balanced(t, holder)
}

// TestShutdownHandsEverythingOn: what is held, and what waited for a backend that came back, flagged where it was early.
func TestShutdownHandsEverythingOn(t *testing.T) {
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	next.say(down)
	consume(t, holder, piece{trace: 1, id: 1, cost: 0.5})
	clock.add(2 * time.Second)
	holder.tick()
	consume(t, holder, piece{trace: 2, id: 1}, piece{trace: 2, id: 2, parent: 1, cost: 0.25})
	attempts := 0
	next.say(func(ptrace.Traces) error {
		if attempts++; attempts < 4 {
			return errDown
		}
		return nil
	})
	require.NoError(t, holder.Shutdown(t.Context()))
	got := bears(next.AllTraces())
	require.Len(t, got, 3)
	assert.Equal(t, true, got[[2]int{1, 1}]["tokenomics.trace.complete"])
	assert.Equal(t, false, got[[2]int{2, 1}]["tokenomics.trace.complete"])
	assert.Equal(t, 0.25, got[[2]int{2, 1}]["tokenomics.trace.cost.total"])
	assert.Equal(t, int64(1), tally(holder, causeShutdown, 0))
	balanced(t, holder)
	require.ErrorIs(t, holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 3, id: 1})), errClosed)
	require.NoError(t, holder.Shutdown(t.Context()), "a second time")
}

// TestShutdownBeforeADeadBackend: the attempts end, and what is lost is said.
func TestShutdownBeforeADeadBackend(t *testing.T) {
	next := &gate{}
	core, logs := observer.New(zap.ErrorLevel)
	holder, _ := still(t, createDefaultConfig().(*Config), next)
	holder.logger = zap.New(core)
	var slept []time.Duration
	holder.sleep = func(_ context.Context, pause time.Duration) { slept = append(slept, pause) }
	next.say(down)
	consume(t, holder, piece{trace: 1, id: 1}, piece{trace: 2, id: 1})
	err := holder.Shutdown(t.Context())
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, "2 spans")
	assert.Equal(t, int64(2), holder.counts.lost[lostAtShutdown].Load())
	assert.Equal(t, 1, logs.Len())
	assert.Len(t, slept, lastRounds-1)
	assert.Zero(t, holder.held)
	balanced(t, holder)
}

// TestShutdownWaitsForSenders: what is on its way while the shutdown begins, and comes back, is handed on by it.
func TestShutdownWaitsForSenders(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpansPerTrace = 2
	blocked, open := make(chan struct{}), make(chan struct{})
	var later atomic.Bool
	sink := &consumertest.TracesSink{}
	next, err := consumer.NewTraces(func(ctx context.Context, traces ptrace.Traces) error {
		if !later.Swap(true) {
			close(blocked)
			<-open
			return errDown
		}
		return sink.ConsumeTraces(ctx, traces)
	})
	require.NoError(t, err)
	holder, _ := still(t, cfg, next)
	var group sync.WaitGroup
	group.Go(func() { // the first trace is full and leaves at once, the second is held
		assert.NoError(t, holder.ConsumeTraces(t.Context(), batchOf(piece{trace: 1, id: 1}, piece{trace: 1, id: 2, parent: 1}, piece{trace: 2, id: 1})))
	})
	<-blocked
	ended := make(chan error, 1)
	go func() { ended <- holder.Shutdown(t.Context()) }()
	for { // until the shutdown has begun
		if err := holder.ConsumeTraces(t.Context(), ptrace.NewTraces()); errors.Is(err, errClosed) {
			break
		}
	}
	for range 10_000 {
		runtime.Gosched() // would let it end, if it did not wait
	}
	close(open)
	group.Wait()
	require.NoError(t, <-ended)
	assert.Equal(t, 3, sink.SpanCount())
	balanced(t, holder)
}

// TestAFailureOfOursStopsNothing: a trace that nobody foresaw goes on as it came, and the log holds nothing of it.
func TestAFailureOfOursStopsNothing(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	holder.logger = zap.New(core)
	whole := holder.settlers.New
	holder.settlers.New = func() any { return (*settler)(nil) }
	consume(t, holder, piece{trace: 1, id: 1, attrs: map[string]any{"secret": "of a customer"}})
	clock.add(2 * time.Second)
	holder.tick()
	assert.Equal(t, 1, next.SpanCount())
	assert.Equal(t, int64(1), holder.counts.malformed.Load())
	require.Equal(t, 1, logs.Len())
	assert.NotContains(t, logs.All()[0].ContextMap()["stack"], "customer")
	holder.settlers.New = whole
	consume(t, holder, piece{trace: 2, id: 1, cost: 0.5})
	clock.add(2 * time.Second)
	holder.tick()
	assert.Equal(t, 0.5, bears(next.AllTraces())[[2]int{2, 1}]["tokenomics.trace.cost.total"])
	balanced(t, holder)
}
