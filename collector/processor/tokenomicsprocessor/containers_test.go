package tokenomicsprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// agentSpan is an agent that repeats usage: 1000 x 2500000 + 100 x 10000000 pico of gpt-4o.
func agentSpan(model string) ptrace.Traces {
	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(pcommon.Timestamp(1795341600000000000))
	found := span.Attributes()
	found.PutStr("gen_ai.operation.name", "invoke_agent")
	found.PutStr("gen_ai.provider.name", "openai")
	found.PutStr("gen_ai.request.model", model)
	found.PutInt("gen_ai.usage.input_tokens", 1000)
	found.PutInt("gen_ai.usage.output_tokens", 100)
	return traces
}

func TestPriceContainers(t *testing.T) {
	for _, one := range []struct {
		name, model string
		price       bool
		computed    any
	}{
		{"asked for", "gpt-4o", true, 0.0035},
		{"not asked for", "gpt-4o", false, nil},
		{"a model that nobody knows", "model-zeta-9", true, nil},
	} {
		t.Run(one.name, func(t *testing.T) {
			cfg := vectorConfig()
			cfg.PriceContainers = one.price
			out := run(t, cfg, agentSpan(one.model))
			bears := out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
			assert.Equal(t, "not_applicable", bears["tokenomics.cost.status"])
			assert.Equal(t, "container", bears["tokenomics.cost.reason"])
			assert.Equal(t, one.computed, bears["tokenomics.cost.computed"])
			assert.NotContains(t, bears, "tokenomics.cost.total")
			assert.NotContains(t, bears, "gen_ai.usage.cost")
			if one.computed != nil {
				assert.Equal(t, "list", bears["tokenomics.cost.basis"])
				assert.Equal(t, "openai/gpt-4o", bears["tokenomics.price.sku"])
				assert.Equal(t, "vectors@2026.11.22", bears["tokenomics.price.book"])
			}
			require.Equal(t, marshal(t, out), marshal(t, run(t, cfg, out)), "not idempotent")
		})
	}
}
