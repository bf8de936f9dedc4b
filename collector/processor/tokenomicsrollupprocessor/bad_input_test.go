package tokenomicsrollupprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/hostile"
)

// TestHostilePayloads: held or grouped before, each goes on with all its spans and its own words, every span is counted,
// and no total is beyond reason.
func TestHostilePayloads(t *testing.T) {
	for _, grouped := range []bool{false, true} {
		for _, one := range hostile.Payloads() {
			t.Run(fmt.Sprintf("%s, grouped %t", one.Name, grouped), func(t *testing.T) {
				cfg := createDefaultConfig().(*Config)
				cfg.Grouped, cfg.CountBareContainers = grouped, true
				next := &gate{}
				holder, clock := still(t, cfg, next)
				spans, attrs := one.Traces.SpanCount(), attributeCount(one.Traces)
				require.NoError(t, holder.ConsumeTraces(t.Context(), one.Traces))
				assert.LessOrEqual(t, holder.held, spans)
				clock.add(10 * time.Second)
				holder.tick()
				assert.Equal(t, spans, next.SpanCount())
				assert.GreaterOrEqual(t, attributeCount(next.AllTraces()...), attrs)
				assert.Equal(t, int64(spans), holder.counts.received.Load())
				assert.Zero(t, holder.counts.malformed.Load())
				assert.Zero(t, holder.held)
				assert.Empty(t, holder.shelf.origins)
				balanced(t, holder)
				soundTotals(t, next.AllTraces())
			})
		}
	}
}

func attributeCount(all ...ptrace.Traces) (sum int) {
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					sum += span.Attributes().Len()
				}
			}
		}
	}
	return sum
}

func soundTotals(t *testing.T, all []ptrace.Traces) {
	t.Helper()
	for _, attrs := range bears(all) {
		for key, value := range attrs {
			if !isInclusive(key) {
				continue
			}
			switch value := value.(type) {
			case float64:
				require.False(t, math.IsNaN(value) || value < 0 || value > 1e9, "%s = %v", key, value)
			case int64:
				require.GreaterOrEqual(t, value, int64(0), key)
			}
		}
	}
}

// TestARingHasNoRoot: spans that are each other's parents are no tree: no total of the trace, and nobody waits for ever.
func TestARingHasNoRoot(t *testing.T) {
	next := &gate{}
	holder, clock := still(t, createDefaultConfig().(*Config), next)
	const ring = 5000
	var pieces []piece
	for id := 1; id <= ring; id++ {
		pieces = append(pieces, piece{trace: 1, id: id, parent: id%ring + 1, cost: 0.001})
	}
	consume(t, holder, pieces...)
	clock.add(10 * time.Second)
	holder.tick()
	require.Equal(t, ring, next.SpanCount())
	assert.Equal(t, int64(1), tally(holder, causeIdle, 0))
	for _, attrs := range bears(next.AllTraces()) {
		require.NotContains(t, attrs, "tokenomics.trace.cost.total")
		require.NotContains(t, attrs, "tokenomics.trace.complete")
	}
}

const secret = "s3cr3t-of-a-customer"

// TestNothingOfASpanIsSaid: spans whose every text holds a mark, through each way on which the processor speaks: the next
// component is down, refuses for good, refuses at shutdown; a trace fails inside; the sender is refused.
func TestNothingOfASpanIsSaid(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	next := &gate{}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 200
	holder, clock := still(t, cfg, next)
	holder.logger = zap.New(core)
	var said []string
	send := func() {
		for _, one := range hostile.Payloads() {
			if one.Traces.SpanCount() > 1000 {
				continue
			}
			mark(one.Traces)
			if err := holder.ConsumeTraces(t.Context(), one.Traces); err != nil {
				said = append(said, err.Error())
			}
			clock.add(15 * time.Second)
			holder.tick()
		}
	}
	send()
	assert.Zero(t, logs.Len())
	next.say(permanent)
	send()
	assert.Positive(t, logs.FilterMessageSnippet("were lost").Len())
	next.say(func(traces ptrace.Traces) error { return consumererror.NewTraces(errDown, traces) })
	send()
	assert.NotEmpty(t, said, "nobody was refused")
	assert.Positive(t, logs.FilterMessageSnippet("held and tried again").Len())
	whole := holder.settlers.New
	holder.settlers = &sync.Pool{New: func() any { return (*settler)(nil) }}
	next.say(nil)
	clock.add(time.Minute)
	holder.tick()
	send()
	assert.Positive(t, logs.FilterMessageSnippet("internal failure").Len())
	holder.settlers = &sync.Pool{New: whole}
	next.say(down)
	traces := hostile.OneTrace(0, 10, 1)
	mark(traces)
	_ = holder.ConsumeTraces(t.Context(), traces)
	err := holder.Shutdown(context.Background())
	require.ErrorIs(t, err, errDown)
	said = append(said, err.Error())
	for _, entry := range logs.All() {
		encoder := zapcore.NewMapObjectEncoder()
		for _, field := range entry.Context {
			field.AddTo(encoder)
		}
		said = append(said, entry.Message, fmt.Sprint(encoder.Fields))
	}
	for _, text := range said {
		require.NotContains(t, strings.ToLower(text), secret)
	}
	require.False(t, errors.Is(err, errClosed))
	balanced(t, holder)
}

// mark puts the secret into the texts of a payload.
func mark(traces ptrace.Traces) {
	for _, resource := range traces.ResourceSpans().All() {
		resource.Resource().Attributes().PutStr("customer", secret)
		for _, scope := range resource.ScopeSpans().All() {
			scope.Scope().SetName(secret)
			for _, span := range scope.Spans().All() {
				span.SetName(secret)
				span.Status().SetMessage(secret)
				if span.Attributes().Len() < 1000 {
					span.Attributes().PutStr("gen_ai.response.id", secret)
					span.Attributes().PutStr("gen_ai.input.messages", secret)
					span.Attributes().PutStr("gen_ai.response.model", secret)
				}
			}
		}
	}
}
