package tokenomicsconnector

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor"
)

// TestCodingAgentsBehindTheProcessor prices what coding agents send on both signals and compares the metrics with what
// then stands on records and spans.
func TestCodingAgentsBehindTheProcessor(t *testing.T) {
	files, err := filepath.Glob("../../../tests/vectors/logs/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	factory, records, spans := tokenomicsprocessor.NewFactory(), &consumertest.LogsSink{}, &consumertest.TracesSink{}
	cfg := factory.CreateDefaultConfig().(*tokenomicsprocessor.Config)
	cfg.Book.Files = []tokenomicsprocessor.FileConfig{{Path: "../../../tests/vectors/book.json"}}
	set := processortest.NewNopSettings(factory.Type())
	logs, err := factory.CreateLogs(t.Context(), set, cfg, records)
	require.NoError(t, err)
	defer func() { require.NoError(t, logs.Shutdown(t.Context())) }()
	traces, err := factory.CreateTraces(t.Context(), set, cfg, spans)
	require.NoError(t, err)
	defer func() { require.NoError(t, traces.Shutdown(t.Context())) }()
	s := staged(t, nopSettings())
	defer s.end()
	sum, requests := new(big.Rat), map[string]int{}
	for _, file := range files {
		var vector struct {
			Logs, Spans struct {
				In json.RawMessage `json:"in"`
			}
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &vector))
		in, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(vector.Logs.In)
		require.NoError(t, err)
		records.Reset()
		require.NoError(t, logs.ConsumeLogs(t.Context(), in))
		require.NoError(t, s.ConsumeLogs(t.Context(), records.AllLogs()[0]))
		for _, resource := range records.AllLogs()[0].ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					raw := record.Attributes().AsRaw()
					status, stated := raw["tokenomics.cost.status"].(string)
					if !stated || status == "not_applicable" && raw["tokenomics.cost.reason"] != "call_failed" {
						continue
					}
					requests[status]++
					if total, priced := raw["tokenomics.cost.total"].(float64); priced {
						amount, whole := new(big.Rat).SetString(strconv.FormatFloat(total, 'g', -1, 64))
						require.True(t, whole)
						sum.Add(sum, amount)
					}
				}
			}
		}
		if vector.Spans.In == nil {
			continue
		}
		came, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(vector.Spans.In)
		require.NoError(t, err)
		spans.Reset()
		require.NoError(t, traces.ConsumeTraces(t.Context(), came))
		require.NoError(t, s.ConsumeTraces(t.Context(), spans.AllTraces()[0]))
		usd, calls := costOf(t, spans.AllTraces()[0])
		amount, whole := new(big.Rat).SetString(strconv.FormatFloat(usd, 'g', -1, 64))
		require.True(t, whole)
		sum.Add(sum, amount)
		requests["priced"] += calls
	}
	got := s.flushAt(15)
	spent, _ := sum.Float64()
	assert.InDelta(t, spent, totals(got)["tokenomics.span.cost"], 1e-9)
	counted, nameless := map[string]int{}, int64(0)
	for _, one := range only(pointsOf(got), "tokenomics.span.requests") {
		counted[one.attributes["tokenomics.cost.status"].(string)] += int(one.value.(int64))
		if one.attributes["gen_ai.operation.name"] == nil {
			nameless += one.value.(int64)
		}
	}
	// An agent is known by its scope: the two records that lost theirs name no operation.
	assert.Equal(t, int64(2), nameless)
	assert.Equal(t, requests, counted)
	assert.Greater(t, requests["priced"], 20)
}

// TestAnAgentsTwoSignalsAreOneRequest: the call of an agent that comes on both signals is one request and one charge.
func TestAnAgentsTwoSignalsAreOneRequest(t *testing.T) {
	factory, records, spans := tokenomicsprocessor.NewFactory(), &consumertest.LogsSink{}, &consumertest.TracesSink{}
	data, err := os.ReadFile("../../../tests/vectors/logs/agents_default_is_logs.json")
	require.NoError(t, err)
	var vector struct{ Logs, Spans struct{ In json.RawMessage } }
	require.NoError(t, json.Unmarshal(data, &vector))
	for name, choice := range map[string]map[string]string{"logs": nil, "spans": {"claude_code": "spans"}} {
		cfg := factory.CreateDefaultConfig().(*tokenomicsprocessor.Config)
		cfg.Book.Files = []tokenomicsprocessor.FileConfig{{Path: "../../../tests/vectors/book.json"}}
		cfg.Agents = choice
		set := processortest.NewNopSettings(factory.Type())
		logs, err := factory.CreateLogs(t.Context(), set, cfg, records)
		require.NoError(t, err)
		traces, err := factory.CreateTraces(t.Context(), set, cfg, spans)
		require.NoError(t, err)
		in, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(vector.Logs.In)
		require.NoError(t, err)
		came, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(vector.Spans.In)
		require.NoError(t, err)
		// Of the spans only those of Claude Code, whose log record is there.
		came.ResourceSpans().At(0).ScopeSpans().RemoveIf(func(scope ptrace.ScopeSpans) bool {
			return scope.Scope().Name() != "com.anthropic.claude_code.tracing"
		})
		s := staged(t, nopSettings())
		records.Reset()
		spans.Reset()
		require.NoError(t, logs.ConsumeLogs(t.Context(), in))
		require.NoError(t, traces.ConsumeTraces(t.Context(), came))
		require.NoError(t, s.ConsumeLogs(t.Context(), records.AllLogs()[0]))
		require.NoError(t, s.ConsumeTraces(t.Context(), spans.AllTraces()[0]))
		got := totals(s.flushAt(15))
		assert.InDelta(t, 0.0033, got["tokenomics.span.cost"], 1e-12, name)
		assert.Equal(t, 1., got["tokenomics.span.requests"], name)
		assert.Equal(t, 1600., got["tokenomics.span.tokens"], name)
		s.end()
		require.NoError(t, logs.Shutdown(t.Context()))
		require.NoError(t, traces.Shutdown(t.Context()))
	}
}
