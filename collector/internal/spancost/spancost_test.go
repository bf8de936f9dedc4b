package spancost

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

func spanOf(t *testing.T, attrs map[string]any) ptrace.Span {
	t.Helper()
	span := ptrace.NewSpan()
	require.NoError(t, span.Attributes().FromRaw(attrs))
	return span
}

// TestWithdraw: every figure of ours goes, and whatever repeats it under a backend's key; what somebody else stated, and
// what was counted, stays.
func TestWithdraw(t *testing.T) {
	span := spanOf(t, map[string]any{
		"tokenomics.cost.total": 0.0035, "tokenomics.cost.source": "sdk", "tokenomics.cost.input": 0.001,
		"tokenomics.price.sku": "openai/gpt-4o", "tokenomics.tag.team": "search", "gen_ai.usage.input_tokens": 1000,
		"gen_ai.usage.cost": 0.0035, "llm.cost.total": 0.0041, "llm.cost.prompt": 0.001,
		"mlflow.llm.cost": `{"input_cost":0.001,"total_cost":0.0035}`, "gen_ai.usage.total_cost": 0.0035, "gen_ai.usage.input_cost": 0.001,
	})
	Withdraw(span.Attributes(), 3_500_000_000, true, attributes.ReasonShadowed)
	assert.Equal(t, map[string]any{
		"tokenomics.tag.team": "search", "gen_ai.usage.input_tokens": int64(1000), "llm.cost.total": 0.0041, "llm.cost.prompt": 0.001,
		"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "shadowed",
	}, span.Attributes().AsRaw())
}

// TestWithdrawToThePico: a figure that is ours but for the last bits of the double, or as a text, is ours to the reader of
// foreign costs; one that stayed would be taken for somebody else's the next time.
func TestWithdrawToThePico(t *testing.T) {
	for name, test := range map[string]struct {
		figure any
		stays  bool
	}{
		"the last bits": {0.004500000000000003, false}, "a text": {"0.0045", false}, "a pico more": {0.004500000001, true}, "a list": {[]any{0.0045}, true},
	} {
		span := spanOf(t, map[string]any{"tokenomics.cost.total": 0.0045, "gen_ai.usage.cost": test.figure})
		Withdraw(span.Attributes(), 4_500_000_000, true, attributes.ReasonShadowed)
		_, stayed := span.Attributes().Get("gen_ai.usage.cost")
		assert.Equal(t, test.stays, stayed, name)
	}
}

// TestWithdrawWithoutAFigure: an unpriced span repeats no amount, so no key of anybody's is its repetition.
func TestWithdrawWithoutAFigure(t *testing.T) {
	span := spanOf(t, map[string]any{"tokenomics.cost.status": "unpriced", "gen_ai.usage.cost": 0.0})
	Withdraw(span.Attributes(), 0, false, attributes.ReasonContainer)
	assert.Equal(t, map[string]any{
		"gen_ai.usage.cost": 0.0, "tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "container",
	}, span.Attributes().AsRaw())
}

// TestObserve: every type arrives as what it is, and what no rule reads is passed over.
func TestObserve(t *testing.T) {
	span := spanOf(t, map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": "7",
		"gen_ai.response.model": "gpt-4o", "tokenomics.cost.total": 0.25, "tokenomics.cost.source": "sdk",
		"tokenomics.cost.status": "priced", "litellm.cache_hit": true, "http.route": "/",
	})
	span.SetKind(ptrace.SpanKindConsumer)
	span.SetStartTimestamp(pcommon.Timestamp(5_999_999))
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Events().AppendEmpty().SetName("log")
	event := span.Events().AppendEmpty()
	event.SetName("exception")
	event.Attributes().PutStr("exception.type", "TimeoutError")
	var target attributes.Span
	target.Enter(attributes.Scope{Name: "anything"})
	Observe(&target, span)
	assert.Equal(t, attributes.KindServer, target.Kind)
	assert.True(t, target.Failed)
	assert.Equal(t, "TimeoutError", target.Exception)
	assert.Equal(t, int64(5), target.StartMillis)
	assert.Equal(t, attributes.Owned{Pico: 250_000_000_000, HasTotal: true, Call: true, InputTokens: 12, OutputTokens: 7}, target.Owned(&attributes.Options{}))
	Observe(&target, ptrace.NewSpan())
	assert.Equal(t, attributes.Owned{}, target.Owned(&attributes.Options{}), "the span before is forgotten")
}

