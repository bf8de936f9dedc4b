package tokenomicsprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

const benchmarkBatch = 1000

// applicationAttributes are what a span of a web service bears.
func applicationAttributes(attrs pcommon.Map, count int) {
	names := []string{
		"http.request.method", "http.response.status_code", "http.route", "url.path", "url.scheme", "user_agent.original",
		"server.address", "server.port", "client.address", "network.protocol.version", "thread.id", "thread.name",
		"db.system.name", "db.operation.name", "db.collection.name", "code.function.name", "code.file.path",
		"messaging.system", "session.id", "enduser.id",
	}
	for index := range count {
		name := names[index%len(names)]
		if index >= len(names) {
			name = "app." + name
		}
		attrs.PutStr(name, "api.openai.com")
	}
}

func modelAttributes(attrs pcommon.Map) {
	attrs.PutStr("gen_ai.operation.name", "chat")
	attrs.PutStr("gen_ai.provider.name", "openai")
	attrs.PutStr("gen_ai.request.model", "gpt-4o")
	attrs.PutStr("gen_ai.response.model", "gpt-4o")
	attrs.PutInt("gen_ai.usage.input_tokens", 1000)
	attrs.PutInt("gen_ai.usage.output_tokens", 500)
	attrs.PutInt("gen_ai.usage.cache_read.input_tokens", 400)
}

const spansPerTrace = 20

// batchOf builds traces of 20 spans of which every step-th is a model call (0: none), each with a response of its own.
func batchOf(spans, attributes, step int) ptrace.Traces {
	traces := ptrace.NewTraces()
	scope := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	for index := range spans {
		span := scope.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(index/spansPerTrace+1))))
		span.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(index+1))))
		if first := index / spansPerTrace * spansPerTrace; index > first {
			span.SetParentSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(first+1))))
		}
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)))
		span.SetKind(ptrace.SpanKindClient)
		applicationAttributes(span.Attributes(), attributes)
		if step > 0 && index%step == 0 {
			modelAttributes(span.Attributes())
			span.Attributes().PutStr("gen_ai.response.id", fmt.Sprintf("resp_%d", index))
			span.Attributes().PutInt("gen_ai.usage.input_tokens", int64(1000+index))
		}
	}
	return traces
}

// BenchmarkProcess measures the processor alone, without the helper around it: by what the spans are, by their attributes,
// and by the size of the batch.
func BenchmarkProcess(b *testing.B) {
	for _, share := range []struct {
		name                    string
		spans, attributes, step int
	}{
		{"no_model_call/attributes=5/batch=1000", 1000, 5, 0},
		{"no_model_call/attributes=20/batch=1000", 1000, 20, 0},
		{"no_model_call/attributes=40/batch=1000", 1000, 40, 0},
		{"five_percent/attributes=20/batch=1000", 1000, 20, 20},
		{"all_priced/attributes=0/batch=1000", 1000, 0, 1},
		{"all_priced/attributes=5/batch=1000", 1000, 5, 1},
		{"all_priced/attributes=20/batch=1000", 1000, 20, 1},
		{"all_priced/attributes=20/batch=100", 100, 20, 1},
		{"all_priced/attributes=20/batch=10", 10, 20, 1},
		{"all_priced/attributes=20/batch=1", 1, 20, 1},
	} {
		b.Run(share.name, func(b *testing.B) {
			measure(b, vectorConfig(), batchOf(share.spans, share.attributes, share.step))
		})
	}
}

// BenchmarkNames compares a name of a model that the book remembers with names that come once and are resolved anew, to a
// model and to none: more of them than it remembers.
func BenchmarkNames(b *testing.B) {
	const names = 6000
	for _, kind := range []struct{ name, model string }{
		{"hit", "gpt-4o"}, {"miss", "ft:gpt-4o-2024-08-06:acme::%05d"}, {"no_match", "house-model-%05d"},
	} {
		b.Run(kind.name, func(b *testing.B) {
			work := batchOf(names, 20, 1)
			for index, span := range work.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				model := kind.model
				if kind.name != "hit" {
					model = fmt.Sprintf(kind.model, index)
				}
				span.Attributes().PutStr("gen_ai.request.model", model)
				span.Attributes().PutStr("gen_ai.response.model", model)
			}
			measure(b, vectorConfig(), work)
		})
	}
}

// measure runs one batch again and again. What was written is taken off between the rounds, outside the clock: copying
// the input instead would measure the garbage collector.
func measure(b *testing.B, cfg *Config, work ptrace.Traces) {
	b.Helper()
	pricer, err := newProcessor(nopSettings(), cfg)
	require.NoError(b, err)
	rounds(b, work, func(traces ptrace.Traces) {
		if _, err := pricer.processTraces(context.Background(), traces); err != nil {
			b.Fatal(err)
		}
	})
}

