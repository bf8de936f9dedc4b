package tokenomicsprocessor

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadatatest"
)

// TestTagsAreBounded: sixteen tags at most, the same ones whatever the order in which a resource states them.
func TestTagsAreBounded(t *testing.T) {
	resource := pcommon.NewMap()
	for index := range 20 {
		resource.PutStr(fmt.Sprintf("tokenomics.tag.k%02d", 19-index), strings.Repeat("x", 1000))
	}
	tags := resourceTags(resource)
	require.Len(t, tags, maxTags)
	assert.Equal(t, "tokenomics.tag.k00", tags[0].key)
	assert.Equal(t, "tokenomics.tag.k15", tags[15].key)
	assert.Len(t, tags[0].value, maxTagCodePoints)
	assert.Empty(t, resourceTags(pcommon.NewMap()))
}

// tagged applies rules to the attributes of a resource and of what stands under it, and returns what the latter gained.
func tagged(t *testing.T, cfg TagsConfig, resource, own map[string]any) map[string]any {
	t.Helper()
	require.NoError(t, cfg.validate())
	around, target := pcommon.NewMap(), pcommon.NewMap()
	require.NoError(t, around.FromRaw(resource))
	require.NoError(t, target.FromRaw(own))
	work := tagger{rules: newTagRules(&cfg)}
	work.enter(around)
	work.put(target)
	once := target.AsRaw()
	assert.Equal(t, resource, around.AsRaw(), "the resource is only read")

	work.enter(around)
	work.put(target)
	assert.Equal(t, once, target.AsRaw(), "a second pass changed something")
	gained := map[string]any{}
	for key, value := range once {
		if before, there := own[key]; !there || !assert.ObjectsAreEqual(before, value) {
			gained[key] = value
		}
	}
	return gained
}

type attrs = map[string]any

