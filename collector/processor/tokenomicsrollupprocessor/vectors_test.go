package tokenomicsrollupprocessor

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// vectorsFile is read by the pure room too, which holds the rules; here it is the way onto spans that is held.
const vectorsFile = "../../../tests/vectors/rollup.json"

type vector struct {
	Name  string           `json:"name"`
	Spans []map[string]any `json:"spans"`

	Expect struct {
		Subtree  map[string]string `json:"subtree"`
		Partial  []string          `json:"partial"`
		Trace    map[string]any    `json:"trace"`
		Shadowed map[string]string `json:"shadowed"`
	} `json:"expect"`
}

func text(fields map[string]any, key string) string {
	found, _ := fields[key].(string)
	return found
}

func integer(t *testing.T, text string) int64 {
	t.Helper()
	if text == "" {
		return 0
	}
	found, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return found
}

// fill writes a span of the vectors as an earlier step of ours would have left it.
func fill(t *testing.T, span ptrace.Span, fields map[string]any) {
	t.Helper()
	span.SetTraceID(traceID(1))
	span.SetSpanID(spanID(int(integer(t, text(fields, "id")))))
	if parent := text(fields, "parent"); parent != "" {
		span.SetParentSpanID(spanID(int(integer(t, parent))))
	}
	span.SetStartTimestamp(pcommon.Timestamp(integer(t, text(fields, "start"))))
	attrs := span.Attributes()
	for key, field := range map[string]string{
		"gen_ai.provider.name": "provider", "gen_ai.request.model": "model", "gen_ai.response.id": "response_id",
		"tokenomics.cost.status": "status",
	} {
		if value := text(fields, field); value != "" {
			attrs.PutStr(key, value)
		}
	}
	for key, field := range map[string]string{"gen_ai.usage.input_tokens": "input", "gen_ai.usage.output_tokens": "output"} {
		if value := text(fields, field); value != "" {
			attrs.PutInt(key, integer(t, value))
		}
	}
	model, own := text(fields, "model"), text(fields, "own")
	switch {
	case model != "":
		attrs.PutStr("gen_ai.operation.name", "chat")
		if text(fields, "status") == "not_applicable" {
			attrs.PutStr("tokenomics.cost.reason", "billed_elsewhere")
		}
	case own != "":
		attrs.PutStr("tokenomics.charge.kind", "ocr")
	case text(fields, "status") != "":
		attrs.PutStr("gen_ai.operation.name", "invoke_agent")
		attrs.PutStr("tokenomics.cost.reason", "container")
	}
	if own != "" {
		attrs.PutDouble("tokenomics.cost.total", pricing.ToDouble(integer(t, own)))
		attrs.PutStr("tokenomics.cost.source", "sdk")
		if model != "" {
			attrs.PutStr("tokenomics.price.model", model)
		}
	}
}

func TestVectors(t *testing.T) {
	data, err := os.ReadFile(vectorsFile)
	require.NoError(t, err)
	var vectors []vector
	require.NoError(t, json.Unmarshal(data, &vectors))
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			for _, grouped := range []bool{false, true} {
				cfg := createDefaultConfig().(*Config)
				cfg.Grouped = grouped
				batch := ptrace.NewTraces()
				spans := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
				for _, fields := range vector.Spans {
					fill(t, spans.AppendEmpty(), fields)
				}
				checkVector(t, &vector, bears(through(t, cfg, batch)))
			}
		})
	}
}

// through sends batches through a new processor, waits until all is due, and returns what came out.
func through(t testing.TB, cfg *Config, batches ...ptrace.Traces) []ptrace.Traces {
	t.Helper()
	sink := &consumertest.TracesSink{}
	holder, clock := still(t, cfg, sink)
	for _, batch := range batches {
		require.NoError(t, holder.ConsumeTraces(t.Context(), batch))
	}
	clock.add(cfg.MaxWait)
	holder.tick()
	require.Zero(t, holder.held)
	return sink.AllTraces()
}