func rounds(b *testing.B, work ptrace.Traces, step func(ptrace.Traces)) {
	b.Helper()
	spans := work.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	strip := func() {
		for _, span := range spans.All() {
			span.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
				return attributes.Own(key) || key == "gen_ai.usage.cost" || strings.HasPrefix(key, attributes.TokenomicsTagPrefix)
			})
		}
	}
	// The first round makes the room in each span.
	step(work)
	strip()
	b.ReportAllocs()
	var spent time.Duration
	count := 0
	for b.Loop() {
		started := time.Now()
		step(work)
		spent += time.Since(started)
		count++
		strip()
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(count*spans.Len()), "ns/span")
}

// BenchmarkModels shows that the size of the price book does not matter.
func BenchmarkModels(b *testing.B) {
	for _, models := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("models=%d", models), func(b *testing.B) {
			cfg := vectorConfig()
			for index := range models {
				cfg.Book.Overrides = append(cfg.Book.Overrides, OverrideConfig{
					Provider: "openai", Model: fmt.Sprintf("own-model-%d", index), Input: "1.00", Output: "2.00",
				})
			}
			measure(b, cfg, batchOf(benchmarkBatch, 20, 1))
		})
	}
}

// BenchmarkFloor is what nobody can undercut: one look for one key that is not there.
func BenchmarkFloor(b *testing.B) {
	for _, count := range []int{5, 20} {
		b.Run(fmt.Sprintf("attributes=%d", count), func(b *testing.B) {
			spans := batchOf(benchmarkBatch, count, 0).ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			for b.Loop() {
				for _, span := range spans.All() {
					if _, found := span.Attributes().Get("gen_ai.request.model"); found {
						b.Fatal("found")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchmarkBatch), "ns/span")
		})
	}
}

// BenchmarkWriteFloor is what the attributes of a priced span cost by themselves: put on the same spans, with no
// reading, no price and no rule. What BenchmarkProcess/all_priced takes more is ours.
func BenchmarkWriteFloor(b *testing.B) {
	for _, count := range []int{0, 5, 20} {
		b.Run(fmt.Sprintf("attributes=%d", count), func(b *testing.B) {
			writes := writer{dialects: spancost.NewDialects([]string{spancost.Scalar})}
			result := pricing.Result{
				Status: pricing.StatusPriced, Source: attributes.SourceCollector, Basis: pricing.BasisList, SKU: "openai/gpt-4o",
				Model: "gpt-4o", Match: pricing.MatchExact, Total: 7_000_000_000, HasTotal: true,
			}
			var span attributes.Span
			var reading attributes.Reading
			rounds(b, batchOf(benchmarkBatch, count, 1), func(traces ptrace.Traces) {
				for _, target := range traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
					writes.cost(target.Attributes(), &span, &reading, &result, "vectors@2026.11.22")
				}
			})
		})
	}
}

// TestPricingAllocatesWhatItWrites: each written attribute is one allocation of pdata's, and nothing else is any.
func TestPricingAllocatesWhatItWrites(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	const runs = 50
	spans := batchOf(runs+1, 20, 1).ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	work := *pricer.newBatch(pricer.books.Book())
	before := spans.At(0).Attributes().Len()
	for index := range spans.Len() {
		spans.At(index).Attributes().EnsureCapacity(before + mostWritten)
	}
	next := 0
	allocations := testing.AllocsPerRun(runs, func() {
		pricer.process(&work, spans.At(next))
		next++
	})
	written := spans.At(0).Attributes().Len() - before
	assert.Equal(t, 10, written)
	assert.LessOrEqual(t, allocations, float64(written))
}

// TestABatchAllocatesLittleMore: whatever a batch needs beside what it writes does not grow with it.
func TestABatchAllocatesLittleMore(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	const runs, size = 20, 400
	batches := make([]ptrace.Traces, runs+1)
	for index := range batches {
		batches[index] = batchOf(size, 20, 1)
		for _, span := range batches[index].ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.Attributes().EnsureCapacity(span.Attributes().Len() + mostWritten)
		}
	}
	_, err = pricer.processTraces(context.Background(), batchOf(size, 20, 1)) // makes the room that is kept
	require.NoError(t, err)
	next := 0
	allocations := testing.AllocsPerRun(runs, func() {
		_, err = pricer.processTraces(context.Background(), batches[next])
		next++
	})
	require.NoError(t, err)
	const written, perBatch = 10, 60
	assert.LessOrEqual(t, allocations, float64(size*written+perBatch))
}

// TestPassingCostsNothing holds the promise that a batch without a model call passes without an allocation.
func TestPassingCostsNothing(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	work := batchOf(10, 20, 0)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, err = pricer.processTraces(context.Background(), work)
	}))
	require.NoError(t, err)
	assert.Equal(t, int64(1010), pricer.counters.total.outcomes[outcomePassed])
}
