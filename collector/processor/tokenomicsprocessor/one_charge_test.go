package tokenomicsprocessor

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadatatest"
)

// TestWhatIsTakenBackIsNotCounted: three calls of the SDK, their three spans of a framework, and one more of it.
func TestWhatIsTakenBackIsNotCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	traces, _ := start(t, vectorConfig(), set)
	require.NoError(t, traces.ConsumeTraces(t.Context(), vector(t, "once_parallel_calls")))
	// A model that the book does not know: once on the framework's span, once on the SDK's, which stays as it is.
	unknown := vector(t, "once_without_id")
	for _, scope := range unknown.ResourceSpans().At(0).ScopeSpans().All() {
		for _, span := range scope.Spans().All() {
			attrs := span.Attributes()
			for _, value := range attrs.All() {
				if strings.HasPrefix(value.Str(), "gpt-4o") {
					value.SetStr("gpt-unheard-of")
				}
			}
		}
	}
	require.NoError(t, traces.ConsumeTraces(t.Context(), unknown))
	spans := func(outcome string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("outcome", outcome))}
	}
	metadatatest.AssertEqualProcessorTokenomicsSpans(t, telemetry, []metricdata.DataPoint[int64]{
		spans("priced", 1), spans("passed", 6), spans("not_applicable", 4),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsCost(t, telemetry, []metricdata.DataPoint[float64]{{
		Value:      0.0035,
		Attributes: attribute.NewSet(attribute.String("currency", "USD"), attribute.String("source", "collector"), attribute.String("basis", "list")),
	}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsUnpricedTokens(t, telemetry, []metricdata.DataPoint[int64]{
		tokensOf("input", 0), tokensOf("output", 0),
	}, metricdatatest.IgnoreTimestamp())
	// Only one of the two spans of each call names its response.
	byRule := func(rule string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("rule", rule))}
	}
	metadatatest.AssertEqualProcessorTokenomicsDedup(t, telemetry, []metricdata.DataPoint[int64]{
		byRule("response_id", 0), byRule("nested", 4),
	}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, traces.ConsumeTraces(t.Context(), vector(t, "once_response_id")))
	metadatatest.AssertEqualProcessorTokenomicsDedup(t, telemetry, []metricdata.DataPoint[int64]{
		byRule("response_id", 1), byRule("nested", 4),
	}, metricdatatest.IgnoreTimestamp())
}

func tokensOf(side string, count int64) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(
		attribute.String("type", side), attribute.String("reason", "unknown_model"))}
}

// TestOtherBatchesAreNotSeen: the processor keeps nothing of a batch; what came apart is for the roll-up.
func TestOtherBatchesAreNotSeen(t *testing.T) {
	whole := vector(t, "once_without_id")
	traces, sink := start(t, vectorConfig(), nopSettings())
	charged := 0
	for index := range whole.ResourceSpans().At(0).ScopeSpans().Len() {
		part := ptrace.NewTraces()
		resource := part.ResourceSpans().AppendEmpty()
		whole.ResourceSpans().At(0).ScopeSpans().At(index).CopyTo(resource.ScopeSpans().AppendEmpty())
		require.NoError(t, traces.ConsumeTraces(t.Context(), part))
		out := sink.AllTraces()[index].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		if _, there := out.Attributes().Get("tokenomics.cost.total"); there {
			charged++
		}
	}
	assert.Equal(t, 2, charged)
}

func vector(t *testing.T, name string) ptrace.Traces {
	t.Helper()
	data, err := os.ReadFile(vectors + "/spans/" + name + ".json")
	require.NoError(t, err)
	var found spanCase
	require.NoError(t, json.Unmarshal(data, &found))
	return unmarshal(t, found.In)
}