// TestTagRules: who wins where several attributes could become a tag, and what becomes none.
func TestTagRules(t *testing.T) {
	team := TagsConfig{Map: map[string][]string{"team": {"litellm.team.id", "resource:k8s.namespace.name", "owner"}}}
	spread := TagsConfig{Map: map[string][]string{"*": {"traceloop.association.properties.*", "langfuse.trace.metadata.*"}}}
	for name, test := range map[string]struct {
		rules         TagsConfig
		resource, own attrs
		want          attrs
	}{
		"no rules":               {TagsConfig{}, attrs{"tokenomics.tag.team": "r"}, attrs{"team": "x"}, attrs{"tokenomics.tag.team": "r"}},
		"nothing found":          {team, attrs{"a": "b"}, attrs{"c": "d"}, attrs{}},
		"the span's attribute":   {team, attrs{}, attrs{"litellm.team.id": "search"}, attrs{"tokenomics.tag.team": "search"}},
		"of the resource":        {team, attrs{"litellm.team.id": "search"}, attrs{}, attrs{"tokenomics.tag.team": "search"}},
		"span before resource":   {team, attrs{"owner": "r"}, attrs{"owner": "s"}, attrs{"tokenomics.tag.team": "s"}},
		"first source first":     {team, attrs{"k8s.namespace.name": "ns"}, attrs{"owner": "s"}, attrs{"tokenomics.tag.team": "ns"}},
		"first, on the resource": {team, attrs{"litellm.team.id": "r"}, attrs{"owner": "s"}, attrs{"tokenomics.tag.team": "r"}},
		"resource alone":         {team, attrs{}, attrs{"k8s.namespace.name": "forged"}, attrs{}},
		"the span's own tag":     {team, attrs{"tokenomics.tag.team": "r"}, attrs{"tokenomics.tag.team": "s", "litellm.team.id": "x"}, attrs{}},
		"the resource's tag":     {team, attrs{"tokenomics.tag.team": "r"}, attrs{"litellm.team.id": "x"}, attrs{"tokenomics.tag.team": "r"}},
		"an own empty tag stays": {team, attrs{}, attrs{"tokenomics.tag.team": "", "litellm.team.id": "x"}, attrs{}},
		"a number on the resource is no tag": {
			team, attrs{"tokenomics.tag.team": int64(7)}, attrs{"litellm.team.id": "x"}, attrs{"tokenomics.tag.team": "x"},
		},
		"int":                          {team, attrs{}, attrs{"litellm.team.id": int64(-42)}, attrs{"tokenomics.tag.team": "-42"}},
		"bool":                         {team, attrs{}, attrs{"litellm.team.id": false}, attrs{"tokenomics.tag.team": "false"}},
		"double":                       {team, attrs{}, attrs{"litellm.team.id": 0.5}, attrs{"tokenomics.tag.team": "0.5"}},
		"whole double":                 {team, attrs{}, attrs{"litellm.team.id": 42.0}, attrs{"tokenomics.tag.team": "42"}},
		"NaN says nothing":             {team, attrs{}, attrs{"litellm.team.id": math.Inf(-1), "owner": "s"}, attrs{"tokenomics.tag.team": "s"}},
		"a list says nothing":          {team, attrs{}, attrs{"litellm.team.id": []any{"a"}, "owner": "s"}, attrs{"tokenomics.tag.team": "s"}},
		"a map says nothing":           {team, attrs{}, attrs{"litellm.team.id": attrs{"a": "b"}}, attrs{}},
		"bytes say nothing":            {team, attrs{}, attrs{"litellm.team.id": []byte("a")}, attrs{}},
		"null and empty say nothing":   {team, attrs{"owner": ""}, attrs{"litellm.team.id": nil, "owner": ""}, attrs{}},
		"control characters stay text": {team, attrs{}, attrs{"litellm.team.id": "a\x00\nb"}, attrs{"tokenomics.tag.team": "a\x00\nb"}},
		"bytes that are no text":       {team, attrs{}, attrs{"litellm.team.id": "a\xff\xfeb"}, attrs{"tokenomics.tag.team": "a\uFFFDb"}},
		"cut at code points":           {team, attrs{}, attrs{"litellm.team.id": strings.Repeat("é", 1<<19)}, attrs{"tokenomics.tag.team": strings.Repeat("é", 200)}},
		"one attribute, two tags": {
			TagsConfig{Map: map[string][]string{"product": {"service.namespace"}, "project": {"service.namespace"}}},
			attrs{"service.namespace": "shop"}, attrs{}, attrs{"tokenomics.tag.product": "shop", "tokenomics.tag.project": "shop"},
		},
		"names of OpenTelemetry": {
			TagsConfig{Map: map[string][]string{"user": {"litellm.end_user.id"}, "environment": {"env"}, "*": {"p.*"}}},
			attrs{"deployment.environment.name": "prod", "env": "dev"},
			attrs{"litellm.end_user.id": "u1", "p.session": "by no rule's name", "p.environment": "x", "p.user": "other"},
			attrs{"user.id": "u1"},
		},
		"a name of OpenTelemetry under a prefix": {
			TagsConfig{Map: map[string][]string{"session": {"s"}, "*": {"p.*"}}}, attrs{}, attrs{"p.session": "s1"}, attrs{"session.id": "s1"},
		},
		"prefixes": {
			spread, attrs{"langfuse.trace.metadata.feature": "r", "langfuse.trace.metadata.team": "later"},
			attrs{
				"traceloop.association.properties.team": "search", "traceloop.association.properties.Team": "x",
				"traceloop.association.properties.": "x", "traceloop.association.properties.a.b": "x",
				"traceloop.association.properties.n": int64(3), "langfuse.trace.metadata.team": "later",
				"traceloop.association.properties." + strings.Repeat("a", 65): "x",
			},
			attrs{"tokenomics.tag.team": "search", "tokenomics.tag.feature": "r", "tokenomics.tag.n": "3"},
		},
		"a named source before a prefix": {
			TagsConfig{Map: map[string][]string{"team": {"litellm.team.id"}, "*": {"p.*"}}},
			attrs{}, attrs{"p.team": "p", "p.plan": "gold", "litellm.team.id": "named"},
			attrs{"tokenomics.tag.team": "named", "tokenomics.tag.plan": "gold"},
		},
		"a prefix where no named source is": {
			TagsConfig{Map: map[string][]string{"team": {"litellm.team.id"}, "*": {"resource:p.*"}}},
			attrs{"p.team": "p"}, attrs{"p.plan": "the span's own is not asked"}, attrs{"tokenomics.tag.team": "p"},
		},
		"nested prefixes": {
			TagsConfig{Map: map[string][]string{"*": {"a.*", "a.b.*"}}},
			attrs{}, attrs{"a.b.team": "x", "a.plan": "y"}, attrs{"tokenomics.tag.team": "x", "tokenomics.tag.plan": "y"},
		},
		"team from product and product from team": {
			TagsConfig{Map: map[string][]string{"team": {"product"}, "product": {"team"}}},
			attrs{}, attrs{"team": "t", "product": "p"}, attrs{"tokenomics.tag.team": "p", "tokenomics.tag.product": "t"},
		},
		"required and there":     {TagsConfig{Required: []string{"team"}}, attrs{"tokenomics.tag.team": "r"}, attrs{}, attrs{"tokenomics.tag.team": "r"}},
		"required and missing":   {TagsConfig{Required: []string{"team", "cost_center"}}, attrs{}, attrs{"tokenomics.tag.x": "y"}, attrs{"tokenomics.tags.missing": []any{"cost_center", "team"}}},
		"required, stated empty": {TagsConfig{Required: []string{"team"}}, attrs{}, attrs{"tokenomics.tag.team": ""}, attrs{"tokenomics.tags.missing": []any{"team"}}},
		"required, on the resource under its own name": {
			TagsConfig{Required: []string{"environment"}}, attrs{"deployment.environment.name": "prod"}, attrs{}, attrs{},
		},
		"default": {
			TagsConfig{Map: map[string][]string{"team": {"owner"}}, Defaults: map[string]string{"team": "nobody", "plan": "free"}, Required: []string{"feature"}},
			attrs{}, attrs{"owner": "search"}, attrs{"tokenomics.tag.team": "search", "tokenomics.tag.plan": "free", "tokenomics.tags.missing": []any{"feature"}},
		},
		"default in the place of an empty tag": {TagsConfig{Defaults: map[string]string{"team": "nobody"}}, attrs{}, attrs{"tokenomics.tag.team": ""}, attrs{"tokenomics.tag.team": "nobody"}},
		"a prefix before the default": {
			TagsConfig{Map: map[string][]string{"*": {"p.*"}}, Defaults: map[string]string{"team": "nobody"}, Required: []string{"plan"}},
			attrs{"p.plan": "gold"}, attrs{"p.team": "search"}, attrs{"tokenomics.tag.team": "search", "tokenomics.tag.plan": "gold"},
		},
		"what an earlier step marked": {TagsConfig{Required: []string{"team"}}, attrs{}, attrs{"tokenomics.tags.missing": []any{"old"}}, attrs{"tokenomics.tags.missing": []any{"team"}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, tagged(t, test.rules, test.resource, test.own))
		})
	}
}

