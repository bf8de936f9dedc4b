package tokenomicsrollupprocessor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// benchmarkTraces builds whole traces whose spans stand mixed in one batch, as a service that serves many requests sends
// them. Every step-th span is a model call that is priced (0: none).
func benchmarkTraces(traces, spans, attributes, step int) ptrace.Traces {
	batch := ptrace.NewTraces()
	resource := batch.ResourceSpans().AppendEmpty()
	for index := range 10 {
		resource.Resource().Attributes().PutStr(fmt.Sprintf("service.attribute.%d", index), "shop")
	}
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	for number := spans; number >= 1; number-- {
		for trace := range traces {
			span := scope.Spans().AppendEmpty()
			span.SetTraceID(traceID(trace + 1))
			span.SetSpanID(spanID(number))
			if number > 1 {
				span.SetParentSpanID(spanID((number-2)/5 + 1))
			}
			for index := range attributes {
				span.Attributes().PutStr(fmt.Sprintf("http.request.attribute.%d", index), "api.openai.com")
			}
			if step > 0 && number%step == 0 {
				call(span, 0.0035)
				span.Attributes().PutStr("gen_ai.response.id", fmt.Sprintf("resp_%d_%d", trace, number))
			}
		}
	}
	return batch
}

func traceID(number int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(number)*0x9e3779b97f4a7c15)
	return id
}

func spanID(number int) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(number))
	return id
}

// call makes a span a priced model call.
func call(span ptrace.Span, total float64) {
	attrs := span.Attributes()
	attrs.PutStr("gen_ai.operation.name", "chat")
	attrs.PutStr("gen_ai.provider.name", "openai")
	attrs.PutStr("gen_ai.request.model", "gpt-4o")
	attrs.PutStr("gen_ai.response.model", "gpt-4o")
	attrs.PutInt("gen_ai.usage.input_tokens", 1000)
	attrs.PutInt("gen_ai.usage.output_tokens", 100)
	attrs.PutDouble("tokenomics.cost.total", total)
	attrs.PutStr("tokenomics.cost.source", "collector")
	attrs.PutStr("tokenomics.cost.status", "priced")
	attrs.PutStr("tokenomics.price.book", "b@1")
	attrs.PutStr("tokenomics.price.model", "gpt-4o")
}

// BenchmarkHoldAndRelease measures what a span costs from arrival to departure: taken from its batch, held, rolled up
// with its trace and handed on. The input is copied outside the clock.
func BenchmarkHoldAndRelease(b *testing.B) {
	for _, shape := range []struct {
		name                            string
		traces, spans, attributes, step int
	}{
		{"no_model_call/traces=100x10", 100, 10, 20, 0},
		{"no_model_call/traces=10x100", 10, 100, 20, 0},
		{"no_model_call/traces=1000x1", 1000, 1, 20, 0},
		{"five_percent/traces=100x10", 100, 10, 20, 20},
		{"every_fourth/traces=10x100", 10, 100, 20, 4},
	} {
		b.Run(shape.name, func(b *testing.B) {
			cfg := createDefaultConfig().(*Config)
			holder, clock := still(b, cfg, consumertest.NewNop())
			input := benchmarkTraces(shape.traces, shape.spans, shape.attributes, shape.step)
			b.ReportAllocs()
			var spent time.Duration
			count := 0
			for b.Loop() {
				batch := ptrace.NewTraces()
				input.CopyTo(batch)
				holder.shelf.recent = recent{}
				runtime.GC()
				started := time.Now()
				if err := holder.ConsumeTraces(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				clock.add(time.Minute)
				holder.tick()
				spent += time.Since(started)
				count += shape.traces * shape.spans
			}
			require.Equal(b, int64(count), holder.counts.released.Load())
			b.ReportMetric(float64(spent.Nanoseconds())/float64(count), "ns/span")
		})
	}
}

// BenchmarkHeldSpan reports the memory of one held span, and how much of it the span has anyway.
func BenchmarkHeldSpan(b *testing.B) {
	for _, shape := range []struct{ traces, spans int }{{10_000, 1}, {1000, 10}, {100, 100}} {
		b.Run(fmt.Sprintf("traces=%dx%d", shape.traces, shape.spans), func(b *testing.B) {
			var alone, held float64
			count := float64(shape.traces * shape.spans)
			for b.Loop() {
				batch := benchmarkTraces(shape.traces, shape.spans, 20, 20)
				empty := inUse()
				work := ptrace.NewTraces()
				batch.CopyTo(work)
				alone = float64(inUse()-empty) / count
				holder, _ := still(b, createDefaultConfig().(*Config), consumertest.NewNop())
				if err := holder.ConsumeTraces(b.Context(), work); err != nil {
					b.Fatal(err)
				}
				work = ptrace.Traces{}
				held = float64(inUse()-empty) / count
				runtime.KeepAlive(holder)
				runtime.KeepAlive(batch)
			}
			b.ReportMetric(held, "held-B/span")
			b.ReportMetric(alone, "span-B/span")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
