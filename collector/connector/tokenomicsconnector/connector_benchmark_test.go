package tokenomicsconnector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

const benchmarkBatch = 1000

// applicationAttributes are what a span of a web service bears.
var applicationAttributes = []string{
	"http.request.method", "http.response.status_code", "http.route", "url.path", "url.scheme", "user_agent.original",
	"server.address", "server.port", "client.address", "network.protocol.version", "thread.id", "thread.name",
	"db.system.name", "db.operation.name", "db.collection.name", "code.function.name", "code.file.path",
	"messaging.system", "session.id", "enduser.id",
}

// priced are the attributes of a model call behind the processor.
func priced(target pcommon.Map, index int) {
	target.PutStr(attributes.GenAiOperationName, "chat")
	target.PutStr(attributes.GenAiProviderName, "openai")
	target.PutStr(attributes.GenAiRequestModel, "gpt-4o")
	target.PutStr(attributes.GenAiResponseModel, "gpt-4o-2024-08-06")
	target.PutInt(attributes.GenAiUsageInputTokens, 1000)
	target.PutInt(attributes.GenAiUsageOutputTokens, 500)
	target.PutInt(attributes.GenAiUsageCacheReadInputTokens, 400)
	target.PutStr("tokenomics.tag.team", fmt.Sprintf("team-%d", index%10))
	target.PutDouble("gen_ai.usage.cost", 0.0075)
	target.PutDouble(attributes.TokenomicsCostTotal, 0.0075)
	target.PutStr(attributes.TokenomicsCostCurrency, "USD")
	target.PutStr(attributes.TokenomicsCostSource, "collector")
	target.PutStr(attributes.TokenomicsCostBasis, "list")
	target.PutStr(attributes.TokenomicsCostStatus, "priced")
	target.PutStr(attributes.TokenomicsPriceBook, "vectors@2026.11.22")
	target.PutStr(attributes.TokenomicsPriceSku, "openai/gpt-4o")
	target.PutStr(attributes.TokenomicsPriceModel, "gpt-4o")
	target.PutStr(attributes.TokenomicsPriceMatch, "exact")
}

// batchOf builds spans of which every step-th is a priced call (0: none).
func batchOf(spans, others, step int) ptrace.Traces {
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	resource.Resource().Attributes().PutStr("deployment.environment.name", "production")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	for index := range spans {
		span := scope.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, byte(index >> 8), byte(index)})
		span.SetSpanID(pcommon.SpanID{1, byte(index >> 8), byte(index)})
		for _, name := range applicationAttributes[:others] {
			span.Attributes().PutStr(name, "api.openai.com")
		}
		if step > 0 && index%step == 0 {
			priced(span.Attributes(), index)
		}
	}
	return traces
}

func benchmarked(b *testing.B, change func(*Config)) *tokenomicsConnector {
	b.Helper()
	cfg := createDefaultConfig().(*Config)
	change(cfg)
	c, err := newConnector(nopSettings(), cfg, consumertest.NewNop(), systemClock())
	require.NoError(b, err)
	return c
}

func measure(b *testing.B, items int, step func() error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/span")
}

// BenchmarkConsume measures what the connector adds to a pipeline; nothing is written while it runs.
func BenchmarkConsume(b *testing.B) {
	for _, share := range []struct {
		name         string
		others, step int
		change       func(*Config)
	}{
		{"no_model_call/attributes=5", 5, 0, func(*Config) {}},
		{"no_model_call/attributes=20", 20, 0, func(*Config) {}},
		{"five_percent/attributes=20", 20, 20, func(*Config) {}},
		{"all_priced/attributes=0", 0, 1, func(*Config) {}},
		{"all_priced/attributes=5", 5, 1, func(*Config) {}},
		{"all_priced/attributes=20", 20, 1, func(*Config) {}},
		{"all_priced_optional/attributes=5", 5, 1, func(cfg *Config) {
			cfg.MetricsOptional = []string{optionalRequestCost, optionalCostPart}
		}},
		{"all_repeated/attributes=5", 5, 1, func(cfg *Config) { cfg.Dedupe.Window = time.Hour }},
	} {
		b.Run(share.name, func(b *testing.B) {
			c := benchmarked(b, share.change)
			work := batchOf(benchmarkBatch, share.others, share.step)
			measure(b, benchmarkBatch, func() error { return c.ConsumeTraces(context.Background(), work) })
		})
	}
}

// BenchmarkLogs is the same for log records.
func BenchmarkLogs(b *testing.B) {
	c := benchmarked(b, func(*Config) {})
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for index := range benchmarkBatch {
		priced(records.AppendEmpty().Attributes(), index)
	}
	measure(b, benchmarkBatch, func() error { return c.ConsumeLogs(context.Background(), logs) })
}

// BenchmarkFloor is what nobody can undercut: one look at each attribute of a priced span.
func BenchmarkFloor(b *testing.B) {
	for _, others := range []int{0, 5, 20} {
		b.Run(fmt.Sprintf("attributes=%d", others), func(b *testing.B) {
			spans := batchOf(benchmarkBatch, others, 1).ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			seen := 0
			measure(b, benchmarkBatch, func() error {
				for _, span := range spans.All() {
					for key := range span.Attributes().All() {
						seen += len(key)
					}
				}
				return nil
			})
		})
	}
}

// BenchmarkFlush writes as many series as a metric may have.
func BenchmarkFlush(b *testing.B) {
	c := benchmarked(b, func(*Config) {})
	for index := range 2000 {
		work := batchOf(1, 0, 1)
		work.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", fmt.Sprint("shop-", index))
		require.NoError(b, c.ConsumeTraces(b.Context(), work))
	}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, c.flush(b.Context()))
	}
}

// TestCountingAllocatesNothing for a call whose series are there, however many there are in a batch.
func TestCountingAllocatesNothing(t *testing.T) {
	c, err := newConnector(nopSettings(), createDefaultConfig().(*Config), consumertest.NewNop(), systemClock())
	require.NoError(t, err)
	work := batchOf(benchmarkBatch, 20, 1)
	require.NoError(t, c.ConsumeTraces(t.Context(), work))
	require.LessOrEqual(t, testing.AllocsPerRun(20, func() { err = c.ConsumeTraces(context.Background(), work) }), 5.0)
	require.NoError(t, err)
}