// TestAFloodOfTags: sixteen tags, the same ones in any order of the attributes; what is named or required finds room.
func TestAFloodOfTags(t *testing.T) {
	rules := TagsConfig{
		Map:      map[string][]string{"*": {"p.*", "q.*"}, "team": {"owner"}, "zone": {"z"}},
		Required: []string{"team"}, Defaults: map[string]string{"cost_center": "none"},
	}
	own := attrs{"owner": "search", "tokenomics.tag.own": "o", "z": "eu"}
	for index := range 3000 {
		own[fmt.Sprintf("p.k%04d", index)] = "p"
		own[fmt.Sprintf("q.k%04d", index)] = "q"
	}
	want := attrs{"tokenomics.tag.team": "search", "tokenomics.tag.cost_center": "none", "tokenomics.tag.zone": "eu"}
	for index := range 12 {
		want[fmt.Sprintf("tokenomics.tag.k%04d", index)] = "p"
	}
	for range 3 {
		// FromRaw walks a Go map: another order each time.
		assert.Equal(t, want, tagged(t, rules, attrs{"p.k0000": "resource"}, own))
	}
	// A span that is full of tags takes no more, but for what it must bear.
	full := attrs{"owner": "search", "z": "eu"}
	for index := range 16 {
		full[fmt.Sprintf("tokenomics.tag.k%02d", index)] = "x"
	}
	assert.Equal(t, attrs{"tokenomics.tag.team": "search", "tokenomics.tag.cost_center": "none"}, tagged(t, rules, attrs{}, full))
	// As many names as are kept are stated already: those that fit come behind them.
	stated, want := attrs{}, attrs{"tokenomics.tag.n31": "x"}
	for index := range 15 {
		stated[fmt.Sprintf("tokenomics.tag.n%02d", index+16)] = "s"
	}
	for index := range 16 {
		stated[fmt.Sprintf("p.n%02d", index+16)] = "x"
	}
	assert.Equal(t, want, tagged(t, TagsConfig{Map: map[string][]string{"*": {"p.*"}}}, attrs{}, stated))
}

