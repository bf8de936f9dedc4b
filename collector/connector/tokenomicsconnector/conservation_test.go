package tokenomicsconnector

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor"
)

// costOf adds the costs on spans up as decimals, with nothing of ours.
func costOf(t *testing.T, traces ptrace.Traces) (usd float64, calls int) {
	t.Helper()
	sum := new(big.Rat)
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if status, ok := span.Attributes().Get("tokenomics.cost.status"); !ok || status.Str() == "not_applicable" {
					continue
				}
				if _, charge := span.Attributes().Get("tokenomics.charge.kind"); !charge {
					calls++
				}
				if total, ok := span.Attributes().Get("tokenomics.cost.total"); ok {
					amount, ok := new(big.Rat).SetString(strconv.FormatFloat(total.Double(), 'g', -1, 64))
					require.True(t, ok)
					sum.Add(sum, amount)
				}
			}
		}
	}
	usd, _ = sum.Float64()
	return usd, calls
}

// TestBehindTheProcessor prices the spans of every emitter that the vectors know and compares the metrics with what then
// stands on the spans.
func TestBehindTheProcessor(t *testing.T) {
	files, err := filepath.Glob("../../../tests/vectors/spans/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	factory, priced := tokenomicsprocessor.NewFactory(), &consumertest.TracesSink{}
	cfg := factory.CreateDefaultConfig().(*tokenomicsprocessor.Config)
	cfg.Book.Files = []tokenomicsprocessor.FileConfig{{Path: "../../../tests/vectors/book.json"}}
	pricer, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, priced)
	require.NoError(t, err)
	defer func() { require.NoError(t, pricer.Shutdown(t.Context())) }()
	s := staged(t, nopSettings())
	defer s.end()
	spent, requests := 0., 0
	for _, file := range files {
		var vector struct {
			In json.RawMessage `json:"in"`
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &vector))
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(vector.In)
		require.NoError(t, err)
		priced.Reset()
		require.NoError(t, pricer.ConsumeTraces(t.Context(), traces))
		out := priced.AllTraces()[0]
		usd, calls := costOf(t, out)
		before := s.counters.items[signalTraces][outcomeMalformed]
		require.NoError(t, s.ConsumeTraces(t.Context(), out))
		assert.Equal(t, before, s.counters.items[signalTraces][outcomeMalformed], file)
		spent, requests = spent+usd, requests+calls
	}
	got := s.flushAt(15)
	assert.InDelta(t, spent, totals(got)["tokenomics.span.cost"], 1e-9)
	// A call that failed is a request that is no charge.
	failed := 0
	for _, one := range only(pointsOf(got), "tokenomics.span.requests") {
		if one.attributes["tokenomics.cost.status"] == "not_applicable" {
			failed += int(one.value.(int64))
		}
	}
	assert.Equal(t, float64(requests+failed), totals(got)["tokenomics.span.requests"])
	assert.Greater(t, requests, 50)
}

// TestConservation: the same calls in any order, cut into any batches, with any flushes between and some of them refused,
// add up to the same, in either temporality.
func TestConservation(t *testing.T) {
	for seed := range 20 {
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		var spans []map[string]any
		want := map[string]float64{}
		pico := int64(0)
		for range 100 + random.IntN(200) {
			service := map[string]any{"tokenomics.tag.team": fmt.Sprint("team-", random.IntN(150)), "gen_ai.request.model": fmt.Sprint("model-", random.IntN(150))}
			input, output := random.IntN(100_000), random.IntN(1000)
			service["gen_ai.usage.input_tokens"], service["gen_ai.usage.output_tokens"], service["gen_ai.usage.cache_read.input_tokens"] = input, output, random.IntN(input+1)
			want["tokenomics.span.requests"]++
			want["tokenomics.span.tokens"] += float64(input + output)
			if random.IntN(4) == 0 {
				if input+output > 0 {
					want["tokenomics.span.unpriced.tokens"] += float64(input + output)
				}
				spans = append(spans, unpriced(service))
				continue
			}
			amount := random.Int64N(1 << (10 + random.IntN(40)))
			pico += amount
			service["tokenomics.cost.total"] = float64(amount) / 1e12
			spans = append(spans, call(service))
		}
		for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
			random.Shuffle(len(spans), func(a, b int) { spans[a], spans[b] = spans[b], spans[a] })
			s := staged(t, nopSettings(), func(cfg *Config) { cfg.Temporality, cfg.MaxSeries = temporality, 60 })
			got := map[string]float64{}
			collect := func(second int) {
				metrics := s.flushAt(second)
				if s.sink.err != nil {
					return
				}
				if temporality == temporalityCumulative {
					clear(got)
				}
				for name, value := range totals(metrics) {
					got[name] += value
				}
			}
			second := 0
			for rest := spans; len(rest) > 0; second++ {
				size := 1 + random.IntN(len(rest))
				s.traces(rest[:size]...)
				rest = rest[size:]
				if s.sink.err = nil; random.IntN(3) == 0 {
					s.sink.err = assert.AnError
				}
				collect(second)
			}
			s.sink.err = nil
			collect(second)
			assert.InEpsilon(t, float64(pico)/1e12, got["tokenomics.span.cost"], 1e-12)
			delete(got, "tokenomics.span.cost")
			assert.Equal(t, want, got, "%d %s", seed, temporality)
			s.end()
		}
	}
}

// TestNothingIsChanged: the batch goes on to others as it came.
func TestNothingIsChanged(t *testing.T) {
	s := staged(t, nopSettings())
	defer s.end()
	traces := tracesOf(shop, call(nil), unpriced(nil))
	before := ptrace.NewTraces()
	traces.CopyTo(before)
	traces.MarkReadOnly()
	require.NoError(t, s.ConsumeTraces(t.Context(), traces))
	assert.Equal(t, before.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).Attributes().AsRaw(),
		traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).Attributes().AsRaw())
	assert.False(t, s.Capabilities().MutatesData)
	// Too much to be worth reading, and no attributes at all.
	crowd := ptrace.NewTraces()
	span := crowd.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	for index := range maxAttributes {
		span.Attributes().PutEmpty(fmt.Sprint("k", index)).SetInt(1)
	}
	span.Attributes().PutStr("tokenomics.cost.status", "priced")
	crowd.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
	require.NoError(t, s.ConsumeTraces(t.Context(), crowd))
	assert.Equal(t, [outcomeCount]int64{outcomeCounted: 2, outcomeMalformed: 1, outcomeSkipped: 1}, s.counters.items[signalTraces])
}
