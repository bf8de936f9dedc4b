package tokenomicsprocessor

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// TestHostileSpans feeds what no SDK writes; every span must come out as it went in.
func TestHostileSpans(t *testing.T) {
	many := chat("gpt-4o", 10, 10)
	for index := range 100_000 {
		many["key"+strings.Repeat("x", index%7)+string(rune('a'+index%26))+time.Duration(index).String()] = "v"
	}
	for name, attributes := range map[string]map[string]any{
		"a hundred thousand attributes": many,
		"model is a list":               {"gen_ai.operation.name": "chat", "gen_ai.request.model": []any{"gpt-4o"}, "gen_ai.usage.input_tokens": 1},
		"provider is a number":          {"gen_ai.operation.name": "chat", "gen_ai.provider.name": 3.5, "gen_ai.usage.input_tokens": 1},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, rawOf(attributes), attributesOf(run(t, vectorConfig(), oneSpan(attributes))))
		})
	}
}

func rawOf(attributes map[string]any) map[string]any { return attributesOf(oneSpan(attributes)) }

// TestAFailureOfOursStopsNothing: the span that nobody foresaw passes as it is, the next one is priced, and the log
// holds nothing of it.
func TestAFailureOfOursStopsNothing(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	pricer, err := newProcessor(set, vectorConfig())
	require.NoError(t, err)
	whole := pricer.endpoints
	pricer.endpoints = nil
	call := chat("gpt-4o", 1000, 500)
	call["server.address"] = "secret.example"
	out, err := pricer.processTraces(t.Context(), oneSpan(call))
	require.NoError(t, err)
	assert.Equal(t, rawOf(call), attributesOf(out))
	assert.Equal(t, int64(1), pricer.counters.total.outcomes[outcomeMalformed])
	require.Equal(t, 1, logs.Len())
	assert.NotContains(t, fmt.Sprint(logs.All()[0].ContextMap()), "secret.example")
	pricer.endpoints = whole
	out, err = pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 500)))
	require.NoError(t, err)
	assert.Equal(t, 0.0075, attributesOf(out)["tokenomics.cost.total"])
}

// TestLongTexts: a name of a megabyte is no name, and what it costs does not grow with it.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("M", 1<<20)
	for key, want := range map[string]any{
		"gen_ai.request.model":          pricing.ReasonNoModel,
		"gen_ai.response.model":         pricing.ReasonNoModel,
		"gen_ai.provider.name":          nil, // one more name that nobody knows: the only maker of the model is assumed
		"server.address":                nil,
		"tokenomics.request.geo":        nil,
		"openai.response.service_tier":  pricing.ReasonTierUnpriced,
		"gen_ai.usage.output_tokens":    pricing.ReasonIncompleteUsage,
		"gen_ai.openai.api_base":        nil,
		"openinference.span.kind":       nil,
		"tokenomics.credential.hash":    nil,
		"gen_ai.usage.cost":             nil,
		"gen_ai.response.status":        nil,
		"tokenomics.call.end":           pricing.ReasonIncompleteUsage,
		"gen_ai.usage.cost.source":      nil,
		"tokenomics.usage.accounting":   nil,
		"tokenomics.request.deployment": nil,
	} {
		t.Run(key, func(t *testing.T) {
			call := chat("gpt-4o", 10, 10)
			call[key] = long
			pricer, err := newProcessor(nopSettings(), vectorConfig())
			require.NoError(t, err)
			out, err := pricer.processTraces(t.Context(), oneSpan(call))
			require.NoError(t, err)
			got := attributesOf(out)
			assert.Equal(t, want, got["tokenomics.cost.reason"])
			assert.LessOrEqual(t, len(got["tokenomics.price.book"].(string)), 64)
			work := batch{book: pricer.books.Book()}
			var span attributes.Span
			span.Enter(attributes.Scope{})
			spancost.Observe(&span, oneSpan(call).ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0))
			// One: a provider's name is lowered, the 257 bytes of it that are looked at.
			assert.LessOrEqual(t, testing.AllocsPerRun(10, func() {
				span.Read(&pricer.options, &work.reading)
			}), 1.0, "reading copies the text")
		})
	}
}

// TestDuplicateKeys: of two attributes of one key the first is read, as everywhere in pdata.
func TestDuplicateKeys(t *testing.T) {
	data := `{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"opentelemetry.instrumentation.genai.openai"},"spans":[{"name":"chat","kind":3,"startTimeUnixNano":"1795341600000000000","attributes":[
		{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},
		{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":"1000"}},
		{"key":"gen_ai.usage.input_tokens","value":{"intValue":"9000"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":"500"}}]}]}]}]}`
	assert.Equal(t, 0.0075, attributesOf(run(t, vectorConfig(), unmarshal(t, []byte(data))))["tokenomics.cost.total"])
}

