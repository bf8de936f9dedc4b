package tokenomicsrollupprocessor

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// loss is why spans could not be handed on.
type loss uint8

const (
	lostForGood loss = iota
	lostAtShutdown
	lossCount
)

var lossNames = [lossCount]string{"permanent_error", "shutdown"}

var ruleNames = [2]string{"response_id", "nested"}

// counts are the sums since the start. received = released + lost + what is held.
type counts struct {
	received, released, refused, late, malformed atomic.Int64

	lost   [lossCount]atomic.Int64
	dedup  [2]atomic.Int64
	traces [causeCount][2]atomic.Int64
}

func (c *counts) settled(work *settler, why cause) {
	for rule, count := range work.byRule {
		if count > 0 {
			c.dedup[rule].Add(count)
		}
	}
	complete := 0
	if work.complete {
		complete = 1
	}
	c.traces[why][complete].Add(1)
}

// register connects the sums with the collector's own telemetry.
func (p *rollupProcessor) register() error {
	c, b := &p.counts, p.builder
	simple := func(sum *atomic.Int64) func(metric.Int64Observer) {
		return func(o metric.Int64Observer) { o.Observe(sum.Load()) }
	}
	for _, entry := range []struct {
		register func(metric.Int64Callback) error
		observe  func(metric.Int64Observer)
	}{
		{b.RegisterProcessorTokenomicsRollupReceivedSpansCallback, simple(&c.received)},
		{b.RegisterProcessorTokenomicsRollupReleasedSpansCallback, simple(&c.released)},
		{b.RegisterProcessorTokenomicsRollupRefusedSpansCallback, simple(&c.refused)},
		{b.RegisterProcessorTokenomicsRollupLateSpansCallback, simple(&c.late)},
		{b.RegisterProcessorTokenomicsRollupMalformedTracesCallback, simple(&c.malformed)},
		{b.RegisterProcessorTokenomicsRollupHeldSpansCallback, func(o metric.Int64Observer) { o.Observe(int64(p.heldSpans())) }},
		{b.RegisterProcessorTokenomicsRollupHeldTracesCallback, func(o metric.Int64Observer) { o.Observe(int64(p.heldTraces())) }},
		{b.RegisterProcessorTokenomicsRollupLostSpansCallback, c.observeLost},
		{b.RegisterProcessorTokenomicsRollupDedupCallback, c.observeDedup},
		{b.RegisterProcessorTokenomicsRollupTracesCallback, c.observeTraces},
	} {
		callback := func(_ context.Context, o metric.Int64Observer) error {
			entry.observe(o)
			return nil
		}
		if err := entry.register(callback); err != nil {
			return err
		}
	}
	return nil
}

func (p *rollupProcessor) heldSpans() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *rollupProcessor) heldTraces() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.shelf.byID)
}

func (c *counts) observeLost(o metric.Int64Observer) {
	for why := range c.lost {
		o.Observe(c.lost[why].Load(), metric.WithAttributes(attribute.String("cause", lossNames[why])))
	}
}

func (c *counts) observeDedup(o metric.Int64Observer) {
	for rule := range c.dedup {
		o.Observe(c.dedup[rule].Load(), metric.WithAttributes(attribute.String("rule", ruleNames[rule])))
	}
}

func (c *counts) observeTraces(o metric.Int64Observer) {
	for why := range c.traces {
		for complete := range c.traces[why] {
			if count := c.traces[why][complete].Load(); count > 0 {
				o.Observe(count, metric.WithAttributes(
					attribute.Bool("complete", complete == 1), attribute.String("released", causeNames[why])))
			}
		}
	}
}