// TestOwned: what counts as a call of its own, and whose tokens count.
func TestOwned(t *testing.T) {
	call := func(more map[string]any) map[string]any {
		attrs := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}
		for key, value := range more {
			attrs[key] = value
		}
		return attrs
	}
	tokens := func(found attributes.Owned) attributes.Owned {
		found.InputTokens, found.OutputTokens = 10, 2
		return found
	}
	const status, reason = "tokenomics.cost.status", "tokenomics.cost.reason"
	for name, test := range map[string]struct {
		attrs map[string]any
		kind  ptrace.SpanKind
		want  attributes.Owned
	}{
		"unpriced":          {call(map[string]any{status: "unpriced"}), 0, tokens(attributes.Owned{Call: true, Unpriced: true})},
		"nobody priced it":  {call(nil), 0, tokens(attributes.Owned{Call: true, Unpriced: true})},
		"a server's":        {call(nil), ptrace.SpanKindServer, tokens(attributes.Owned{})},
		"billed elsewhere":  {call(map[string]any{status: "not_applicable", reason: "billed_elsewhere"}), 0, tokens(attributes.Owned{})},
		"shadowed":          {call(map[string]any{status: "not_applicable", reason: "shadowed"}), 0, attributes.Owned{}},
		"a sum":             {call(map[string]any{status: "not_applicable", reason: "container"}), 0, attributes.Owned{}},
		"server side":       {call(map[string]any{status: "not_applicable", reason: "server_side"}), 0, attributes.Owned{}},
		"a container":       {call(map[string]any{"gen_ai.operation.name": "invoke_agent"}), 0, tokens(attributes.Owned{Container: true})},
		"a charge":          {map[string]any{"tokenomics.charge.kind": "ocr", "tokenomics.cost.total": 0.5, "tokenomics.cost.source": "sdk"}, 0, attributes.Owned{Pico: 5e11, HasTotal: true}},
		"an amount alone":   {map[string]any{"tokenomics.cost.total": 0.5}, 0, attributes.Owned{}},
		"a negative amount": {map[string]any{"tokenomics.cost.total": -0.5, "tokenomics.cost.source": "sdk"}, 0, attributes.Owned{}},
		"a model that is a list": {
			map[string]any{"gen_ai.request.model": []any{"m"}, "tokenomics.cost.total": 0.5, "tokenomics.cost.source": "sdk"}, 0,
			attributes.Owned{Pico: 5e11, HasTotal: true},
		},
		"caches outside the input": {
			call(map[string]any{status: "unpriced", "gen_ai.usage.cache_read.input_tokens": 90, "tokenomics.usage.accounting": "exclusive"}), 0,
			attributes.Owned{Call: true, Unpriced: true, InputTokens: 100, OutputTokens: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			span := spanOf(t, test.attrs)
			span.SetKind(test.kind)
			var target attributes.Span
			target.Enter(attributes.Scope{})
			Observe(&target, span)
			assert.Equal(t, test.want, target.Owned(&attributes.Options{}))
		})
	}
}

// TestTexts are cut: what is longer than any name is none.
func TestTexts(t *testing.T) {
	span := spanOf(t, map[string]any{"gen_ai.response.id": strings.Repeat("x", 1<<20), "other": 5})
	assert.Len(t, Text(span, "gen_ai.response.id"), maxText)
	assert.Empty(t, Text(span, "other"))
	assert.Empty(t, Text(span, "missing"))
}

// TestDialectsNeverOverwrite: a key that somebody else wrote stays, but for a 0 that was ignored; the scalar never stands
// beside the object of the same path; and a JSON dialect is an object with Python's spelling of numbers.
func TestDialectsNeverOverwrite(t *testing.T) {
	result := &pricing.Result{Total: 12_000_000, HasTotal: true}
	var reading attributes.Reading
	write := func(name string, attrs map[string]any) map[string]any {
		span := spanOf(t, attrs)
		dialects := NewDialects([]string{name})
		dialects[0].Write(span.Attributes(), result, &reading)
		return span.Attributes().AsRaw()
	}
	assert.Equal(t, map[string]any{"gen_ai.usage.cost": 1.2e-05}, write(Scalar, nil))
	assert.Equal(t, map[string]any{"gen_ai.usage.cost": 0.5}, write(Scalar, map[string]any{"gen_ai.usage.cost": 0.5}))
	assert.Equal(t, map[string]any{"gen_ai.usage.cost": int64(0)}, write(Scalar, map[string]any{"gen_ai.usage.cost": 0}))
	assert.Equal(t, map[string]any{"gen_ai.usage.cost.amount": 0.5}, write(Scalar, map[string]any{"gen_ai.usage.cost.amount": 0.5}))
	assert.Equal(t, map[string]any{"mlflow.llm.cost": `{"total_cost":1.2e-05}`}, write("mlflow", nil))
	reading.Estimate.Zero = true
	assert.Equal(t, map[string]any{"gen_ai.usage.cost": 1.2e-05}, write(Scalar, map[string]any{"gen_ai.usage.cost": 0}))
}

// TestCharge: what a container's usage would cost becomes its own cost; why it is so much stands already.
func TestCharge(t *testing.T) {
	for _, one := range []struct {
		pico   int64
		total  float64
		status string
	}{{3_500_000_000, 0.0035, "priced"}, {0, 0, "free"}} {
		span := spanOf(t, map[string]any{
			"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "container", "tokenomics.cost.computed": one.total,
			"tokenomics.cost.basis": "list", "tokenomics.price.sku": "openai/gpt-4o", "gen_ai.usage.input_tokens": 1000,
		})
		Charge(span.Attributes(), one.pico)
		assert.Equal(t, map[string]any{
			"tokenomics.cost.status": one.status, "tokenomics.cost.total": one.total, "tokenomics.cost.currency": "USD",
			"tokenomics.cost.source": "collector", "tokenomics.cost.basis": "list", "tokenomics.price.sku": "openai/gpt-4o",
			"gen_ai.usage.input_tokens": int64(1000),
		}, span.Attributes().AsRaw())
	}
}

// TestCallOf: what joins two spans of one response.
func TestCallOf(t *testing.T) {
	span := spanOf(t, map[string]any{
		"gen_ai.response.id": strings.Repeat("r", 300), "tokenomics.cost.total": 0.0035, "tokenomics.price.model": "gpt-4o",
	})
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{2})
	span.SetParentSpanID(pcommon.SpanID{3})
	call := CallOf(span, &attributes.Identity{Provider: "openai", RequestModel: "gpt-4o", InputTokens: 7}, "scope", 4)
	assert.True(t, call.HasTotal)
	assert.Equal(t, [3]string{"gpt-4o", "", "gpt-4o"}, call.Models)
	assert.Equal(t, [8]byte{3}, call.Parent)
	assert.Equal(t, int64(7), call.Input)
	assert.Len(t, call.ResponseID, maxText)
	assert.Equal(t, 4, call.Resource)
	assert.False(t, CallOf(spanOf(t, nil), &attributes.Identity{}, "", 0).HasTotal)
}