// TestNamesDoNotFillTheMemory: what is remembered of names and rows is bounded, however many there are.
func TestNamesDoNotFillTheMemory(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	pricer.guesses.limit = 8
	for hour := range 100 {
		traces := oneSpan(chat("gpt-5.4", 10, 10))
		start := time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC)
		traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		_, err := pricer.processTraces(t.Context(), traces)
		require.NoError(t, err)
		assert.Equal(t, []any{"assumed_default"}, attributesOf(traces)["tokenomics.cost.flags"])
		assert.LessOrEqual(t, len(pricer.guesses.known), 8)
	}
}

// TestForgottenNamesAreCounted: a flood of model names pushes others out of the memory, and shows.
func TestForgottenNamesAreCounted(t *testing.T) {
	pricer, err := newProcessor(nopSettings(), vectorConfig())
	require.NoError(t, err)
	const names, kept = 5000, 4096
	for index := range names {
		_, err := pricer.processTraces(t.Context(), oneSpan(chat(fmt.Sprintf("model-%d", index), 1, 1)))
		require.NoError(t, err)
	}
	looked := pricer.counters.looked(pricer.books.Book())
	assert.Equal(t, [3]int64{names, kept, names - kept}, [3]int64{looked.misses, looked.seen.Size, looked.evicted})
}

// chaos makes spans out of every key that a rule reads or writes and values that no emitter means.
type chaos struct {
	*rand.Rand
	keys []string
}

func newChaos(seed uint64) *chaos {
	source := &chaos{Rand: rand.New(rand.NewPCG(seed, 1))}
	source.keys = attributes.KnownKeys()
	for _, dialect := range attributes.Dialects {
		for _, entry := range dialect {
			source.keys = append(source.keys, entry.Key)
		}
	}
	slices.Sort(source.keys)
	source.keys = slices.Compact(source.keys)
	return source
}

func (c *chaos) put(value pcommon.Value) {
	numbers := []float64{0, -1, 12.5, 1000, 0.0075, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)}
	words := []string{
		"", "chat", "gpt-4o", "openai", "openrouter", "anthropic", "sdk", "provider", "collector", "unpriced", "priced", "partial",
		"not_applicable", "no_usage", "incomplete_usage", "completed", "abandoned", "exclusive", "USD", "true", "1000", "1e400", "-1",
		"LLM", "CHAIN", "batch", "flex", "https://openrouter.ai:99999/v1", "api.openai.com", "\x00\xff", `{"total_cost":0.0075}`,
	}
	counts := []int64{0, 1, 500, 1000, -1, 1_000_000_000_000, 1_000_000_000_001, math.MaxInt64, math.MinInt64}
	switch c.IntN(10) {
	case 0, 1, 2, 3:
		value.SetStr(words[c.IntN(len(words))])
	case 4, 5, 6:
		value.SetInt(counts[c.IntN(len(counts))])
	case 7:
		value.SetDouble(numbers[c.IntN(len(numbers))])
	case 8:
		value.SetBool(c.IntN(2) == 0)
	default:
		value.SetEmptySlice().AppendEmpty().SetStr("foreign_zero_ignored")
	}
}

func (c *chaos) traces() ptrace.Traces {
	scopes := []string{"", "otel_tokenomics", "ai", "openlit", "litellm", "openinference.x", "opentelemetry.instrumentation.bedrock", "codex_otel"}
	traces := oneSpan(map[string]any{})
	scope := traces.ResourceSpans().At(0).ScopeSpans().At(0)
	scope.Scope().SetName(scopes[c.IntN(len(scopes))])
	span := scope.Spans().At(0)
	span.SetKind(ptrace.SpanKind(c.IntN(7)))
	span.Status().SetCode(ptrace.StatusCode(c.IntN(4)))
	if c.IntN(4) == 0 {
		span.SetStartTimestamp(pcommon.Timestamp(c.Uint64()))
	}
	// Half of the spans look like a call, so that the rules behind the first are reached.
	if c.IntN(2) == 0 {
		if err := span.Attributes().FromRaw(chat("gpt-4o", 1000, 500)); err != nil {
			panic(err)
		}
	}
	// Some are free, which too few of all those words mean.
	if c.IntN(50) == 0 {
		span.Attributes().PutBool("litellm.cache_hit", true)
	}
	for range c.IntN(12) {
		key := c.keys[c.IntN(len(c.keys))]
		target := span.Attributes().PutEmpty(key)
		c.put(target)
	}
	return traces
}

