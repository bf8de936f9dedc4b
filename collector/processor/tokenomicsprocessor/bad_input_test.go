package tokenomicsprocessor

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/hostile"
	"github.com/otel-tokenomics/otel-tokenomics/collector/rollup"
)

// hostileConfigs are the settings under which most code runs.
func hostileConfigs() []*Config {
	everything := vectorConfig()
	everything.OnExisting, everything.Reprice, everything.CostParts, everything.Dialects = onExistingKeep, repriceAlways, true, dialectNames
	everything.PriceServerSpans = true
	return []*Config{vectorConfig(), everything}
}

// TestHostilePayloads: each goes on with all its spans, every span is counted once, no amount is beyond reason, and a second
// pass changes nothing.
func TestHostilePayloads(t *testing.T) {
	for _, cfg := range hostileConfigs() {
		for _, one := range hostile.Payloads() {
			t.Run(one.Name, func(t *testing.T) {
				core, logs := observer.New(zapcore.DebugLevel)
				set := nopSettings()
				set.Logger = zap.New(core)
				pricer, err := newProcessor(set, cfg)
				require.NoError(t, err)
				spans := one.Traces.SpanCount()
				out, err := pricer.processTraces(t.Context(), one.Traces)
				require.NoError(t, err)
				assert.Equal(t, spans, out.SpanCount())
				assert.Equal(t, int64(spans), counted(pricer))
				assert.Empty(t, logs.All(), "nothing of it is a failure of ours")
				soundCosts(t, out)
				before := bytesOf(t, out)
				again, err := pricer.processTraces(t.Context(), out)
				require.NoError(t, err)
				assert.Equal(t, before, bytesOf(t, again), "a second pass changed something")
			})
		}
	}
}

func counted(pricer *tokenomicsProcessor) (sum int64) {
	for _, count := range pricer.counters.total.outcomes {
		sum += count
	}
	return sum
}

func bytesOf(t *testing.T, traces ptrace.Traces) string {
	t.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	return string(data)
}

// soundCosts: what a step of ours wrote is a status with what belongs to it. A source beside the total makes it ours.
func soundCosts(t *testing.T, traces ptrace.Traces) {
	t.Helper()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				total, there := span.Attributes().Get(attributes.TokenomicsCostTotal)
				if _, ours := span.Attributes().Get(attributes.TokenomicsPriceBook); !there || !ours {
					continue
				}
				amount := total.Double()
				require.False(t, math.IsNaN(amount) || amount < 0 || amount > 1e7, "%v on %s", amount, span.Name())
			}
		}
	}
}

// TestAMillionSpansOfOneTrace: in one batch, a fifth of it in each of five. All go on and are counted; what joins the calls
// of a trace is bounded in time and memory, and is let go of.
func TestAMillionSpansOfOneTrace(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	const batches, size = 5, 200_000
	for number := range batches {
		traces := hostile.OneTrace(number*size, size, 10)
		out, err := pricer.processTraces(t.Context(), traces)
		require.NoError(t, err)
		require.Equal(t, size, out.SpanCount())
	}
	assert.Equal(t, int64(batches*size), counted(pricer))
	work := pricer.newBatch(pricer.books.Book())
	assert.LessOrEqual(t, cap(work.calls.calls), maxKept)
	assert.Equal(t, &batch{book: work.book, tags: tagger{rules: pricer.tags}, calls: work.calls}, work, "something is left of the batch before")
	for _, one := range work.calls.calls[:cap(work.calls.calls)] {
		require.Zero(t, one)
	}
}

const secret = "s3cr3t-of-a-customer"

// TestNothingOfASpanIsLogged: spans whose every text holds a mark, through each way on which the processor speaks: spans
// that are refused, that fail inside, whose batch fails, and a provider that nobody knows.
func TestNothingOfASpanIsLogged(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	cfg := vectorConfig()
	pricer, err := newProcessor(set, cfg)
	require.NoError(t, err)
	send := func() {
		for _, one := range hostile.Payloads() {
			mark(one.Traces)
			_, err := pricer.processTraces(t.Context(), one.Traces)
			require.NoError(t, err)
		}
	}
	send()
	assert.Empty(t, logs.All())
	whole := pricer.endpoints
	pricer.endpoints = nil // the host of each call is asked of nothing
	send()
	require.NotEmpty(t, logs.All())
	said := logs.Len()
	pricer.endpoints = whole
	twice := ptrace.NewTraces()
	hostile.OneTrace(0, 3, 1).CopyTo(twice)
	mark(twice)
	work := pricer.newBatch(pricer.books.Book())
	work.calls.calls = append(work.calls.calls, make([]rollup.Call, 2)...)
	work.calls.calls[0].ResponseID, work.calls.calls[1].ResponseID = secret, secret
	work.calls.calls[0].HasTotal, work.calls.calls[0].Provider, work.calls.calls[1].Provider = true, secret, secret
	work.calls.calls[1].ID[0] = 1
	pricer.safelySettle(work, twice) // calls without spans
	require.Greater(t, logs.Len(), said)
	for _, entry := range logs.All() {
		text := entry.Message
		for _, field := range entry.Context {
			encoder := zapcore.NewMapObjectEncoder()
			field.AddTo(encoder)
			text += " " + fmt.Sprint(encoder.Fields)
		}
		assert.NotContains(t, text, secret)
		assert.NotContains(t, text, strings.ToUpper(secret))
	}
}

// mark puts the secret into every text of a payload, and a host beside it.
func mark(traces ptrace.Traces) {
	for _, resource := range traces.ResourceSpans().All() {
		resource.Resource().Attributes().PutStr("tokenomics.tag."+secret, secret)
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				span.SetName(secret)
				span.Status().SetMessage(secret)
				if span.Attributes().Len() > 1000 {
					continue // a put would look through all of them
				}
				for _, value := range span.Attributes().All() {
					if value.Type() == pcommon.ValueTypeStr && len(value.Str()) > 20 {
						value.SetStr(secret + value.Str())
					}
				}
				span.Attributes().PutStr("server.address", secret+".example")
				span.Attributes().PutStr("gen_ai.response.id", secret)
				span.Attributes().PutStr("gen_ai.input.messages", secret)
				span.Attributes().PutStr("gen_ai.response.model", secret)
			}
		}
	}
}