// TestAHundredRules: each finds its attribute, and sixteen tags come of it.
func TestAHundredRules(t *testing.T) {
	rules, own, want := TagsConfig{Map: map[string][]string{}}, attrs{}, attrs{}
	for index := range 100 {
		name := fmt.Sprintf("t%03d", index)
		for source := range 10 {
			rules.Map[name] = append(rules.Map[name], fmt.Sprintf("s%d.%s", source, name))
		}
		own["s9."+name] = name
		if index < maxTags {
			want["tokenomics.tag."+name] = name
		}
	}
	assert.Equal(t, want, tagged(t, rules, attrs{}, own))
}

func tagRulesConfig() *Config {
	cfg := vectorConfig()
	cfg.Tags = TagsConfig{
		Map: map[string][]string{
			"team": {"litellm.team.id"}, "customer": {"litellm.end_user.id"}, "product": {"service.namespace"},
			"*": {"traceloop.association.properties.*"},
		},
		Required: []string{"team"}, Defaults: map[string]string{"cost_center": "unassigned"},
	}
	return cfg
}

// TestWhichSpansGetTags: what bears a charge or may, ours or an earlier step's; nothing else.
func TestWhichSpansGetTags(t *testing.T) {
	for name, test := range map[string]struct {
		span attrs
		want bool
	}{
		"priced":             {ofTeam(chat("gpt-4o", 1, 1)), true},
		"unpriced":           {ofTeam(chat("gpt-7-turbo", 1, 1)), true},
		"container":          {ofTeam(attrs{"gen_ai.operation.name": "invoke_agent"}), false},
		"no call":            {ofTeam(attrs{"http.route": "/"}), false},
		"of the SDK":         {ofTeam(earlier("sdk")), true},
		"charge of the SDK":  {ofTeam(attrs{"tokenomics.cost.status": "priced", "tokenomics.charge.kind": "ocr", "tokenomics.cost.total": 0.5, "tokenomics.cost.source": "sdk"}), true},
		"container, settled": {ofTeam(attrs{"tokenomics.cost.status": "not_applicable", "gen_ai.operation.name": "invoke_agent"}), false},
		"malformed":          {attrs{"gen_ai.operation.name": int64(1), "litellm.team.id": "search"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			out := run(t, tagRulesConfig(), oneSpan(test.span))
			got := attributesOf(out)
			_, has := got["tokenomics.tag.team"]
			assert.Equal(t, test.want, has)
			_, given := got["tokenomics.tag.cost_center"]
			assert.Equal(t, test.want, given)
			assert.Equal(t, marshal(t, out), marshal(t, run(t, tagRulesConfig(), out)), "a second pass changed something")
		})
	}
}

