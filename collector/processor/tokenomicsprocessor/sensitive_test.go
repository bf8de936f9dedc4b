package tokenomicsprocessor

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func sensitiveConfig() *Config {
	cfg := vectorConfig()
	cfg.Sensitive = SensitiveConfig{
		Drop: []string{"gen_ai.input.messages", "gen_ai.prompt.*", "user.*", "secret*"},
		Hash: []string{"user.id", "session.*", "tokenomics.tag.customer"},
		Salt: "a salt",
	}
	return cfg
}

// The digits below are the first 16 of `printf %s <value> | openssl dgst -sha256 -hmac "a salt"`.
const (
	hashOfAlice = "hmac:648789e53dd446eb"
	hashOf42    = "hmac:b270c274f53733b8"
)

// TestSensitive: what is dropped, hashed and left, the closest rule deciding.
func TestSensitive(t *testing.T) {
	rules := newSensitive(&sensitiveConfig().Sensitive)
	for name, test := range map[string]struct{ in, want attrs }{
		"nothing":           {attrs{"http.route": "/", "": "x", "user": "x"}, attrs{"http.route": "/", "": "x", "user": "x"}},
		"exact":             {attrs{"gen_ai.input.messages": "hello", "gen_ai.input.message": "left"}, attrs{"gen_ai.input.message": "left"}},
		"prefix":            {attrs{"gen_ai.prompt.0.content": "hello", "gen_ai.prompt": "left", "secret": "x", "secret_word": "x"}, attrs{"gen_ai.prompt": "left"}},
		"exact over prefix": {attrs{"user.id": "alice", "user.email": "a@b.example"}, attrs{"user.id": hashOfAlice}},
		"number":            {attrs{"session.id": int64(42)}, attrs{"session.id": hashOf42}},
		"text of a number":  {attrs{"session.id": "42"}, attrs{"session.id": hashOf42}},
		"nothing to hide":   {attrs{"session.id": "", "session.none": nil}, attrs{"session.id": "", "session.none": nil}},
		"a hash is kept":    {attrs{"session.id": hashOfAlice}, attrs{"session.id": hashOfAlice}},
	} {
		t.Run(name, func(t *testing.T) {
			target := pcommon.NewMap()
			require.NoError(t, target.FromRaw(test.in))
			rules.hasher().strip(target)
			assert.Equal(t, test.want, target.AsRaw())
		})
	}
	// Whatever type a value is of, and whatever looks like a hash and is none, a hash takes its place.
	for _, value := range []any{
		true, 0.5, math.NaN(), []any{"alice", int64(1)}, attrs{"a": "b"}, []byte{0xff}, strings.Repeat("x", 1<<20), "a\xffb",
		"hmac:", hashOfAlice + "0", strings.ToUpper(hashOfAlice), "hmac:alice@example.com", "0123456789abcdef",
	} {
		target := pcommon.NewMap()
		require.NoError(t, target.FromRaw(attrs{"user.id": value}))
		rules.hasher().strip(target)
		got, _ := target.Get("user.id")
		require.Regexp(t, `^hmac:[0-9a-f]{16}$`, got.Str(), "%T", value)
		require.NotEqual(t, value, got.Str())
		once := got.Str()
		rules.hasher().strip(target)
		got, _ = target.Get("user.id")
		require.Equal(t, once, got.Str(), "a hash of a hash")
	}
	other := *rules
	other.salt = []byte("another salt")
	target := pcommon.NewMap()
	target.PutStr("user.id", "alice")
	other.hasher().strip(target)
	assert.NotEqual(t, attrs{"user.id": hashOfAlice}, target.AsRaw())
}

// TestSensitiveEverywhere: on model calls and others, in every place that bears attributes, and for tags only after they
// were read.
func TestSensitiveEverywhere(t *testing.T) {
	cfg := sensitiveConfig()
	cfg.Tags.Map = map[string][]string{"customer": {"user.id"}, "mail": {"resource:user.email"}}
	in := oneSpan(chat("gpt-4o", 1000, 500))
	resource := in.ResourceSpans().At(0)
	scope := resource.ScopeSpans().At(0)
	call := scope.Spans().At(0)
	other := scope.Spans().AppendEmpty()
	other.Attributes().PutStr("http.route", "/")
	flood := scope.Spans().AppendEmpty()
	for index := range maxAttributes + 1 {
		flood.Attributes().PutStr(fmt.Sprintf("secret%d", index), "alice")
	}
	event, link := other.Events().AppendEmpty(), other.Links().AppendEmpty()
	for _, place := range []pcommon.Map{
		resource.Resource().Attributes(), scope.Scope().Attributes(), call.Attributes(), other.Attributes(), flood.Attributes(),
		event.Attributes(), link.Attributes(),
	} {
		place.PutStr("user.id", "alice")
		place.PutStr("gen_ai.input.messages", `[{"content":"alice asks"}]`)
		place.PutStr("gen_ai.prompt.0.content", "alice asks")
	}
	resource.Resource().Attributes().PutStr("user.email", "alice")

	core, logs := observer.New(zap.DebugLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	traces, sink := start(t, cfg, set)
	require.NoError(t, traces.ConsumeTraces(t.Context(), in))
	out := sink.AllTraces()[0]
	got := attributesOf(out)
	assert.Equal(t, 0.0075, got["tokenomics.cost.total"], "priced as if nothing were hidden")
	assert.Equal(t, hashOfAlice, got["tokenomics.tag.customer"], "a tag of a sensitive attribute is hashed by its own name")
	assert.Equal(t, "alice", got["tokenomics.tag.mail"], "a rule of tags wants what the resource no longer says")
	delete(got, "tokenomics.tag.mail")
	assert.Equal(t, hashOfAlice, got["user.id"])
	call = out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	call.Attributes().Remove("tokenomics.tag.mail")
	text := marshal(t, out)
	assert.NotContains(t, text, "alice")
	assert.NotContains(t, text, "gen_ai.input.messages")
	assert.Equal(t, 8, strings.Count(text, hashOfAlice), "seven places and one tag")
	assert.Equal(t, 3, out.SpanCount())
	assert.Equal(t, text, marshal(t, run(t, cfg, out)), "a second pass changed something")
	for _, entry := range logs.All() {
		said := fmt.Sprint(entry.Message, entry.ContextMap())
		assert.NotContains(t, said, "alice")
		assert.NotContains(t, said, "a salt")
	}
}

// TestTheSaltIsNotShown: no way of printing a configuration shows it.
func TestTheSaltIsNotShown(t *testing.T) {
	cfg := sensitiveConfig()
	written, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), string(written)} {
		assert.NotContains(t, text, "a salt")
	}
}
