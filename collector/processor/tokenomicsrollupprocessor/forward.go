package tokenomicsrollupprocessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

const (
	// maxParcel is how many spans leave in one payload where several traces leave together.
	maxParcel = 1000
	// firstPause and longestPause are how long nothing is tried after a failure; each failure doubles it.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// lastRounds are the attempts at shutdown, lastPause is the time before the second; each round doubles it.
	lastRounds = 6
	lastPause  = 200 * time.Millisecond
)

// load is spans on their way.
type load struct {
	traces ptrace.Traces
	spans  int
}

// queue holds what was to leave and could not, and how long to leave the next component alone.
type queue struct {
	waiting []load
	failure error
	pause   time.Duration
	until   int64
}

func (q *queue) pausing(now int64) bool { return q.failure != nil && now < q.until }

// first takes what waits longest.
func (q *queue) first() (load, bool) {
	if len(q.waiting) == 0 {
		return load{}, false
	}
	found := q.waiting[0]
	q.waiting[0] = load{}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return found, true
}

func (q *queue) failed(err error, now int64) {
	q.failure = err
	q.pause = min(max(firstPause, 2*q.pause), longestPause)
	q.until = now + int64(q.pause)
}

func (q *queue) recovered() { q.failure, q.pause = nil, 0 }

// tick hands on what is due and what waited, until the next component refuses something.
func (p *rollupProcessor) tick() {
	ctx := context.Background()
	p.mu.Lock()
	if p.queue.pausing(p.clock()) {
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	for {
		p.mu.Lock()
		now := p.clock()
		due := p.collect(maxParcel, func() *held { return p.shelf.nextDue(now) })
		// What fails goes to the end: one payload that nobody wants does not hold up the others.
		rounds := len(p.queue.waiting)
		p.mu.Unlock()
		if len(due) > 0 {
			if p.forward(ctx, due) != nil {
				return
			}
			continue
		}
		for range rounds {
			if found, there := p.first(); !there || p.send(ctx, found) != nil {
				return
			}
		}
		return
	}
}

func (p *rollupProcessor) first() (load, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.first()
}

// forward rolls traces up and hands them on, several in one payload. After a failure the rest waits, and the failure is
// returned.
func (p *rollupProcessor) forward(ctx context.Context, leaving []*held) error {
	if len(leaving) == 0 {
		return nil
	}
	var failure error
	p.mu.Lock()
	if p.queue.pausing(p.clock()) {
		failure = p.queue.failure
	}
	p.mu.Unlock()
	packed := newParcel()
	dispatch := func() {
		ready := load{packed.traces, packed.spans}
		if failure == nil {
			failure = p.send(ctx, ready)
		} else {
			p.keep(ready)
		}
	}
	for _, h := range leaving {
		p.settle(h)
		if packed.spans > 0 && packed.spans+h.spans > maxParcel {
			dispatch()
			packed = newParcel()
		}
		packed.pack(h)
	}
	dispatch()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range leaving {
		p.shelf.origins.leave(h)
	}
	return failure
}

func (p *rollupProcessor) keep(ready load) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.waiting = append(p.queue.waiting, ready)
}

// send hands spans on. What can be tried again is kept, and the failure returned; what cannot is lost, counted and
// said aloud.
func (p *rollupProcessor) send(ctx context.Context, ready load) error {
	err := p.next.ConsumeTraces(ctx, ready.traces)
	if err == nil {
		p.counts.released.Add(int64(ready.spans))
		p.gone(ready.spans, true)
		return nil
	}
	if consumererror.IsPermanent(err) {
		p.lose(ready.spans, lostForGood, err)
		return nil
	}
	var part consumererror.Traces
	if errors.As(err, &part) {
		if left := part.Data(); left.SpanCount() < ready.spans {
			taken := ready.spans - left.SpanCount()
			p.counts.released.Add(int64(taken))
			p.gone(taken, false)
			ready = load{left, left.SpanCount()}
		}
	}
	p.mu.Lock()
	first := p.queue.failure == nil
	p.queue.failed(err, p.clock())
	if ready.spans > 0 {
		p.queue.waiting = append(p.queue.waiting, ready)
	}
	p.mu.Unlock()
	if first {
		p.logger.Warn("spans could not be handed on, they are held and tried again", zap.Error(err))
	}
	return err
}

// gone says that spans are not held any more.
func (p *rollupProcessor) gone(spans int, recovered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= spans
	if recovered {
		p.queue.recovered()
	}
}

func (p *rollupProcessor) lose(spans int, why loss, err error) {
	p.counts.lost[why].Add(int64(spans))
	p.gone(spans, false)
	p.logger.Error("spans were lost: the next component did not take them", zap.Int("spans", spans), zap.String("cause", lossNames[why]), zap.Error(err))
}

// flush hands on everything that is held. What the next component refuses is tried a few times; then it is lost, aloud.
func (p *rollupProcessor) flush(ctx context.Context) error {
	for {
		p.mu.Lock()
		left := p.collect(maxParcel, func() *held { return p.shelf.oldest(causeShutdown) })
		p.queue.recovered() // no time is left for a pause
		p.mu.Unlock()
		if len(left) == 0 {
			break
		}
		p.forward(ctx, left)
	}
	pause := lastPause
	for round := range lastRounds {
		waiting := p.queue.waiting
		p.queue.waiting = nil
		if len(waiting) == 0 {
			return nil
		}
		if round > 0 {
			p.sleep(ctx, pause)
			pause *= 2
		}
		for _, ready := range waiting {
			p.send(ctx, ready)
		}
	}
	lost := 0
	failure := p.queue.failure
	for _, ready := range p.queue.waiting {
		p.lose(ready.spans, lostAtShutdown, failure)
		lost += ready.spans
	}
	p.queue.waiting = nil
	if lost > 0 {
		return fmt.Errorf("%d spans could not be handed on at shutdown: %w", lost, failure)
	}
	return nil
}

func sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
