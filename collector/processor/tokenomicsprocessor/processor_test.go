package tokenomicsprocessor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadatatest"
)

// oneSpan builds a span of the official OpenTelemetry instrumentation.
func oneSpan(attributes map[string]any) ptrace.Traces {
	traces := ptrace.NewTraces()
	scope := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	span := scope.Spans().AppendEmpty()
	span.SetKind(ptrace.SpanKindClient)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)))
	if err := span.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	return traces
}

func chat(model string, input, output int64) map[string]any {
	return map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model,
		"gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output,
	}
}

func attributesOf(traces ptrace.Traces) map[string]any {
	return traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
}

func TestSelfTelemetry(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	traces, _ := start(t, vectorConfig(), set)
	for _, attributes := range []map[string]any{
		chat("gpt-4o", 1000, 500), chat("gpt-4o", 1000, 500), chat("gpt-7-turbo", 30, 4), {"http.route": "/"},
		{"gen_ai.operation.name": 1}, {"gen_ai.operation.name": "invoke_agent"},
		{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "lab", "gen_ai.request.model": "free", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1},
	} {
		require.NoError(t, traces.ConsumeTraces(t.Context(), oneSpan(attributes)))
	}
	spans := func(outcome string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("outcome", outcome))}
	}
	metadatatest.AssertEqualProcessorTokenomicsSpans(t, telemetry, []metricdata.DataPoint[int64]{
		spans("priced", 2), spans("unpriced", 1), spans("passed", 1), spans("malformed", 1), spans("not_applicable", 1), spans("free", 1),
	}, metricdatatest.IgnoreTimestamp())
	tokens := func(side string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("type", side), attribute.String("reason", "unknown_model"))}
	}
	metadatatest.AssertEqualProcessorTokenomicsUnpricedTokens(t, telemetry,
		[]metricdata.DataPoint[int64]{tokens("input", 30), tokens("output", 4)}, metricdatatest.IgnoreTimestamp())
	// Twice 1000 x 2500000 + 500 x 10000000 pico, and a free call.
	metadatatest.AssertEqualProcessorTokenomicsCost(t, telemetry, []metricdata.DataPoint[float64]{{
		Value:      0.015,
		Attributes: attribute.NewSet(attribute.String("currency", "USD"), attribute.String("source", "collector"), attribute.String("basis", "list")),
	}}, metricdatatest.IgnoreTimestamp())
	count := func(value int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: value}} }
	// gpt-4o, gpt-7-turbo and lab's free model are looked for once each; the second gpt-4o is remembered.
	metadatatest.AssertEqualProcessorTokenomicsModelCacheMisses(t, telemetry, count(3), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsModelCacheSize(t, telemetry, count(3), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsBookInfo(t, telemetry, []metricdata.DataPoint[int64]{{
		Value: 1, Attributes: attribute.NewSet(attribute.String("version", "vectors@2026.11.22")),
	}}, metricdatatest.IgnoreTimestamp())
}

// TestEveryDifferenceIsCounted: ours is 7500000000 pico; one percent of the other figure is still agreement.
func TestEveryDifferenceIsCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	traces, _ := start(t, vectorConfig(), set)
	for key, figures := range map[string][]float64{
		// 0.0075 / 0.99 = 0.00757575..., of which one percent is what lies between them.
		"gen_ai.usage.cost": {0.0075, 0.00757, 0.00758, 0.9, 0}, "llm.cost.total": {0.00743, 0.00742},
		// The bill of a party that does not bill here is an estimate like any other.
		"gen_ai.usage.total_cost": {0.0075, 0.5},
	} {
		for _, figure := range figures {
			call := chat("gpt-4o", 1000, 500)
			call[key] = figure
			require.NoError(t, traces.ConsumeTraces(t.Context(), oneSpan(call)))
		}
	}
	bill := chat("gpt-4o", 1000, 500)
	bill["gen_ai.usage.cost.amount"], bill["gen_ai.usage.cost.source"] = 0.5, "provider"
	require.NoError(t, traces.ConsumeTraces(t.Context(), oneSpan(bill)))
	point := func(word string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("difference", word))}
	}
	metadatatest.AssertEqualProcessorTokenomicsForeignCosts(t, telemetry, []metricdata.DataPoint[int64]{
		point("within_one_percent", 4), point("above_one_percent", 5),
	}, metricdatatest.IgnoreTimestamp())
	// Nine of ours at 0.0075 and one bill.
	cost := func(source, basis string, usd float64) metricdata.DataPoint[float64] {
		return metricdata.DataPoint[float64]{Value: usd, Attributes: attribute.NewSet(
			attribute.String("currency", "USD"), attribute.String("source", source), attribute.String("basis", basis))}
	}
	metadatatest.AssertEqualProcessorTokenomicsCost(t, telemetry, []metricdata.DataPoint[float64]{
		cost("collector", "list", 0.0675), cost("provider", "billed", 0.5),
	}, metricdatatest.IgnoreTimestamp())
}