func checkVector(t *testing.T, vector *vector, got map[[2]int]map[string]any) {
	t.Helper()
	subtree, partial, shadowed := map[string]any{}, []string{}, map[string]string{}
	var trace map[string]any
	for key, attrs := range got {
		id := strconv.Itoa(key[1])
		if total, there := attrs["tokenomics.subtree.cost.total"]; there {
			subtree[id] = total
		}
		if attrs["tokenomics.subtree.partial"] == true {
			partial = append(partial, id)
		}
		if by, there := attrs["tokenomics.shadowed_by"].(string); there {
			number, err := strconv.ParseUint(by, 16, 64)
			require.NoError(t, err)
			shadowed[id] = strconv.FormatUint(number, 10)
			assert.NotContains(t, attrs, "tokenomics.cost.total")
			assert.Equal(t, "shadowed", attrs["tokenomics.cost.reason"])
		}
		if _, there := attrs["tokenomics.trace.complete"]; there {
			assert.Nil(t, trace, "two spans bear totals of the trace")
			trace = attrs
		}
	}
	want := map[string]any{}
	for id, total := range vector.Expect.Subtree {
		want[id] = pricing.ToDouble(integer(t, total))
	}
	assert.Equal(t, want, subtree)
	slices.Sort(partial)
	assert.Equal(t, vector.Expect.Partial, partial)
	assert.Equal(t, vector.Expect.Shadowed, shadowed)
	assert.Equal(t, wantedTrace(t, vector.Expect.Trace), traceKeys(trace))
}

func traceKeys(attrs map[string]any) map[string]any {
	found := map[string]any{}
	for key, value := range attrs {
		if name, ours := strings.CutPrefix(key, "tokenomics.trace."); ours {
			found[name] = value
		}
	}
	return found
}

func wantedTrace(t *testing.T, fields map[string]any) map[string]any {
	t.Helper()
	found := map[string]any{}
	if fields == nil {
		return found
	}
	found["complete"] = fields["complete"]
	for name, key := range map[string]string{
		"llm_calls": "llm_calls", "unpriced_calls": "unpriced_calls", "tokens.input": "input", "tokens.output": "output",
	} {
		found[name] = integer(t, text(fields, key))
	}
	if total := text(fields, "total"); total != "" {
		found["cost.total"] = pricing.ToDouble(integer(t, total))
		found["cost.total_micros"] = integer(t, total) / 1_000_000
	}
	if model := text(fields, "top_model"); model != "" {
		found["top_model"] = model
	}
	return found
}

// TestGolden sends the payloads of testdata/<case>.in.json, one a line, and compares what comes out with
// testdata/<case>.out.json, doubles by their bits. A name that ends in _bare counts bare containers.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var batches []ptrace.Traces
			for line := range bytes.Lines(data) {
				batches = append(batches, unmarshal(t, line))
			}
			want, err := os.ReadFile(filepath.Join("testdata", name+".out.json"))
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config)
			cfg.CountBareContainers = strings.HasSuffix(name, "_bare")
			out := through(t, cfg, batches...)
			assert.Equal(t, describe(unmarshal(t, want)), describe(out...))
			again := make([]ptrace.Traces, len(out))
			for index := range out {
				again[index] = ptrace.NewTraces()
				out[index].CopyTo(again[index])
			}
			assert.Equal(t, describe(out...), describe(through(t, cfg, again...)...), "a second roll-up changes something")
		})
	}
}

func unmarshal(t testing.TB, data []byte) ptrace.Traces {
	t.Helper()
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	return traces
}

// describe writes resources, scopes and spans as lines, attributes sorted and doubles by their bits.
func describe(all ...ptrace.Traces) []string {
	var lines []string
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			lines = append(lines, "resource "+resource.SchemaUrl())
			lines = append(lines, describeMap(resource.Resource().Attributes())...)
			for _, scope := range resource.ScopeSpans().All() {
				lines = append(lines, "scope "+scope.Scope().Name()+" "+scope.Scope().Version())
				for _, span := range scope.Spans().All() {
					lines = append(lines, "span "+span.TraceID().String()+" "+span.SpanID().String()+" "+span.ParentSpanID().String()+" "+span.Name())
					lines = append(lines, describeMap(span.Attributes())...)
				}
			}
		}
	}
	return lines
}

func describeMap(attrs pcommon.Map) []string {
	var lines []string
	for key, value := range attrs.All() {
		text := value.Type().String() + " " + value.AsString()
		if value.Type() == pcommon.ValueTypeDouble {
			text = "Double " + value.AsString() + " " + strconv.FormatUint(math.Float64bits(value.Double()), 16)
		}
		lines = append(lines, "  "+key+" = "+text)
	}
	slices.Sort(lines)
	return lines
}