func ofTeam(base attrs) attrs {
	base["litellm.team.id"] = "search"
	return base
}

// TestSharedResource: one resource, many spans; each gets the same tags, the resource none.
func TestSharedResource(t *testing.T) {
	traces := batchOf(100, 5, 2)
	traces.ResourceSpans().At(0).Resource().Attributes().PutStr("service.namespace", "shop")
	second := traces.ResourceSpans().AppendEmpty()
	traces.ResourceSpans().At(0).CopyTo(second)
	second.Resource().Attributes().PutStr("service.namespace", "bank")
	cfg := tagRulesConfig()
	cfg.Tags.Required = nil
	out := run(t, cfg, traces)
	for index, want := range []string{"shop", "bank"} {
		resource := out.ResourceSpans().At(index)
		assert.Equal(t, attrs{"service.namespace": want}, resource.Resource().Attributes().AsRaw())
		for number, span := range resource.ScopeSpans().At(0).Spans().All() {
			got, there := span.Attributes().Get("tokenomics.tag.product")
			require.Equal(t, number%2 == 0, there)
			if there {
				require.Equal(t, want, got.Str())
			}
		}
	}
}

// TestDataOfOthersIsNotTouched: the processor asks for data of its own, so a neighbour's stays as it came.
func TestDataOfOthersIsNotTouched(t *testing.T) {
	traces, sink := start(t, tagRulesConfig(), nopSettings())
	assert.Equal(t, consumer.Capabilities{MutatesData: true}, traces.Capabilities())
	shared := oneSpan(ofTeam(chat("gpt-4o", 1, 1)))
	before := marshal(t, shared)
	shared.MarkReadOnly()
	copied := ptrace.NewTraces()
	shared.CopyTo(copied)
	require.NoError(t, traces.ConsumeTraces(t.Context(), copied))
	assert.Equal(t, before, marshal(t, shared))
	assert.Contains(t, attributesOf(sink.AllTraces()[0]), "tokenomics.tag.team")
}

// TestMissingTagsAreCounted: by tag, for charges alone; a charge that is taken back is none.
func TestMissingTagsAreCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(t.Context())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	traces, sink := start(t, tagRulesConfig(), set)
	for _, span := range []attrs{
		chat("gpt-4o", 1, 1), chat("gpt-7-turbo", 1, 1), ofTeam(chat("gpt-4o", 1, 1)),
		{"gen_ai.operation.name": "invoke_agent"}, {"http.route": "/"},
	} {
		require.NoError(t, traces.ConsumeTraces(t.Context(), oneSpan(span)))
	}
	// Two spans of one response: the framework's is taken back, with its mark and its count.
	pair := oneSpan(chat("gpt-4o", 1, 1))
	spans := pair.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(0).SetTraceID([16]byte{1})
	spans.At(0).SetSpanID([8]byte{1})
	spans.At(0).Attributes().PutStr("gen_ai.response.id", "r1")
	child := spans.AppendEmpty()
	spans.At(0).CopyTo(child)
	child.SetSpanID([8]byte{2})
	child.SetParentSpanID([8]byte{1})
	require.NoError(t, traces.ConsumeTraces(t.Context(), pair))
	loser := sink.AllTraces()[5].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
	assert.Equal(t, "shadowed", loser["tokenomics.cost.reason"])
	assert.NotContains(t, loser, "tokenomics.tags.missing")

	point := func(tag, action string, count int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: count, Attributes: attribute.NewSet(attribute.String("tag", tag), attribute.String("action", action))}
	}
	metadatatest.AssertEqualProcessorTokenomicsMissingTags(t, telemetry, []metricdata.DataPoint[int64]{
		point("team", "marked", 3), point("cost_center", "defaulted", 4),
	}, metricdatatest.IgnoreTimestamp())
}