func TestStaleBookIsFlagged(t *testing.T) {
	cfg := vectorConfig()
	cfg.MaxAge = time.Second
	got := attributesOf(run(t, cfg, oneSpan(chat("gpt-4o", 1000, 500))))
	assert.Equal(t, []any{"stale_book"}, got["tokenomics.cost.flags"])
	assert.Equal(t, 0.0075, got["tokenomics.cost.total"])
}

func TestOverridesAndAliases(t *testing.T) {
	cfg := vectorConfig()
	cfg.Book.Overrides = []OverrideConfig{{Provider: "openai", Model: "gpt-4o", Input: "2.00", Output: "8.00"}}
	cfg.Aliases = map[string]string{"prod-chat": "openai/gpt-4o"}
	got := attributesOf(run(t, cfg, oneSpan(chat("prod-chat", 1000, 500))))
	// 1000 x 2000000 + 500 x 8000000 pico; the list price is 7500000000.
	assert.Equal(t, 0.006, got["tokenomics.cost.total"])
	assert.Equal(t, 0.0075, got["tokenomics.cost.list"])
	assert.Equal(t, "contracted", got["tokenomics.cost.basis"])
	assert.Equal(t, "alias", got["tokenomics.price.match"])
	assert.Contains(t, got["tokenomics.price.book"], "vectors@2026.11.22+")
}

