// Package hostile holds payloads that no emitter means and any sender can send, for the tests of the components: each is to
// be passed on whole, counted, and to cost bounded memory.
package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Payload is one of them.
type Payload struct {
	Name   string
	Traces ptrace.Traces
}

const (
	manyAttributes = 100_000
	megabyte       = 1 << 20
	deepest        = 2_000
	nestedName     = "values within values"
	wordOfTokens   = attributes.GenAiUsageInputTokens
	tagTeam        = attributes.TokenomicsTagPrefix + "team"
)

// Payloads returns all of them, anew.
func Payloads() []Payload {
	return []Payload{
		{"a hundred thousand attributes", manyKeys()},
		{"a megabyte of a name", longNames()},
		{"numbers that are no counts", noCounts()},
		{"duplicate keys", duplicates()},
		{"cycles in parents", cycles()},
		{"zero ids", zeroIDs()},
		{"invalid UTF-8", invalidText()},
		{nestedName, nested()},
		{"times that cannot be", times()},
		{"nothing inside", hollow()},
		{"every type under every deciding key", wrongTypes()},
	}
}

// builder puts spans of model calls into one payload, each with ids of its own.
type builder struct {
	traces ptrace.Traces
	spans  ptrace.SpanSlice
	next   uint64
}

func newBuilder() *builder {
	b := &builder{traces: ptrace.NewTraces()}
	resource := b.traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("opentelemetry.instrumentation.genai.openai")
	b.spans = scope.Spans()
	return b
}

const start = 1_795_341_600_000_000_000

// call adds a root span that can be priced: 1,000 tokens in, 500 out of gpt-4o.
func (b *builder) call() ptrace.Span {
	b.next++
	span := b.spans.AppendEmpty()
	span.SetName("chat gpt-4o")
	span.SetKind(ptrace.SpanKindClient)
	span.SetTraceID(pcommon.TraceID(binary.BigEndian.AppendUint64([]byte("hostile\x00"), b.next)))
	span.SetSpanID(ID(b.next))
	span.SetStartTimestamp(start)
	span.SetEndTimestamp(start + 1e9)
	attrs := span.Attributes()
	attrs.PutStr("gen_ai.operation.name", "chat")
	attrs.PutStr("gen_ai.provider.name", "openai")
	attrs.PutStr("gen_ai.request.model", "gpt-4o")
	attrs.PutInt(wordOfTokens, 1000)
	attrs.PutInt("gen_ai.usage.output_tokens", 500)
	return span
}

// ID returns the id of a span by its number.
func ID(number uint64) pcommon.SpanID {
	return pcommon.SpanID(binary.BigEndian.AppendUint64(nil, number))
}

func manyKeys() ptrace.Traces {
	b := newBuilder()
	attrs := b.call().Attributes()
	// Through a raw map: each put would look for its key among all before.
	raw := attrs.AsRaw()
	for index := range manyAttributes {
		raw[fmt.Sprintf("key.%d", index)] = int64(index)
	}
	_ = attrs.FromRaw(raw)
	b.call()
	return b.traces
}

func longNames() ptrace.Traces {
	b := newBuilder()
	long := strings.Repeat("m", megabyte)
	for _, key := range []string{"gen_ai.request.model", "gen_ai.response.model", "gen_ai.provider.name", "server.address", "gen_ai.response.id", tagTeam, "tokenomics.cost.status", long} {
		b.call().Attributes().PutStr(key, long)
	}
	span := b.call()
	span.SetName(long)
	span.TraceState().FromRaw("ot=th:" + long)
	return b.traces
}

func noCounts() ptrace.Traces {
	b := newBuilder()
	for _, number := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300, 0.5, math.SmallestNonzeroFloat64} {
		for _, key := range []string{wordOfTokens, "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cost", "tokenomics.cost.total"} {
			b.call().Attributes().PutDouble(key, number)
		}
	}
	for _, number := range []int64{-1, math.MinInt64, math.MaxInt64, 1e12 + 1} {
		for _, key := range []string{wordOfTokens, "gen_ai.usage.output_tokens", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.total_tokens"} {
			b.call().Attributes().PutInt(key, number)
		}
		all := b.call().Attributes()
		all.PutInt(wordOfTokens, number)
		all.PutInt("gen_ai.usage.output_tokens", number)
	}
	for _, text := range []string{"NaN", "1e400", "-0", "0x10", "１２", strings.Repeat("9", 400)} {
		b.call().Attributes().PutStr(wordOfTokens, text)
	}
	return b.traces
}

// lastLetter returns a key that differs in its last letter.
func lastLetter(key string) string { return key[:len(key)-1] + "?" }

// duplicates cannot be built by a map: the key is changed in the bytes.
func duplicates() ptrace.Traces {
	b := newBuilder()
	for range 3 {
		attrs := b.call().Attributes()
		attrs.PutInt(lastLetter(wordOfTokens), 9000)
		attrs.PutStr(tagTeam, "search")
		attrs.PutStr(lastLetter(tagTeam), "basket")
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(b.traces)
	if err != nil {
		panic(err)
	}
	for _, key := range []string{wordOfTokens, tagTeam} {
		data = bytes.ReplaceAll(data, []byte(lastLetter(key)), []byte(key))
	}
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		panic(err)
	}
	return traces
}

