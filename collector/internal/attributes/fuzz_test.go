package attributes

import (
	"bytes"
	"math"
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

// FuzzSpan reads bytes as a span: which keys of ours and of others it bears, and anything under them. In whatever order
// attributes of different keys come, every reader says the same, and nothing that it says exceeds its bounds.
func FuzzSpan(f *testing.F) {
	known := append(KnownKeys(), "http.route", "gen_ai.input.messages", "")
	f.Add("otel_tokenomics", []byte{0, 1, 'a', 40, 2, 9, 80, 3, 200})
	f.Add("openlit.", []byte("\x01\x01openai\x00\x02\x01gpt-4o\x00\x06\x02\x7f\x07\x03\xff\x26\x01chat\x00"))
	f.Add("ai", []byte("\x50\x01priced\x00\x51\x01sdk\x00\x4e\x03\x05\x04\x04\x05\x05"))
	f.Fuzz(func(t *testing.T, scope string, data []byte) {
		pairs := pairsOf(known, data)
		var forth, back Span
		for _, span := range []*Span{&forth, &back} {
			span.Enter(Scope{Name: scope})
			span.Reset()
		}
		for index := range pairs {
			forth.Observe(pairs[index].key, pairs[index].value)
			back.Observe(pairs[len(pairs)-1-index].key, pairs[len(pairs)-1-index].value)
		}
		for _, options := range []Options{{}, {Reprice: true, PriceServerSpans: true, Convention: ConventionExclusive}} {
			var reading, other Reading
			forth.Read(&options, &reading)
			back.Read(&options, &other)
			if reading != other {
				t.Fatalf("%+v\n%+v of %+v", reading, other, pairs)
			}
			bounded(t, &reading.Query.Usage)
			if reading.Estimate.Pico < 0 || reading.Query.StatedPico < 0 || len(reading.Query.ResponseModel) > maxNameBytes {
				t.Fatalf("%+v of %+v", reading, pairs)
			}
			if owned := forth.Owned(&options); owned != back.Owned(&options) || owned.Pico < 0 || owned.Unpriced && !owned.Call {
				t.Fatalf("%+v of %+v", owned, pairs)
			}
			one, is := forth.Identify(&options, "priced", "")
			if two, was := back.Identify(&options, "priced", ""); one != two || is != was {
				t.Fatalf("%+v, %+v of %+v", one, two, pairs)
			}
		}
		var settled, again Settled
		if forth.Settle(&settled) != back.Settle(&again) || settled != again || settled.Total < 0 {
			t.Fatalf("%+v\n%+v of %+v", settled, again, pairs)
		}
		bounded(t, &settled.Usage)
	})
}

type keyed struct {
	key   string
	value Value
}

// pairsOf reads a key, the type of its value and the value, again and again; a key comes once.
func pairsOf(known []string, data []byte) []keyed {
	var pairs []keyed
	seen := map[string]bool{}
	for len(data) >= 3 {
		// The upper half of the second byte reaches the keys past 256.
		one := keyed{key: known[(int(data[0])+int(data[1]>>7)<<8)%len(known)]}
		rest := data[2:]
		switch data[1] & 127 % 6 {
		case 0:
			one.value = BoolValue(rest[0]&1 > 0)
		case 1:
			length := bytes.IndexByte(rest, 0)
			if length < 0 {
				length = len(rest)
			}
			one.value, rest = StringValue(string(rest[:length])), rest[length:]
		case 2:
			one.value = IntValue(int64(rest[0]) << (rest[0] % 56))
		case 3:
			one.value = DoubleValue([]float64{0, -1, 0.0075, 12.5, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)}[rest[0]%8])
		case 4:
			one.value = Value{Type: TypeOther}
		case 5:
			one.value = IntValue(-int64(rest[0]))
		}
		if data = rest[min(1, len(rest)):]; !seen[one.key] {
			seen[one.key] = true
			pairs = append(pairs, one)
		}
	}
	return pairs
}

// bounded says what holds of every usage.
func bounded(t *testing.T, usage *pricing.Usage) {
	t.Helper()
	for unit, count := range usage.Counts {
		if count < 0 || count > 4*pricing.MaxCount || count > 0 && usage.Has>>unit&1 == 0 {
			t.Fatalf("%s = %d", pricing.UnitNames[unit], count)
		}
	}
}
