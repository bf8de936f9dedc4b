package tokenomicsprocessor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadatatest"
)

const claudeCode = "com.anthropic.claude_code.events"

// apiRequest is an event of Claude Code: 500 x 3000000 + 1000 x 300000 + 100 x 15000000 pico.
func apiRequest() map[string]any {
	return map[string]any{
		"event.name": "api_request", "model": "claude-sonnet-4", "input_tokens": 500, "output_tokens": 100, "cache_read_tokens": 1000,
	}
}

func oneRecord(scope string, attributes map[string]any) plog.Logs {
	logs := plog.NewLogs()
	scoped := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	scoped.Scope().SetName(scope)
	record := scoped.LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)))
	if err := record.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	return logs
}

func recordOf(logs plog.Logs) plog.LogRecord {
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

func TestLogTelemetry(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	logs, _ := startLogs(t, vectorConfig(), set)
	unknown, partial, broken := apiRequest(), apiRequest(), apiRequest()
	unknown["model"], partial["input_tokens"], broken["model"] = "claude-zeta-9", -1, 7
	agreed := apiRequest()
	agreed["cost_usd"] = 0.0033
	for _, record := range []map[string]any{
		apiRequest(), agreed, unknown, partial, broken, {"event.name": "api_error", "error": "400"}, {"event.name": "user_prompt"}, {},
	} {
		require.NoError(t, logs.ConsumeLogs(t.Context(), oneRecord(claudeCode, record)))
	}
	records := func(outcome string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("outcome", outcome))}
	}
	metadatatest.AssertEqualProcessorTokenomicsLogRecords(t, telemetry, []metricdata.DataPoint[int64]{
		records("priced", 2), records("unpriced", 1), records("partial", 1), records("malformed", 1), records("not_applicable", 1), records("passed", 2),
	}, metricdatatest.IgnoreTimestamp())
	_, err := telemetry.GetMetric("otelcol_processor_tokenomics_spans")
	require.Error(t, err, "no span came by")
	// Two at 0.0033, and one without its input.
	metadatatest.AssertEqualProcessorTokenomicsCost(t, telemetry, []metricdata.DataPoint[float64]{{
		Value:      0.0084,
		Attributes: attribute.NewSet(attribute.String("currency", "USD"), attribute.String("source", "collector"), attribute.String("basis", "list")),
	}}, metricdatatest.IgnoreTimestamp())
	tokens := func(side string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("type", side), attribute.String("reason", "unknown_model"))}
	}
	metadatatest.AssertEqualProcessorTokenomicsUnpricedTokens(t, telemetry,
		[]metricdata.DataPoint[int64]{tokens("input", 1500), tokens("output", 100)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsForeignCosts(t, telemetry, []metricdata.DataPoint[int64]{{
		Value: 1, Attributes: attribute.NewSet(attribute.String("difference", "within_one_percent")),
	}}, metricdatatest.IgnoreTimestamp())
}

// TestHostileRecords feeds what no agent writes; every record must come out as it went in.
func TestHostileRecords(t *testing.T) {
	many, foreign := apiRequest(), map[string]any{}
	for index := range 100_000 {
		many[fmt.Sprint("key", index)], foreign[fmt.Sprint("key", index)] = "v", "v"
	}
	deep := map[string]any{"event.name": map[string]any{"event.name": "api_request"}}
	for name, test := range map[string]struct {
		attributes map[string]any
		body       func(pcommon.Value)
		want       outcome
	}{
		"a hundred thousand attributes of an agent": {many, func(v pcommon.Value) { v.SetStr("claude_code.api_request") }, outcomeMalformed},
		"a hundred thousand of somebody's":          {foreign, func(v pcommon.Value) { v.SetStr("x") }, outcomePassed},
		"a name that is a map":                      {deep, func(v pcommon.Value) { v.SetEmptyMap().PutStr("event.name", "claude_code.api_request") }, outcomePassed},
		"a body of bytes":                           {map[string]any{}, func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte("claude_code.api_request")) }, outcomePassed},
		"a body of a megabyte":                      {map[string]any{}, func(v pcommon.Value) { v.SetStr(strings.Repeat("claude_code.api_request", 1<<16)) }, outcomePassed},
		"a model that is a list":                    {map[string]any{"event.name": "api_request", "model": []any{"x"}}, func(pcommon.Value) {}, outcomeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			pricer, err := newProcessor(nopSettings(), vectorConfig())
			require.NoError(t, err)
			defer func() { require.NoError(t, pricer.shutdown(t.Context())) }()
			logs := oneRecord(claudeCode, test.attributes)
			test.body(recordOf(logs).Body())
			before := marshalLogs(t, logs)
			out, err := pricer.processLogs(t.Context(), logs)
			require.NoError(t, err)
			assert.Equal(t, before, marshalLogs(t, out))
			assert.Equal(t, int64(1), pricer.counters.total.records[test.want])
		})
	}
}