// TestWhateverArrives holds the promises for any span at all: it comes out, its own words stay, unknown is never a
// number, and the second pass changes nothing.
func TestWhateverArrives(t *testing.T) {
	configs := []*Config{vectorConfig()}
	for _, mode := range []string{onExistingKeep, onExistingOverwrite} {
		cfg := vectorConfig()
		cfg.OnExisting, cfg.CostParts, cfg.Dialects, cfg.PriceServerSpans = mode, true, dialectNames, true
		cfg.UnknownHost, cfg.UsageConvention = unknownHostUnpriced, conventionExclusive
		configs = append(configs, cfg)
	}
	for _, mode := range []string{onExistingVerify, onExistingKeep} {
		cfg := vectorConfig()
		cfg.OnExisting, cfg.Reprice, cfg.CostParts, cfg.Dialects = mode, repriceAlways, true, dialectNames
		configs = append(configs, cfg)
	}
	ruled := vectorConfig()
	ruled.Tags = TagsConfig{
		Map:      map[string][]string{"team": {"gen_ai.provider.name"}, "customer": {"model"}, "*": {"llm.token_count.*", "ai.model.*"}},
		Required: []string{"team"}, Defaults: map[string]string{"user": "nobody"},
	}
	configs = append(configs, ruled)
	source := newChaos(7)
	for _, cfg := range configs {
		pricer, err := newProcessor(nopSettings(), cfg)
		require.NoError(t, err)
		for range 4_000 {
			traces := source.traces()
			before := marshal(t, traces)
			in := unmarshal(t, []byte(before))
			once, err := pricer.processTraces(t.Context(), traces)
			require.NoError(t, err)
			require.Equal(t, 1, once.SpanCount())
			first := marshal(t, once)
			if withoutTags(t, first) != withoutTags(t, before) {
				promises(t, spanOf(in).Attributes(), spanOf(once).Attributes(), before)
			}
			again, err := pricer.processTraces(t.Context(), once)
			require.NoError(t, err)
			require.Equal(t, first, marshal(t, again), "not idempotent: %s", before)
		}
		for result, count := range pricer.counters.total.outcomes {
			assert.Positive(t, count, "no span was %s", outcomeNames[result])
		}
	}
}

// withoutTags returns a span as it is but for its tags, which spans get that are not ours to price.
func withoutTags(t *testing.T, text string) string {
	t.Helper()
	traces := unmarshal(t, []byte(text))
	spanOf(traces).Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
		return strings.HasPrefix(key, "tokenomics.tag") || key == attributes.UserId
	})
	return marshal(t, traces)
}

func spanOf(traces ptrace.Traces) ptrace.Span {
	return traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

func promises(t *testing.T, in, out pcommon.Map, before string) {
	t.Helper()
	earlier, _ := in.Get(attributes.TokenomicsCostTotal)
	for key, value := range in.All() {
		if attributes.Own(key) {
			continue
		}
		kept, ok := out.Get(key)
		switch {
		case ok && kept.Equal(value), value.Type() == pcommon.ValueTypeDouble && math.IsNaN(value.Double()):
		case value.AsString() == "0" && strings.Contains(key, "cost"), ok && kept.Type() == value.Type() && earlier.Equal(value):
		case strings.Contains(key, "cost") && repeatsAmount(value, earlier):
		default:
			t.Fatalf("%s was changed: %s", key, before)
		}
	}
	status, _ := out.Get(attributes.TokenomicsCostStatus)
	total, priced := out.Get(attributes.TokenomicsCostTotal)
	switch status.Str() {
	case pricing.StatusUnpriced, spancost.StatusNotApplicable:
		require.False(t, priced, before)
	case pricing.StatusPriced, pricing.StatusPartial, pricing.StatusFree:
		require.True(t, priced && total.Double() >= 0 && total.Double() < 1e7, before)
		require.Equal(t, status.Str() == pricing.StatusFree, total.Double() == 0 && status.Str() == pricing.StatusFree, before)
	default:
		t.Fatalf("status %q: %s", status.Str(), before)
	}
	if _, reasoned := out.Get(attributes.TokenomicsCostReason); reasoned == slices.Contains([]string{pricing.StatusPriced, pricing.StatusFree}, status.Str()) {
		t.Fatalf("a reason beside %s, or none: %s", status.Str(), before)
	}
}

// repeatsAmount says whether a value is the amount that our earlier step wrote, as a number or in the JSON of a dialect.
func repeatsAmount(value, earlier pcommon.Value) bool {
	if earlier == (pcommon.Value{}) {
		return false
	}
	amount := earlier.Double()
	if earlier.Type() == pcommon.ValueTypeInt {
		amount = float64(earlier.Int())
	}
	var members map[string]float64
	if json.Unmarshal([]byte(value.Str()), &members) == nil {
		return slices.Contains(slices.Collect(maps.Values(members)), amount)
	}
	return value.Type() == pcommon.ValueTypeDouble && value.Double() == amount
}
