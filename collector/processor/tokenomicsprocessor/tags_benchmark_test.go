package tokenomicsprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sixRules read what a gateway, a framework and a platform say.
func sixRules() TagsConfig {
	return TagsConfig{
		Map: map[string][]string{
			"team":     {"litellm.team.id", "langfuse.trace.metadata.team", "resource:k8s.namespace.name"},
			"customer": {"litellm.end_user.id"}, "feature": {"langfuse.trace.metadata.feature"},
			"product": {"service.namespace"}, "project": {"litellm.metadata.project"}, "cost_center": {"litellm.metadata.cost_center"},
		},
		Required: []string{"team"},
	}
}

// taggedBatch holds priced spans of 27 attributes, of which four become tags; a fifth stands on the resource.
func taggedBatch(step int) ptrace.Traces {
	traces := batchOf(benchmarkBatch, 16, step)
	traces.ResourceSpans().At(0).Resource().Attributes().PutStr("service.namespace", "shop")
	for _, span := range traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.Attributes().PutStr("litellm.team.id", "search")
		span.Attributes().PutStr("litellm.end_user.id", "acme")
		span.Attributes().PutStr("langfuse.trace.metadata.feature", "summarise")
		span.Attributes().PutStr("litellm.metadata.project", "p1")
	}
	return traces
}

// BenchmarkTags measures the rules alone, on priced spans, beside "bare": the writing of the same five tags.
func BenchmarkTags(b *testing.B) {
	six := sixRules()
	for _, entry := range []struct {
		name string
		cfg  *TagsConfig
	}{
		{"rules=6", &six},
		{"prefixes=2", &TagsConfig{Map: map[string][]string{"*": {"litellm.metadata.*", "langfuse.trace.metadata.*"}}}},
	} {
		b.Run(entry.name, func(b *testing.B) {
			work := tagger{rules: newTagRules(entry.cfg)}
			rounds(b, taggedBatch(1), func(traces ptrace.Traces) {
				resource := traces.ResourceSpans().At(0)
				work.enter(resource.Resource().Attributes())
				for _, span := range resource.ScopeSpans().At(0).Spans().All() {
					work.put(span.Attributes())
				}
			})
		})
	}
	tags := []tag{
		{"tokenomics.tag.customer", "acme"}, {"tokenomics.tag.feature", "summarise"}, {"tokenomics.tag.product", "shop"},
		{"tokenomics.tag.project", "p1"}, {"tokenomics.tag.team", "search"},
	}
	b.Run("bare", func(b *testing.B) {
		rounds(b, taggedBatch(1), func(traces ptrace.Traces) {
			for _, span := range traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				for _, entry := range tags {
					span.Attributes().PutStr(entry.key, entry.value)
				}
			}
		})
	})
}

// BenchmarkPassingWithPolicies: a span that is no model call, where there are rules for tags, and for what is sensitive.
func BenchmarkPassingWithPolicies(b *testing.B) {
	none, six, sensitive := vectorConfig(), vectorConfig(), vectorConfig()
	six.Tags = sixRules()
	sensitive.Sensitive = SensitiveConfig{
		Drop: []string{"gen_ai.input.messages", "gen_ai.prompt.*", "gen_ai.completion.*"}, Hash: []string{"user.id"}, Salt: "x",
	}
	for _, entry := range []struct {
		name string
		cfg  *Config
	}{{"none", none}, {"rules=6", six}, {"sensitive=4", sensitive}} {
		b.Run(entry.name, func(b *testing.B) { measure(b, entry.cfg, batchOf(benchmarkBatch, 20, 0)) })
	}
}

// TestRulesAllocateWhatTheyWrite: each tag is one allocation of pdata's, and nothing else is any.
func TestRulesAllocateWhatTheyWrite(t *testing.T) {
	cfg := vectorConfig()
	cfg.Tags = sixRules()
	pricer, err := newProcessor(nopSettings(), cfg)
	require.NoError(t, err)
	traces := taggedBatch(1)
	spans := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	before := spans.At(0).Attributes().Len()
	for index := range spans.Len() {
		spans.At(index).Attributes().EnsureCapacity(before + 2*mostWritten)
	}
	work := *pricer.newBatch(pricer.books.Book())
	work.tags.enter(traces.ResourceSpans().At(0).Resource().Attributes())
	next := 0
	allocations := testing.AllocsPerRun(50, func() {
		pricer.process(&work, spans.At(next))
		next++
	})
	written := spans.At(0).Attributes().Len() - before
	assert.Equal(t, 15, written)
	assert.LessOrEqual(t, allocations, float64(written))
}