// TestAFailureOfOursStopsNoLogs: the record that nobody foresaw passes, the next is priced, and the log holds nothing of it.
func TestAFailureOfOursStopsNoLogs(t *testing.T) {
	core, said := observer.New(zap.DebugLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	pricer, err := newProcessor(set, vectorConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, pricer.shutdown(t.Context())) }()
	whole := pricer.endpoints
	pricer.endpoints = nil
	call := apiRequest()
	call["server.address"] = "secret.example"
	in := oneRecord(claudeCode, call)
	before := marshalLogs(t, in)
	out, err := pricer.processLogs(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, before, marshalLogs(t, out))
	require.Equal(t, 1, said.Len())
	assert.NotContains(t, fmt.Sprint(said.All()[0].ContextMap()), "secret.example")
	pricer.endpoints = whole
	out, err = pricer.processLogs(t.Context(), oneRecord(claudeCode, apiRequest()))
	require.NoError(t, err)
	assert.Equal(t, 0.0033, recordOf(out).Attributes().AsRaw()["tokenomics.cost.total"])
	assert.Equal(t, int64(1), pricer.counters.total.records[outcomeMalformed])
	assert.Equal(t, int64(1), pricer.counters.total.records[outcomePriced])
}

// TestOneChargeOnTwoSignals: whichever signal comes first, in one batch or in many, with the ids of the span or without,
// the calls of an agent cost once.
func TestOneChargeOnTwoSignals(t *testing.T) {
	for name, choice := range map[string]map[string]string{"logs": nil, "spans": {"claude_code": "spans"}} {
		cfg := vectorConfig()
		cfg.Agents = choice
		pricer, err := newProcessor(nopSettings(), cfg)
		require.NoError(t, err)
		for number := range 10 {
			span := oneSpan(map[string]any{"model": "claude-sonnet-4", "input_tokens": 500, "output_tokens": 100, "cache_read_tokens": 1000})
			scope := span.ResourceSpans().At(0).ScopeSpans().At(0)
			scope.Scope().SetName("com.anthropic.claude_code.tracing")
			trace, id := pcommon.TraceID{byte(number + 1)}, pcommon.SpanID{byte(number + 1)}
			scope.Spans().At(0).SetTraceID(trace)
			scope.Spans().At(0).SetSpanID(id)
			logs := oneRecord(claudeCode, apiRequest())
			if number%2 == 0 {
				recordOf(logs).SetTraceID(trace)
				recordOf(logs).SetSpanID(id)
			}
			_, err := pricer.processTraces(t.Context(), span)
			require.NoError(t, err)
			_, err = pricer.processLogs(t.Context(), logs)
			require.NoError(t, err)
		}
		require.NoError(t, pricer.shutdown(t.Context()))
		total := pricer.counters.total
		assert.Equal(t, money{0, 33_000_000_000}, total.costs[0].sum, name)
		assert.Len(t, total.costs, 1)
		assert.Equal(t, int64(10), total.outcomes[outcomePriced]+total.records[outcomePriced])
		assert.Equal(t, int64(10), total.outcomes[outcomeNotApplicable]+total.records[outcomeNotApplicable])
	}
}

// TestTheChoiceIsSaidOnce: an agent whose other signal does not come here would cost nothing, in silence.
func TestTheChoiceIsSaidOnce(t *testing.T) {
	core, said := observer.New(zap.InfoLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	pricer, err := newProcessor(set, vectorConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, pricer.shutdown(t.Context())) }()
	for range 3 {
		for _, scope := range []string{"com.anthropic.claude_code.tracing", "codex_cli_rs", "shop"} {
			span := oneSpan(chat("gpt-4o", 1000, 500))
			span.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(scope)
			_, err := pricer.processTraces(t.Context(), span)
			require.NoError(t, err)
		}
	}
	var agents []any
	for _, entry := range said.All() {
		assert.Contains(t, entry.Message, `"agents"`)
		agents = append(agents, entry.ContextMap()["agent"])
	}
	assert.Equal(t, []any{"claude_code", "codex"}, agents)
}