func TestCapacity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"capacity":[{"p":"azure.ai.openai","ids":["ptu-gpt5"],"kind":"hourly",
		"usd_per_hour":"98.00","units_per_hour":{"input":30000000,"output":6000000},"allocate":"capacity"}]}`), 0o600))
	cfg := vectorConfig()
	cfg.Book.Overlays = []FileConfig{{Path: path}}
	call := chat("ptu-gpt5", 1000, 100)
	// Azure answers with the underlying model: only the request names the deployment.
	call["gen_ai.provider.name"], call["gen_ai.response.model"] = "azure.ai.openai", "gpt-5-2025-08-07"
	got := attributesOf(run(t, cfg, oneSpan(call)))
	// 98 USD / 30000000 and / 6000000: 1000 x 3266667 + 100 x 16333333 pico.
	assert.Equal(t, 0.0049000003, got["tokenomics.cost.total"])
	assert.Equal(t, "allocated", got["tokenomics.cost.basis"])
	assert.Equal(t, "azure.ai.openai/ptu-gpt5;capacity=hourly", got["tokenomics.price.sku"])
	assert.Equal(t, "alias", got["tokenomics.price.match"])
}

func TestReprice(t *testing.T) {
	cfg := vectorConfig()
	cfg.Reprice, cfg.CostParts = repriceAlways, true
	ours := chat("gpt-4o", 1000, 500)
	for key, value := range map[string]any{
		"tokenomics.cost.total": 0.5, "tokenomics.cost.source": "sdk", "tokenomics.cost.basis": "list", "tokenomics.cost.status": "priced",
		"tokenomics.cost.tools": 0.5, "tokenomics.price.book": "otel-tokenomics@2020.1.1", "tokenomics.price.sku": "openai/gpt-4o",
		"gen_ai.usage.cost": 0.5, "operation.cost": 0.5, "mlflow.llm.cost": `{"total_cost":0.5}`,
		// Another library's figures, and one that only looks like ours, are not ours to touch.
		"gen_ai.usage.total_cost": 0.4, "langfuse.observation.cost_details": `{"total":0.51}`,
	} {
		ours[key] = value
	}
	got := attributesOf(run(t, cfg, oneSpan(ours)))
	assert.Equal(t, 0.0075, got["tokenomics.cost.total"])
	assert.Equal(t, 0.0075, got["gen_ai.usage.cost"])
	for _, key := range []string{"tokenomics.cost.tools", "operation.cost", "mlflow.llm.cost"} {
		assert.NotContains(t, got, key, "a figure of ours that holds no longer")
	}
	assert.Equal(t, 0.4, got["gen_ai.usage.total_cost"])
	assert.Equal(t, `{"total":0.51}`, got["langfuse.observation.cost_details"])
	assert.Equal(t, "collector", got["tokenomics.cost.source"])
	again := run(t, cfg, oneSpan(ours))
	assert.Equal(t, marshal(t, again), marshal(t, run(t, cfg, again)), "the same price is the same span")

	// Our figure is gone where the newer book cannot price the call, from every key that repeated it.
	ours["gen_ai.request.model"] = "gpt-7-turbo"
	got = attributesOf(run(t, cfg, oneSpan(ours)))
	assert.Equal(t, "unpriced", got["tokenomics.cost.status"])
	for _, key := range []string{"tokenomics.cost.total", "gen_ai.usage.cost", "operation.cost", "mlflow.llm.cost"} {
		assert.NotContains(t, got, key)
	}
	ours["gen_ai.request.model"] = "gpt-4o"

	ours["tokenomics.cost.source"] = "provider"
	got = attributesOf(run(t, cfg, oneSpan(ours)))
	assert.Equal(t, 0.5, got["tokenomics.cost.total"], "a provider's total stays")
	assert.Equal(t, 0.0075, got["tokenomics.cost.computed"])
}

// TestRepriceOfPartialSpans: what the SDK knew to be missing is not on the span, and a new price does not bring it back.
func TestRepriceOfPartialSpans(t *testing.T) {
	cfg := vectorConfig()
	cfg.Reprice = repriceAlways
	ours := chat("gpt-4o", 1000, 500)
	for key, value := range map[string]any{
		"tokenomics.cost.total": 0.9, "tokenomics.cost.source": "sdk", "tokenomics.cost.status": "partial",
		"tokenomics.cost.reason": "incomplete_usage", "tokenomics.price.book": "b@1", "tokenomics.price.sku": "openai/gpt-4o",
	} {
		ours[key] = value
	}
	got := attributesOf(run(t, cfg, oneSpan(ours)))
	assert.Equal(t, []any{0.0075, "partial", "incomplete_usage"},
		[]any{got["tokenomics.cost.total"], got["tokenomics.cost.status"], got["tokenomics.cost.reason"]})
}

// TestRepriceIsIdempotent holds every setting that adopts or repeats figures to one rule: the second pass of the same
// collector changes nothing, also where it prices anew.
func TestRepriceIsIdempotent(t *testing.T) {
	openRouter := chat("openai/gpt-5-mini", 1000, 100)
	openRouter["gen_ai.provider.name"] = "openrouter"
	bill := chat("openai/gpt-5-mini", 1000, 100)
	bill["gen_ai.provider.name"], bill["gen_ai.usage.total_cost"] = "openrouter", 0.00046
	estimate, unknown := chat("gpt-4o", 1000, 500), chat("gpt-7-turbo", 10, 10)
	estimate["gen_ai.usage.cost"], unknown["llm.cost.total"] = 0.008, 0.003
	for name, attributes := range map[string]map[string]any{
		"our own OpenRouter key is no bill": openRouter, "bill": bill, "estimate": estimate, "estimate of an unknown model": unknown,
		"container": {"gen_ai.operation.name": "invoke_agent"}, "no usage": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"},
	} {
		for _, mode := range []string{onExistingVerify, onExistingKeep, onExistingOverwrite} {
			t.Run(name+" "+mode, func(t *testing.T) {
				cfg := vectorConfig()
				cfg.Reprice, cfg.OnExisting, cfg.Dialects, cfg.CostParts = repriceAlways, mode, dialectNames, true
				once := run(t, cfg, oneSpan(attributes))
				assert.Equal(t, marshal(t, once), marshal(t, run(t, cfg, once)))
				for key, value := range attributes {
					assert.EqualValues(t, value, attributesOf(once)[key], "a key of somebody else")
				}
			})
		}
	}
}

func TestEndpoints(t *testing.T) {
	local := chat("gpt-4o", 1000, 500)
	local["server.address"], local["server.port"] = "127.0.0.1", int64(8001)
	for name, test := range map[string]struct {
		change func(*Config)
		scope  string
		key    string
		want   any
	}{
		"unknown host":         {func(*Config) {}, "x", "tokenomics.cost.flags", []any{"assumed_provider"}},
		"unknown host refused": {func(c *Config) { c.UnknownHost = unknownHostUnpriced }, "x", "tokenomics.cost.reason", "unknown_model"},
		"named":                {func(c *Config) { c.Endpoints = []string{"127.0.0.1:8001=openai"} }, "x", "tokenomics.cost.flags", nil},
		"other port":           {func(c *Config) { c.Endpoints = []string{"127.0.0.1:8002=openai"} }, "x", "tokenomics.cost.flags", []any{"assumed_provider"}},
		"path, our SDK":        {func(c *Config) { c.Endpoints = []string{"127.0.0.1:8001/a=anthropic", "127.0.0.1:8001/o=openai"} }, "otel_tokenomics", "tokenomics.cost.flags", nil},
		"path, others":         {func(c *Config) { c.Endpoints = []string{"127.0.0.1:8001/o=openai"} }, "x", "tokenomics.cost.flags", []any{"assumed_provider"}},
		"billed elsewhere":     {func(c *Config) { c.BilledElsewhere = []string{"127.0.0.1:8001"} }, "x", "tokenomics.cost.reason", "billed_elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := vectorConfig()
			test.change(cfg)
			in := oneSpan(local)
			in.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(test.scope)
			assert.Equal(t, test.want, attributesOf(run(t, cfg, in))[test.key])
		})
	}
}

// TestBookIsSwappedInFlight changes the file under a running processor: good books are taken, bad ones refused.
func TestBookIsSwappedInFlight(t *testing.T) {
	text, err := os.ReadFile(vectorBook)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "book.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	cfg := vectorConfig()
	cfg.Book.Files = []FileConfig{{Path: path, ReloadInterval: time.Second}}
	pricer, err := newProcessor(nopSettings(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, pricer.shutdown(t.Context())) }()
	total := func() any {
		out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 0)))
		require.NoError(t, err)
		return attributesOf(out)["tokenomics.cost.total"]
	}
	assert.Equal(t, 0.0025, total())

	newer := strings.NewReplacer(`"2026.11.22"`, `"2026.11.23"`, "2026-11-22T05:00:00Z", "2026-11-23T05:00:00Z",
		`"id": "gpt-4o", "rows": [{"rates": {"input": 2500000`, `"id": "gpt-4o", "rows": [{"rates": {"input": 3000000`).Replace(string(text))
	require.NoError(t, os.WriteFile(path, []byte(newer), 0o600))
	pricer.books.Reload()
	assert.Equal(t, "vectors@2026.11.23", pricer.books.Book().ID())

	require.NoError(t, os.WriteFile(path, []byte(`{"schema":"otel-tokenomics/pricebook/1"}`), 0o600))
	pricer.books.Reload()
	assert.Equal(t, "vectors@2026.11.23", pricer.books.Book().ID(), "the last good book stays")
	assert.Equal(t, map[reloadKey]int64{{"file", "swapped"}: 1, {"file", "refused"}: 1}, pricer.counters.reloads)
}

func TestMissingBookStopsTheStart(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Book.Files = []FileConfig{{Path: filepath.Join(t.TempDir(), "absent.json")}}
	_, err := NewFactory().CreateTraces(t.Context(), nopSettings(), cfg, consumertest.NewNop())
	require.ErrorContains(t, err, "absent.json")
	require.ErrorContains(t, err, `"book"`)
}
