package tokenomicsconnector

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return data
}

// sorted is a collection as text, points and their attributes in an order of their own.
func sorted(t *testing.T, metrics pmetric.Metrics) string {
	t.Helper()
	each(metrics, func(metric pmetric.Metric) {
		switch metric.Type() {
		case pmetric.MetricTypeHistogram:
			for _, one := range metric.Histogram().DataPoints().All() {
				sortAttributes(one.Attributes())
			}
			metric.Histogram().DataPoints().Sort(func(a, b pmetric.HistogramDataPoint) bool {
				return textOf(a.Attributes()) < textOf(b.Attributes())
			})
		default:
			for _, one := range metric.Sum().DataPoints().All() {
				sortAttributes(one.Attributes())
			}
			metric.Sum().DataPoints().Sort(func(a, b pmetric.NumberDataPoint) bool {
				return textOf(a.Attributes()) < textOf(b.Attributes())
			})
		}
	})
	text, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	var readable any
	require.NoError(t, json.Unmarshal(text, &readable))
	text, err = json.MarshalIndent(readable, "", " ")
	require.NoError(t, err)
	return string(text)
}

func sortAttributes(attributes pcommon.Map) {
	var pairs []pair
	for key, value := range attributes.All() {
		pairs = append(pairs, pair{key, value.Str()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	attributes.Clear()
	for _, one := range pairs {
		attributes.PutStr(one.key, one.value)
	}
}

func textOf(attributes pcommon.Map) string {
	text, err := json.Marshal(attributes.AsRaw())
	must(err)
	return string(text)
}

// TestGolden compares whole OTLP: an agent's trace with a container, a call of each status and a charge, and the log
// record of a coding agent whose counts are texts.
func TestGolden(t *testing.T) {
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(readFile(t, "traces.in.json"))
	require.NoError(t, err)
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(readFile(t, "logs.in.json"))
	require.NoError(t, err)
	for file, change := range map[string]func(*Config){
		"traces.cumulative.out.json": func(*Config) {},
		"traces.delta.out.json":      func(cfg *Config) { cfg.Temporality = temporalityDelta },
		"traces.optional.out.json":   func(cfg *Config) { cfg.MetricsOptional = []string{optionalRequestCost, optionalCostPart} },
		"logs.out.json":              func(*Config) {},
	} {
		s := staged(t, nopSettings(), change)
		if file == "logs.out.json" {
			require.NoError(t, s.ConsumeLogs(t.Context(), logs))
		} else {
			traces.MarkReadOnly()
			require.NoError(t, s.ConsumeTraces(t.Context(), traces))
		}
		want, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(readFile(t, file))
		require.NoError(t, err)
		got := s.flushAt(15)
		// The version of the test's settings is not part of what is expected.
		got.ResourceMetrics().At(0).ScopeMetrics().At(0).Scope().SetVersion("")
		got.ResourceMetrics().At(0).Resource().Attributes().Remove(collectorInstance)
		assert.Equal(t, sorted(t, want), sorted(t, got), file)
		s.end()
	}
}
