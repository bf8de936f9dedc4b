package attributes

import (
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// FuzzRead gives one span any text and number under the keys that matter most: every unit that comes out is a count
// that can be priced, and the parts of the input never exceed what was reported by more than the flag admits.
func FuzzRead(f *testing.F) {
	f.Add("otel_tokenomics", "openai", "1200", int64(10), int64(3), int64(4), int64(20), 0.5)
	f.Add("openlit.", "anthropic", "1e400", int64(-1), int64(1<<62), int64(0), int64(-5), -1.0)
	f.Add("ai", "anthropic.messages", " 7 ", int64(1), int64(1), int64(1), int64(1), 1e300)
	f.Fuzz(func(t *testing.T, scope, provider, input string, output, read, write, total int64, reasoning float64) {
		var span Span
		span.Enter(Scope{Name: scope})
		span.Reset()
		for key, value := range map[string]Value{
			GenAiOperationName: StringValue("chat"), GenAiProviderName: StringValue(provider), GenAiRequestModel: StringValue("m"),
			GenAiUsageInputTokens: StringValue(input), GenAiUsageOutputTokens: IntValue(output),
			GenAiUsageCacheReadInputTokens: IntValue(read), GenAiUsageCacheCreationInputTokens: IntValue(write),
			GenAiUsageReasoningOutputTokens: DoubleValue(reasoning), "gen_ai.usage.total_tokens": IntValue(total),
		} {
			span.Observe(key, value)
		}
		var reading Reading
		span.Read(&Options{}, &reading)
		if reading.Verdict != VerdictPrice {
			t.Fatalf("verdict %d", reading.Verdict)
		}
		var inputs int64
		usage := &reading.Query.Usage
		for unit, count := range usage.Counts {
			if count < 0 || count > 2*pricing.MaxCount {
				t.Fatalf("%s = %d", pricing.UnitNames[unit], count)
			}
			if count > 0 && usage.Has>>unit&1 == 0 {
				t.Fatalf("%s is counted and not reported", pricing.UnitNames[unit])
			}
			if unit <= int(pricing.CacheWrite12h) {
				inputs += count
			}
		}
		if reading.Query.Reason == "" && inputs != reading.InputTokens {
			t.Fatalf("units of the input add up to %d, not %d", inputs, reading.InputTokens)
		}
	})
}
