package tokenomicsprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// recordsOf builds log records of which every step-th is a call of Claude Code (0: none); the rest are a service's.
func recordsOf(count, attributes, step int) plog.Logs {
	logs := plog.NewLogs()
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	scope.Scope().SetName("shop")
	if step > 0 {
		scope.Scope().SetName(claudeCode)
	}
	for index := range count {
		record := scope.LogRecords().AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)))
		record.Body().SetStr("GET /cart/items took 12 ms")
		applicationAttributes(record.Attributes(), attributes)
		if step > 0 && index%step == 0 {
			record.Body().SetStr("claude_code.api_request")
			record.Attributes().PutStr("event.name", "api_request")
			record.Attributes().PutStr("server.address", "api.anthropic.com")
			record.Attributes().PutStr("model", "claude-sonnet-4")
			record.Attributes().PutInt("input_tokens", 500)
			record.Attributes().PutInt("output_tokens", 100)
			record.Attributes().PutInt("cache_read_tokens", 1000)
			record.Attributes().PutDouble("cost_usd", 0.0033)
		}
	}
	return logs
}

// BenchmarkLogs measures the processor alone, without the helper around it.
func BenchmarkLogs(b *testing.B) {
	for _, share := range []struct {
		name             string
		attributes, step int
	}{
		{"no_event/attributes=5", 5, 0},
		{"no_event/attributes=20", 20, 0},
		{"five_percent/attributes=20", 20, 20},
		{"all_priced/attributes=5", 5, 1},
		{"all_priced/attributes=20", 20, 1},
	} {
		b.Run(share.name, func(b *testing.B) {
			pricer, err := newProcessor(nopSettings(), vectorConfig())
			require.NoError(b, err)
			pricer.writer.dialects = nil
			logs := recordsOf(benchmarkBatch, share.attributes, share.step)
			records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			b.ReportAllocs()
			var spent time.Duration
			count := 0
			for b.Loop() {
				started := time.Now()
				if _, err := pricer.processLogs(context.Background(), logs); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(started)
				count++
				if share.step == 0 {
					continue
				}
				for _, record := range records.All() {
					record.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool { return attributes.Own(key) })
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(count*records.Len()), "ns/record")
		})
	}
}

// TestLogsAllocateWhatTheyWrite: a record allocates what is written on it, a batch without an event nothing.
func TestLogsAllocateWhatTheyWrite(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	pricer.writer.dialects = nil
	none := recordsOf(10, 20, 0)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, err = pricer.processLogs(context.Background(), none)
	}))
	require.NoError(t, err)
	assert.Equal(t, int64(1010), pricer.counters.total.records[outcomePassed])

	const runs = 50
	records := recordsOf(runs+1, 20, 1).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	work := pricer.newBatch(pricer.books.Book())
	before := records.At(0).Attributes().Len()
	for _, record := range records.All() {
		record.Attributes().EnsureCapacity(before + mostWritten)
	}
	agent := attributes.AgentOf(attributes.Scope{Name: claudeCode})
	next := 0
	allocations := testing.AllocsPerRun(runs, func() {
		pricer.safelyRecord(work, records.At(next), eventOf(agent, records.At(next)))
		next++
	})
	written := records.At(0).Attributes().Len() - before
	assert.Equal(t, 10, written)
	assert.LessOrEqual(t, allocations, float64(written))
}
