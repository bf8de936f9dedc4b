package tokenomicsrollupprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsrollupprocessor/internal/metadata"
)

// tickEvery is how often it is looked whether a trace is due.
const tickEvery = 100 * time.Millisecond

// rollupProcessor holds the spans of each trace until it is whole, adds up, and hands them on.
type rollupProcessor struct {
	logger   *zap.Logger
	builder  *metadata.TelemetryBuilder
	next     consumer.Traces
	settlers *sync.Pool
	counts   counts

	grouped                    bool
	maxSpans, maxSpansPerTrace int
	// now and sleep are the clock; tests bring their own.
	now   func() time.Time
	sleep func(context.Context, time.Duration)
	// began is when it was started.
	began   time.Time
	maxWait time.Duration

	mu    sync.Mutex
	shelf *shelf
	// held counts the spans that were taken in and are not handed on yet: on the shelf, waiting, or on their way.
	held  int
	queue queue
	// elapsed is the time since the start, seen is when the clock was looked at last.
	elapsed int64
	seen    time.Time
	turn    uint64
	closed  bool

	callers sync.WaitGroup
	stop    chan struct{}
	done    chan struct{}
}

func newProcessor(set processor.Settings, cfg *Config, next consumer.Traces) (*rollupProcessor, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &rollupProcessor{
		logger: set.Logger, builder: builder, next: next, settlers: newSettlers(cfg),
		grouped: cfg.Grouped, maxSpans: cfg.MaxSpans, maxSpansPerTrace: cfg.MaxSpansPerTrace, maxWait: cfg.MaxWait,
		now: time.Now, sleep: sleep,
		shelf: newShelf(waits{int64(cfg.WaitAfterRoot), int64(cfg.IdleWait), int64(cfg.MaxWait)}),
	}, nil
}

// Capabilities says that spans are written on.
func (p *rollupProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start begins to look for traces that are due.
func (p *rollupProcessor) Start(context.Context, component.Host) error {
	if err := p.register(); err != nil {
		return err
	}
	p.began = p.now()
	if p.grouped {
		return nil
	}
	p.stop, p.done = make(chan struct{}), make(chan struct{})
	go p.run()
	return nil
}

func (p *rollupProcessor) run() {
	defer close(p.done)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.tick()
		}
	}
}

// Shutdown hands on everything that is held before it returns.
func (p *rollupProcessor) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.callers.Wait()
	if p.stop != nil {
		close(p.stop)
		<-p.done
		p.stop = nil
	}
	err := p.flush(ctx)
	p.builder.Shutdown()
	return err
}

var (
	errClosed = errors.New("the processor is shut down")
	errFull   = errors.New(`as many spans are held as "max_spans" allows, and all are on their way`)
)

// ConsumeTraces takes a batch in. Where no room can be made for it the sender is told to come again, and nothing of the
// batch was taken.
func (p *rollupProcessor) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	count := traces.SpanCount()
	if p.grouped {
		return p.pass(ctx, traces, count)
	}
	// What goes on now may be other callers' spans: it must not fail because this one gives up.
	apart := context.WithoutCancel(ctx)
	if err := p.enter(apart, count); err != nil {
		p.counts.refused.Add(int64(count))
		return err
	}
	defer p.callers.Done()
	p.counts.received.Add(int64(count))
	p.mu.Lock()
	leaving := p.take(traces)
	p.mu.Unlock()
	p.forward(apart, leaving)
	return nil
}

// pass rolls a batch up that holds whole traces, and hands it on.
func (p *rollupProcessor) pass(ctx context.Context, traces ptrace.Traces, count int) error {
	p.settleBatch(traces)
	if err := p.next.ConsumeTraces(ctx, traces); err != nil {
		p.counts.refused.Add(int64(count))
		return err
	}
	p.counts.received.Add(int64(count))
	p.counts.released.Add(int64(count))
	return nil
}

// enter makes room for a number of spans. The oldest traces go on early for it.
func (p *rollupProcessor) enter(ctx context.Context, count int) error {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return errClosed
		}
		if p.held == 0 || p.held+count <= p.maxSpans {
			p.held += count
			p.callers.Add(1)
			p.mu.Unlock()
			return nil
		}
		if p.queue.pausing(p.clock()) {
			err := p.queue.failure
			p.mu.Unlock()
			return fmt.Errorf("as many spans are held as \"max_spans\" allows, and none can be handed on: %w", err)
		}
		var waiting load
		parcels := false
		oldest := p.collect(p.held+count-p.maxSpans, func() *held { return p.shelf.oldest(causeMaxSpans) })
		if len(oldest) == 0 {
			waiting, parcels = p.queue.first()
		}
		p.mu.Unlock()
		var err error
		switch {
		case len(oldest) > 0:
			err = p.forward(ctx, oldest)
		case parcels:
			err = p.send(ctx, waiting)
		default:
			err = errFull
		}
		if err != nil {
			return err
		}
	}
}

// collect takes traces until they have enough spans for the purpose, or for one parcel.
func (p *rollupProcessor) collect(enough int, next func() *held) []*held {
	var taken []*held
	for spans := 0; spans < min(enough, maxParcel); {
		h := next()
		if h == nil {
			break
		}
		taken = append(taken, h)
		spans += h.spans
	}
	return taken
}

// take moves the spans of a batch to their traces, and returns what goes on at once: late spans, and traces that have
// become too large to hold.
func (p *rollupProcessor) take(traces ptrace.Traces) []*held {
	now := p.clock()
	var leaving []*held
	late := map[pcommon.TraceID]*held{}
	for _, resource := range traces.ResourceSpans().All() {
		var home *home
		for _, scope := range resource.ScopeSpans().All() {
			if scope.Spans().Len() == 0 {
				continue
			}
			if home == nil {
				home = p.shelf.origins.homeOf(resource)
			}
			from := home.originOf(scope)
			p.turn++
			var at *held
			for _, span := range scope.Spans().All() {
				if id := span.TraceID(); at == nil || at.id != id {
					p.leave(at)
					var isNew bool
					if at, isNew = p.shelf.find(id, late, now); isNew && at.cause == causeLate {
						leaving = append(leaving, at)
					}
				}
				if at.turn != p.turn {
					at.home, at.turn = at.spansOf(from), p.turn
				}
				if at.cause == causeLate {
					at.spans++
					p.counts.late.Add(1)
				} else {
					at.note(span.SpanID(), span.ParentSpanID(), now)
				}
				span.MoveTo(at.home.AppendEmpty())
				if at.spans >= p.maxSpansPerTrace && at.cause != causeLate {
					p.leave(at)
					p.shelf.remove(at, causeMaxSpansPerTrace)
					leaving = append(leaving, at)
					at = nil
				}
			}
			p.leave(at)
		}
	}
	return leaving
}

// leave puts a trace on the shelf, or puts it right there, once its spans of one place are taken.
func (p *rollupProcessor) leave(at *held) {
	if at != nil && at.cause != causeLate {
		p.shelf.arrived(at)
	}
}

// clock returns the nanoseconds since the start. Where the machine's clock is set back, it goes on from where it was.
func (p *rollupProcessor) clock() int64 {
	now := p.now()
	if !p.seen.IsZero() {
		p.elapsed += max(0, int64(now.Sub(p.seen)))
	}
	p.seen = now
	return p.elapsed
}
