package tokenomicsprocessor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

const (
	vectors    = "../../../tests/vectors"
	vectorBook = vectors + "/book.json"
	// vectorOverlay holds own prices over it.
	vectorOverlay = vectors + "/overlay.json"
)

// spanCase is one file of tests/vectors/spans.
type spanCase struct {
	Name    string          `json:"name"`
	Why     string          `json:"why"`
	Overlay bool            `json:"overlay"`
	Options spanOptions     `json:"options"`
	In      json.RawMessage `json:"in"`
	Out     json.RawMessage `json:"out"`
}

type spanOptions struct {
	OnExisting       string            `json:"on_existing"`
	UsageConvention  string            `json:"usage_convention"`
	PriceServerSpans bool              `json:"price_server_spans"`
	Dialects         []string          `json:"dialects"`
	CostParts        bool              `json:"cost_parts"`
	Agents           map[string]string `json:"agents"`
}

func (o *spanOptions) config() *Config {
	cfg := vectorConfig()
	if o.OnExisting != "" {
		cfg.OnExisting = o.OnExisting
	}
	if o.UsageConvention != "" {
		cfg.UsageConvention = o.UsageConvention
	}
	if o.Dialects != nil {
		cfg.Dialects = o.Dialects
	}
	cfg.PriceServerSpans, cfg.CostParts, cfg.Agents = o.PriceServerSpans, o.CostParts, o.Agents
	return cfg
}

// vectorConfig uses the frozen book, whose age is nobody's fault.
func vectorConfig() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Book.Files = []FileConfig{{Path: vectorBook}}
	cfg.MaxAge = 0
	return cfg
}

func TestSpanVectors(t *testing.T) {
	files, err := filepath.Glob(vectors + "/spans/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 30)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		var vector spanCase
		require.NoError(t, decoder.Decode(&vector), file)
		t.Run(vector.Name, func(t *testing.T) {
			require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".json"), vector.Name)
			require.NotEmpty(t, vector.Why)
			cfg := vector.Options.config()
			if vector.Overlay {
				cfg.Book.Overlays = []FileConfig{{Path: vectorOverlay}}
			}
			want, got := unmarshal(t, vector.Out), run(t, cfg, unmarshal(t, vector.In))
			assert.Equal(t, describe(want), describe(got))

			// A second collector, or a retry of data that was changed already, changes nothing.
			first := marshal(t, got)
			assert.Equal(t, first, marshal(t, run(t, cfg, got)), "not idempotent")
		})
	}
}

func unmarshal(t *testing.T, data []byte) ptrace.Traces {
	t.Helper()
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	return traces
}

func marshal(t *testing.T, traces ptrace.Traces) string {
	t.Helper()
	data, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	return string(data)
}

// start makes and starts a processor in front of a sink.
func start(t testing.TB, cfg *Config, set processor.Settings) (processor.Traces, *consumertest.TracesSink) {
	t.Helper()
	require.NoError(t, cfg.Validate())
	sink := &consumertest.TracesSink{}
	traces, err := NewFactory().CreateTraces(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, traces.Shutdown(t.Context())) })
	return traces, sink
}

func nopSettings() processor.Settings {
	return processortest.NewNopSettings(component.MustNewType("tokenomics"))
}

// run sends a copy through a new processor and returns what came out.
func run(t testing.TB, cfg *Config, in ptrace.Traces) ptrace.Traces {
	t.Helper()
	traces, sink := start(t, cfg, nopSettings())
	work := ptrace.NewTraces()
	in.CopyTo(work)
	require.NoError(t, traces.ConsumeTraces(t.Context(), work))
	require.Len(t, sink.AllTraces(), 1)
	return sink.AllTraces()[0]
}

// describe writes every span as lines, attributes sorted and doubles by their bits.
func describe(traces ptrace.Traces) []string {
	var lines []string
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				lines = append(lines, fmt.Sprintf("%s %s %s", span.SpanID(), span.Name(), span.Kind()))
				lines = append(lines, describeMap(span.Attributes())...)
			}
		}
	}
	return lines
}

func describeMap(attrs pcommon.Map) []string {
	var lines []string
	for key, value := range attrs.All() {
		text := fmt.Sprintf("%s %v", value.Type(), value.AsRaw())
		if value.Type() == pcommon.ValueTypeDouble {
			text = fmt.Sprintf("Double %v (%016x)", value.Double(), math.Float64bits(value.Double()))
		}
		lines = append(lines, "  "+key+" = "+text)
	}
	slices.Sort(lines)
	return lines
}