func cycles() ptrace.Traces {
	b := newBuilder()
	itself := b.call()
	itself.SetParentSpanID(itself.SpanID())
	one, other := b.call(), b.call()
	other.SetTraceID(one.TraceID())
	one.SetParentSpanID(other.SpanID())
	other.SetParentSpanID(one.SpanID())
	// A long ring, and a tail that hangs on it.
	const ring = 5_000
	first := b.next + 1
	for index := range uint64(ring) {
		span := b.call()
		span.SetTraceID(pcommon.TraceID{1})
		span.SetParentSpanID(ID(first + (index+1)%ring))
	}
	tail := b.call()
	tail.SetTraceID(pcommon.TraceID{1})
	tail.SetParentSpanID(ID(first))
	// One id twice, each the parent of the other.
	for range 2 {
		twin := b.call()
		twin.SetTraceID(pcommon.TraceID{2})
		twin.SetSpanID(ID(7))
		twin.SetParentSpanID(ID(7))
	}
	return b.traces
}

func zeroIDs() ptrace.Traces {
	b := newBuilder()
	for index := range 50 {
		span := b.call()
		span.SetTraceID(pcommon.TraceID{})
		if index%2 == 0 {
			span.SetSpanID(pcommon.SpanID{})
		}
		if index%5 == 0 {
			span.SetParentSpanID(ID(uint64(index)))
		}
	}
	return b.traces
}

func invalidText() ptrace.Traces {
	b := newBuilder()
	const broken = "\xff\xfe\x00\xc0\x80"
	for _, key := range []string{"gen_ai.request.model", "gen_ai.provider.name", "gen_ai.operation.name", tagTeam, wordOfTokens, "server.address", broken} {
		b.call().Attributes().PutStr(key, "gpt-4o"+broken)
	}
	span := b.call()
	span.SetName(broken)
	span.TraceState().FromRaw(broken)
	b.traces.ResourceSpans().At(0).Resource().Attributes().PutStr(attributes.TokenomicsTagPrefix+"customer", broken)
	b.traces.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetVersion(broken)
	return b.traces
}

func nested() ptrace.Traces {
	b := newBuilder()
	for _, key := range []string{"input.value", "gen_ai.request.model", wordOfTokens, tagTeam} {
		value := b.call().Attributes().PutEmpty(key)
		for level := range deepest {
			if level%2 == 0 {
				value = value.SetEmptyMap().PutEmpty("k")
			} else {
				value = value.SetEmptySlice().AppendEmpty()
			}
		}
		value.SetStr("gpt-4o")
	}
	return b.traces
}

func times() ptrace.Traces {
	b := newBuilder()
	const future = pcommon.Timestamp(math.MaxUint64)
	for _, pair := range [][2]pcommon.Timestamp{
		{0, 0}, {future, future}, {start, 0}, {0, future}, {future, 0}, {start, start - 1}, {math.MaxInt64, math.MaxInt64 + 1},
	} {
		span := b.call()
		span.SetStartTimestamp(pair[0])
		span.SetEndTimestamp(pair[1])
		span.Events().AppendEmpty().SetTimestamp(pair[1])
	}
	return b.traces
}

func hollow() ptrace.Traces {
	b := newBuilder()
	b.traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	b.traces.ResourceSpans().AppendEmpty()
	b.spans.AppendEmpty()
	b.call().Attributes().PutEmpty("")
	return b.traces
}

func wrongTypes() ptrace.Traces {
	b := newBuilder()
	for _, key := range []string{
		"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", wordOfTokens, "server.address",
		"tokenomics.cost.status", "tokenomics.cost.source", "tokenomics.price.book", "tokenomics.cost.flags", tagTeam,
	} {
		for _, put := range []func(pcommon.Value){
			func(v pcommon.Value) {}, func(v pcommon.Value) { v.SetBool(true) }, func(v pcommon.Value) { v.SetInt(-7) },
			func(v pcommon.Value) { v.SetDouble(math.NaN()) }, func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte{0, 255}) },
			func(v pcommon.Value) { v.SetEmptySlice() }, func(v pcommon.Value) { v.SetEmptyMap() }, func(v pcommon.Value) { v.SetStr("") },
		} {
			put(b.call().Attributes().PutEmpty(key))
		}
	}
	return b.traces
}

// OneTrace returns a batch of spans that all belong to one trace, each below one that may be in another batch. Every
// step-th is a model call.
func OneTrace(first, spans, step int) ptrace.Traces {
	b := newBuilder()
	b.next = uint64(first)
	b.spans.EnsureCapacity(spans)
	for index := range spans {
		var span ptrace.Span
		if index%step == 0 {
			span = b.call()
		} else {
			b.next++
			span = b.spans.AppendEmpty()
			span.SetSpanID(ID(b.next))
		}
		span.SetTraceID(pcommon.TraceID{15: 1})
		span.SetParentSpanID(ID(b.next / 2))
	}
	return b.traces
}