// TestLogsConservation: what stands on the records is what was counted, however they are cut into batches.
func TestLogsConservation(t *testing.T) {
	for _, size := range []int{1, 7, 10_000} {
		pricer, err := newProcessor(nopSettings(), vectorConfig())
		require.NoError(t, err)
		var onRecords money
		seen := 0
		for start := 0; start < 10_000; start += size {
			logs := plog.NewLogs()
			records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			for number := start; number < min(start+size, 10_000); number++ {
				call := apiRequest()
				call["input_tokens"], call["event.name"] = number, "claude_code.api_request"
				if number%3 == 0 {
					call["event.name"] = "claude_code.tool_result"
				}
				require.NoError(t, records.AppendEmpty().Attributes().FromRaw(call))
			}
			out, err := pricer.processLogs(t.Context(), logs)
			require.NoError(t, err)
			for _, record := range out.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				seen++
				if total, stated := record.Attributes().Get("tokenomics.cost.total"); stated {
					pico, whole := attributes.Pico(attributes.DoubleValue(total.Double()))
					require.True(t, whole)
					onRecords.add(0, pico)
				}
			}
		}
		require.NoError(t, pricer.shutdown(t.Context()))
		assert.Equal(t, 10_000, seen)
		// Of 0 to 9999 what 3 does not divide adds up to 33326667, at 3000000 each; 6666 records of 300000000 + 1500000000 beside it.
		assert.Equal(t, money{111, 978_801_000_000}, onRecords)
		assert.Equal(t, onRecords, pricer.counters.total.costs[0].sum)
		assert.Equal(t, int64(6666), pricer.counters.total.records[outcomePriced])
		assert.Equal(t, int64(3334), pricer.counters.total.records[outcomePassed])
	}
}

// TestLogsWhileShuttingDown: every record that went in comes out priced, whoever calls what at the same time.
func TestLogsWhileShuttingDown(t *testing.T) {
	sink := &consumertest.LogsSink{}
	logs, err := NewFactory().CreateLogs(t.Context(), nopSettings(), vectorConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
	var group sync.WaitGroup
	begun := make(chan struct{}, 4)
	for range 4 {
		group.Go(func() {
			for round := range 50 {
				assert.NoError(t, logs.ConsumeLogs(t.Context(), oneRecord(claudeCode, apiRequest())))
				if round == 0 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	require.NoError(t, logs.Shutdown(t.Context()))
	group.Wait()
	require.Equal(t, 200, sink.LogRecordCount())
	for _, out := range sink.AllLogs() {
		assert.Equal(t, 0.0033, recordOf(out).Attributes().AsRaw()["tokenomics.cost.total"])
	}
	assert.True(t, logs.Capabilities().MutatesData)
}

// TestWhateverRecordArrives holds the promises for any record at all.
func TestWhateverRecordArrives(t *testing.T) {
	cfgs := []*Config{vectorConfig(), vectorConfig(), vectorConfig()}
	cfgs[1].OnExisting, cfgs[1].Reprice, cfgs[1].CostParts = onExistingKeep, repriceAlways, true
	cfgs[2].OnExisting, cfgs[2].Agents = onExistingOverwrite, map[string]string{"claude_code": "spans", "codex": "spans", "copilot": "logs", "opencode": "logs"}
	names := []string{"api_request", "api_error", "codex.sse_event", "gemini_cli.api_response", "cursor.api.request", "gen_ai.client.inference.operation.details", "x", ""}
	scopes := []string{"", claudeCode, "codex_otel.log_only", "gemini-cli", "cursor.telemetry", "copilot-chat", "com.opencode"}
	source := newChaos(5)
	for _, cfg := range cfgs {
		pricer, err := newProcessor(nopSettings(), cfg)
		require.NoError(t, err)
		for range 4_000 {
			call := map[string]any{}
			if source.IntN(2) == 0 {
				call = apiRequest()
			}
			call["event.kind"], call["event.name"] = "response.completed", names[source.IntN(len(names))]
			logs := oneRecord(scopes[source.IntN(len(scopes))], call)
			recordOf(logs).SetTimestamp(pcommon.Timestamp(source.Uint64() >> source.IntN(64)))
			for range source.IntN(12) {
				source.put(recordOf(logs).Attributes().PutEmpty(source.keys[source.IntN(len(source.keys))]))
			}
			before := marshalLogs(t, logs)
			in := unmarshalLogs(t, []byte(before))
			once, err := pricer.processLogs(t.Context(), logs)
			require.NoError(t, err)
			first := marshalLogs(t, once)
			if first != before {
				promises(t, recordOf(in).Attributes(), recordOf(once).Attributes(), before)
			}
			again, err := pricer.processLogs(t.Context(), once)
			require.NoError(t, err)
			require.Equal(t, first, marshalLogs(t, again), "not idempotent: %s", before)
		}
		require.NoError(t, pricer.shutdown(t.Context()))
		for result, count := range pricer.counters.total.records {
			if outcome(result) != outcomeFree {
				assert.Positive(t, count, "no record was %s", outcomeNames[result])
			}
		}
	}
}

// TestKeysOfBackendsStayOffRecords: backends read theirs on spans.
func TestKeysOfBackendsStayOffRecords(t *testing.T) {
	cfg := vectorConfig()
	cfg.Dialects = dialectNames
	raw := recordOf(runLogs(t, cfg, oneRecord(claudeCode, apiRequest()))).Attributes().AsRaw()
	require.Equal(t, "priced", raw["tokenomics.cost.status"])
	for _, dialect := range attributes.Dialects {
		for _, entry := range dialect {
			assert.NotContains(t, raw, entry.Key)
		}
	}
	assert.False(t, slices.Contains([]any{nil, ""}, raw["tokenomics.price.book"]))
}
