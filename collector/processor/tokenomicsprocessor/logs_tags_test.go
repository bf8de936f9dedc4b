package tokenomicsprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecordsBearTags: rules of tags and of sensitive attributes hold for the events of coding agents as for spans.
func TestRecordsBearTags(t *testing.T) {
	cfg := vectorConfig()
	cfg.Tags = TagsConfig{
		Map: map[string][]string{"team": {"department"}}, Required: []string{"project"}, Defaults: map[string]string{"cost_center": "none"},
	}
	cfg.Sensitive = SensitiveConfig{Drop: []string{"prompt"}, Hash: []string{"user.email"}, Salt: "a secret"}
	p, err := newProcessor(nopSettings(), cfg)
	require.NoError(t, err)

	event := apiRequest()
	event["prompt"], event["user.email"] = "hello", "ann@example.com"
	logs := oneRecord(claudeCode, event)
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("department", "growth")
	other := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	other.Attributes().PutStr("prompt", "hello")
	require.NoError(t, other.Body().FromRaw(map[string]any{"prompt": "hello", "kind": "turn"}))
	out, err := p.processLogs(t.Context(), logs)
	require.NoError(t, err)

	priced := recordOf(out).Attributes().AsRaw()
	assert.Equal(t, "growth", priced["tokenomics.tag.team"])
	assert.Equal(t, "none", priced["tokenomics.tag.cost_center"])
	assert.Equal(t, []any{"project"}, priced["tokenomics.tags.missing"])
	assert.NotContains(t, priced, "prompt")
	assert.Regexp(t, "^hmac:[0-9a-f]{16}$", priced["user.email"])
	assert.Equal(t, 0.0033, priced["tokenomics.cost.total"])
	assert.Empty(t, other.Attributes().AsRaw(), "a record that is no event loses what is sensitive, and gets no tag")
	assert.Equal(t, map[string]any{"kind": "turn"}, other.Body().AsRaw())
	missing := map[string]int64{}
	for place, count := range p.counters.total.missing[:p.tags.policies] {
		missing[p.tags.targets[place].name] = count
	}
	assert.Equal(t, map[string]int64{"project": 1, "cost_center": 1}, missing)
}
