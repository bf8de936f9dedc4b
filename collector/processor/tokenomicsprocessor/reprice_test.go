package tokenomicsprocessor

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// with returns attributes with more of them, or with others in their place.
func with(base attrs, more attrs) attrs {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

// earlier is what another step of ours said: gpt-4o for 0.5 USD by an old book.
func earlier(source string) attrs {
	return with(chat("gpt-4o", 1000, 500), attrs{
		"tokenomics.cost.total": 0.5, "tokenomics.cost.currency": "USD", "tokenomics.cost.source": source, "tokenomics.cost.basis": "list",
		"tokenomics.cost.status": "priced", "tokenomics.price.book": "otel-tokenomics@2020.1.1", "tokenomics.price.sku": "openai/gpt-4o",
		"tokenomics.price.model": "gpt-4o", "tokenomics.price.match": "exact", "gen_ai.usage.cost": 0.5,
	})
}

// cheaper is the book of the vectors with gpt-4o at 2 and 8 USD: 1000 x 2000000 + 500 x 8000000 = 6000000000 pico.
func cheaper(cfg *Config) *Config {
	cfg.Book.Overrides = []OverrideConfig{{Provider: "openai", Model: "gpt-4o", Input: "2.00", Output: "8.00"}}
	return cfg
}

// TestRepriceTakesTheBookInUse: with always our figure is that of today's book, whoever of us wrote it; with never it
// stays byte for byte, whatever the book says.
func TestRepriceTakesTheBookInUse(t *testing.T) {
	for _, source := range []string{"sdk", "collector"} {
		cfg := cheaper(vectorConfig())
		assert.Equal(t, rawOf(earlier(source)), attributesOf(run(t, cfg, oneSpan(earlier(source)))), "never")
		cfg.Reprice = repriceAlways
		out := run(t, cfg, oneSpan(earlier(source)))
		got := attributesOf(out)
		assert.Equal(t, 0.006, got["tokenomics.cost.total"])
		assert.Equal(t, 0.006, got["gen_ai.usage.cost"])
		assert.Equal(t, 0.0075, got["tokenomics.cost.list"])
		assert.Equal(t, "contracted", got["tokenomics.cost.basis"])
		assert.Equal(t, "collector", got["tokenomics.cost.source"])
		assert.Contains(t, got["tokenomics.price.book"], "vectors@2026.11.22+")

		// Under the list prices again nothing is left of the contract.
		back := vectorConfig()
		back.Reprice = repriceAlways
		got = attributesOf(run(t, back, out))
		assert.Equal(t, 0.0075, got["tokenomics.cost.total"])
		assert.NotContains(t, got, "tokenomics.cost.list")
		assert.Equal(t, "vectors@2026.11.22", got["tokenomics.price.book"])
	}
}

// TestRepriceKeepsVerdicts: what is no charge, and what no book can price, stays as it is.
func TestRepriceKeepsVerdicts(t *testing.T) {
	verdict := func(base attrs, status, reason string) attrs {
		return with(base, attrs{"tokenomics.cost.status": status, "tokenomics.cost.reason": reason})
	}
	unused := attrs{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
	for name, span := range map[string]attrs{
		"shadowed":         verdict(chat("gpt-4o", 1000, 500), "not_applicable", "shadowed"),
		"container":        verdict(chat("gpt-4o", 1000, 500), "not_applicable", "container"),
		"server side":      verdict(chat("gpt-4o", 1000, 500), "not_applicable", "server_side"),
		"billed elsewhere": verdict(chat("gpt-4o", 1000, 500), "not_applicable", "billed_elsewhere"),
		"call failed":      verdict(unused, "not_applicable", "call_failed"),
		"pending":          verdict(unused, "unpriced", "pending"),
		"billing unknown":  verdict(unused, "unpriced", "billing_unknown"),
		"no usage":         verdict(unused, "unpriced", "no_usage"),
		"shadowed by":      with(verdict(chat("gpt-4o", 1000, 500), "not_applicable", "shadowed"), attrs{"tokenomics.shadowed_by": "0102030405060708"}),
		"charge": {
			"tokenomics.charge.kind": "ocr", "tokenomics.cost.total": 0.5, "tokenomics.cost.source": "sdk", "tokenomics.cost.status": "priced",
			"tokenomics.cost.basis": "billed",
		},
		"cache hit": {
			"tokenomics.charge.kind": "cache_hit", "tokenomics.cost.total": 0.0, "tokenomics.cost.source": "sdk", "tokenomics.cost.status": "free",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cheaper(vectorConfig())
			cfg.Reprice, cfg.OnExisting = repriceAlways, onExistingOverwrite
			assert.Equal(t, rawOf(span), attributesOf(run(t, cfg, oneSpan(span))))
		})
	}
	// With usage on it, a call that was pending is one that is priced.
	cfg := vectorConfig()
	cfg.Reprice = repriceAlways
	got := attributesOf(run(t, cfg, oneSpan(verdict(chat("gpt-4o", 1000, 500), "unpriced", "pending"))))
	assert.Equal(t, []any{0.0075, "priced", nil}, []any{got["tokenomics.cost.total"], got["tokenomics.cost.status"], got["tokenomics.cost.reason"]})
}

// TestRepriceNeverTakesAProvidersTotal: in every mode, and our figure beside it follows the book.
func TestRepriceNeverTakesAProvidersTotal(t *testing.T) {
	billed := with(earlier("provider"), attrs{"tokenomics.cost.basis": "billed", "tokenomics.cost.computed": 0.4})
	for _, mode := range []string{onExistingVerify, onExistingKeep, onExistingOverwrite} {
		cfg := cheaper(vectorConfig())
		cfg.Reprice, cfg.OnExisting = repriceAlways, mode
		out := run(t, cfg, oneSpan(billed))
		got := attributesOf(out)
		assert.Equal(t, []any{0.5, "provider", "billed", 0.006, 0.5}, []any{
			got["tokenomics.cost.total"], got["tokenomics.cost.source"], got["tokenomics.cost.basis"], got["tokenomics.cost.computed"],
			got["gen_ai.usage.cost"],
		}, mode)
		assert.Equal(t, marshal(t, out), marshal(t, run(t, cfg, out)), mode)
	}
}

// TestRepriceFollowsTheOutputOptions: parts and backends' keys that this step does not write go with the figure that
// they repeat, those that it writes are made anew.
func TestRepriceFollowsTheOutputOptions(t *testing.T) {
	rich := vectorConfig()
	rich.CostParts, rich.Dialects = true, dialectNames
	first := run(t, rich, oneSpan(chat("gpt-4o", 1000, 500)))
	before := attributesOf(first)
	optional := []string{
		"tokenomics.cost.input", "tokenomics.cost.output", "tokenomics.cost.total_micros", "llm.cost.total", "llm.cost.prompt",
		"operation.cost", "gen_ai.cost.total_tokens", "gen_ai.usage.total_cost", "mlflow.llm.cost", "langfuse.observation.cost_details",
	}
	for _, key := range optional {
		require.Contains(t, before, key)
	}

	plain := cheaper(vectorConfig())
	plain.Reprice = repriceAlways
	got := attributesOf(run(t, plain, first))
	assert.Equal(t, 0.006, got["gen_ai.usage.cost"])
	for _, key := range optional {
		assert.NotContains(t, got, key, "a figure that holds no longer")
	}

	refreshed := cheaper(vectorConfig())
	refreshed.Reprice, refreshed.CostParts, refreshed.Dialects = repriceAlways, true, dialectNames
	out := run(t, refreshed, first)
	got = attributesOf(out)
	assert.Equal(t, map[string]any{
		"tokenomics.cost.input": 0.002, "tokenomics.cost.output": 0.004, "tokenomics.cost.total_micros": int64(6000),
		"llm.cost.total": 0.006, "llm.cost.prompt": 0.002, "operation.cost": 0.006, "gen_ai.cost.total_tokens": 0.006,
		"gen_ai.usage.total_cost": 0.006, "mlflow.llm.cost": `{"input_cost":0.002,"output_cost":0.004,"total_cost":0.006}`,
		"langfuse.observation.cost_details": `{"input":0.002,"output":0.004,"total":0.006}`,
	}, only(got, optional))
	assert.Equal(t, marshal(t, out), marshal(t, run(t, refreshed, out)), "a second pass changed something")
}

func only(all map[string]any, keys []string) map[string]any {
	kept := map[string]any{}
	for _, key := range keys {
		kept[key] = all[key]
	}
	return kept
}

// TestAdjacentOperations: a vector database, a search, OCR and speech at own prices, with tags of their resource and by
// rules; a model call on the same host keeps its own price.
func TestAdjacentOperations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"adjacent":[
		{"name":"vector-read","match":{"db.system.name":"qdrant"},"unit":"request","usd_each":"0.000016"},
		{"name":"search","match":{"server.address":"*.search.example","url.path":"/v1/search"},"unit":"request","usd_each":"0.005"},
		{"name":"ocr","match":{"rpc.service":"ocr.Reader"},"unit":"page","usd_each":"0.0015"},
		{"name":"speech","match":{"server.address":"tts.example"},"unit":"request","usd_each":"0"}]}`), 0o600))
	cfg := tagRulesConfig()
	cfg.Book.Overlays = []FileConfig{{Path: path}}
	for name, test := range map[string]struct {
		span attrs
		kind string
		want any
	}{
		"vector database":        {attrs{"db.system.name": "qdrant"}, "vector-read", 0.000016},
		"another database":       {attrs{"db.system.name": "Qdrant"}, "", nil},
		"search":                 {attrs{"server.address": "eu.search.example", "url.path": "/v1/search"}, "search", 0.005},
		"half of what must meet": {attrs{"server.address": "eu.search.example"}, "", nil},
		"ocr":                    {attrs{"rpc.service": "ocr.Reader"}, "ocr", 0.0015},
		"speech for nothing":     {attrs{"server.address": "tts.example"}, "speech", 0.0},
		"not text":               {attrs{"rpc.service": int64(1)}, "", nil},
		"a model call":           {with(chat("gpt-4o", 1000, 500), attrs{"db.system.name": "qdrant"}), "", 0.0075},
		"a container":            {attrs{"gen_ai.operation.name": "invoke_agent", "db.system.name": "qdrant"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := oneSpan(ofTeam(maps.Clone(test.span)))
			in.ResourceSpans().At(0).Resource().Attributes().PutStr("service.namespace", "shop")
			out := run(t, cfg, in)
			got := attributesOf(out)
			assert.Equal(t, test.want, got["tokenomics.cost.total"])
			if test.kind == "" {
				assert.NotContains(t, got, "tokenomics.charge.kind")
			} else {
				assert.Equal(t, []any{test.kind, 1.0, "contracted", "collector"}, []any{
					got["tokenomics.charge.kind"], got["tokenomics.charge.quantity"], got["tokenomics.cost.basis"], got["tokenomics.cost.source"],
				})
			}
			if test.want == nil {
				assert.NotContains(t, got, "tokenomics.tag.team")
			} else {
				assert.Equal(t, []any{"search", "shop", "unassigned"}, []any{got["tokenomics.tag.team"], got["tokenomics.tag.product"], got["tokenomics.tag.cost_center"]})
			}
			assert.Equal(t, marshal(t, out), marshal(t, run(t, cfg, out)), "a second pass changed something")
		})
	}
}
