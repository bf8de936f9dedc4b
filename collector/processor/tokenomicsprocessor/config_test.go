package tokenomicsprocessor

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// load reads one component's section of a file as the collector does.
func load(t *testing.T, file, id string) (*Config, error) {
	t.Helper()
	content, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	section, err := content.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := section.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

func TestEverySettingIsRead(t *testing.T) {
	cfg, err := load(t, "config.yaml", "tokenomics")
	require.NoError(t, err)
	client := confighttp.NewDefaultClientConfig()
	client.Endpoint, client.Timeout = "http://[::1]:8080/pricebook.json", 5*time.Second
	client.Headers = configopaque.MapList{{Name: "Authorization", Value: "Bearer x"}}
	assert.Equal(t, &Config{
		Book: BookConfig{
			Files: []FileConfig{{Path: "/etc/otelcol-tokenomics/pricebook.json", ReloadInterval: time.Minute}},
			Overrides: []OverrideConfig{{
				Provider: "openai", Model: "gpt-x", From: "2026-01-01T00:00:00Z", Input: "2.00", Output: "8.00", WebSearch: "0.01",
			}},
			HTTP: configoptional.Some(HTTPConfig{
				ClientConfig: client, TrustedKeys: []string{"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, RequireSignature: true,
				SHA256: strings.Repeat("ab", 32), Version: "2026.11.22", InsecureHTTP: true, ReloadInterval: time.Hour,
				CacheDirectory: "/var/lib/otelcol-tokenomics/pricebook",
			}),
		},
		Aliases:     map[string]string{"prod-chat": "openai/gpt-x"},
		Endpoints:   []string{"gw.acme.example/*/openai=openai", "127.0.0.1:8001=anthropic"},
		UnknownHost: "unpriced", BilledElsewhere: []string{"gateway.example"}, UsageConvention: "exclusive",
		OnExisting: "keep", PriceServerSpans: true, PriceContainers: true, Reprice: "always", CostParts: true,
		Dialects: []string{"scalar", "mlflow"}, MaxAge: 24 * time.Hour,
		Tags: TagsConfig{
			Map: map[string][]string{
				"team": {"litellm.team.id", "resource:k8s.namespace.name"}, "product": {"service.namespace"},
				"*": {"traceloop.association.properties.*"},
			},
			Required: []string{"team"}, Defaults: map[string]string{"cost_center": "unassigned"},
		},
		Sensitive: SensitiveConfig{
			Drop: []string{"gen_ai.input.messages", "gen_ai.prompt.*"}, Hash: []string{"user.id"}, Salt: "a secret",
		},
		Agents: map[string]string{"claude_code": "spans", "opencode": "logs"},
	}, cfg)
	cfg, err = load(t, "config.yaml", "tokenomics/overlay")
	require.NoError(t, err)
	assert.Equal(t, []FileConfig{{Path: "own.json"}}, cfg.Book.Overlays)
}

// TestBadConfigs has one file per rule; each message quotes the key.
func TestBadConfigs(t *testing.T) {
	want := map[string]error{
		"on_existing": errOnExisting, "usage_convention": errConvention, "unknown_host": errUnknownHost, "reprice": errReprice,
		"dialects": errDialects, "max_age": errMaxAge, "endpoints": errEndpoints, "endpoints_without_provider": errEndpoints,
		"billed_elsewhere": errBilledElsewhere, "book_files": errBookFiles, "book_path": errBookPath,
		"overlay_files": errOverlayFiles, "overlay_path": errOverlayPath, "reload_interval": errReloadInterval,
		"two_overlays": errTwoOverlays, "override_without_rate": errOverride, "override_negative": errOverride, "alias": errAlias,
		"http_no_endpoint": errHTTPEndpoint, "http_scheme": errHTTPEndpoint, "http_insecure": errHTTPEndpoint,
		"http_credentials": errHTTPEndpoint, "http_timeout": errHTTPTimeout, "http_interval": errHTTPInterval,
		"http_digest": errHTTPDigest, "http_key": errHTTPKeys, "http_trust": errHTTPTrust, "http_signature": errHTTPSignature,
		"tag_name": errTagName, "tag_name_required": errTagName, "tag_name_default": errTagName, "tag_without_source": errTagSource,
		"tag_empty_source": errTagSource, "tag_wildcard": errTagWildcard, "tag_no_wildcard": errTagWildcard,
		"tag_wildcard_of_all": errTagWildcard, "tag_wildcard_inside": errTagWildcard, "tag_from_tag": errTagOurs,
		"tag_from_cost": errTagOurs, "tag_from_costs": errTagOurs, "tag_from_standard": errTagOurs,
		"tag_default_empty": errTagDefault, "tag_default_long": errTagDefault, "tag_required_and_default": errTagBoth,
		"tag_policies": errTagPolicies, "sensitive_name": errSensitiveKey, "sensitive_all": errSensitiveKey,
		"sensitive_twice": errSensitiveTwice, "sensitive_usage": errSensitiveOurs, "sensitive_mark": errSensitiveOurs,
		"sensitive_salt": errSensitiveSalt,
	}
	want["agent_unknown"], want["agent_signal"], want["agent_without_choice"] = errAgents, errAgents, errAgents
	// Keys that do not exist are refused before any rule of ours; the message names them.
	unknown := map[string]string{"unknown_key": "on_exist", "unknown_rate": "inputs", "tag_unknown_key": "maps", "http_unknown": "trusted_key"}
	files, err := filepath.Glob("testdata/config_bad_*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(want)+len(unknown))
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "config_bad_"), ".yaml")
		t.Run(name, func(t *testing.T) {
			_, err := load(t, filepath.Base(file), "tokenomics")
			if key, ok := unknown[name]; ok {
				require.ErrorContains(t, err, key)
				return
			}
			require.ErrorIs(t, err, want[name])
			assert.Regexp(t, `"[a-z0-9_:]+"`, err.Error())
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// TestAnEmptyListIsAList: what is written empty must not fall back to the default.
func TestAnEmptyListIsAList(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"dialects": []any{}, "max_age": "0"}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	assert.Empty(t, cfg.Dialects)
	got := attributesOf(run(t, cfg, oneSpan(chat("gpt-4o", 1000, 500))))
	assert.NotContains(t, got, "gen_ai.usage.cost")
	assert.Equal(t, "priced", got["tokenomics.cost.status"])
}

// TestRulesNameThemselves: no rule's message can be taken for another's, and each names its key.
func TestRulesNameThemselves(t *testing.T) {
	rules := []error{
		errOnExisting, errConvention, errUnknownHost, errReprice, errDialects, errMaxAge, errEndpoints, errBilledElsewhere,
		errBookFiles, errBookPath, errOverlayFiles, errOverlayPath, errReloadInterval, errTwoOverlays, errOverride, errAlias,
		errHTTPEndpoint, errHTTPTimeout, errHTTPInterval, errHTTPDigest, errHTTPKeys, errHTTPTrust, errHTTPSignature,
		errTagName, errTagSource, errTagWildcard, errTagOurs, errTagDefault, errTagBoth, errTagPolicies,
		errSensitiveKey, errSensitiveTwice, errSensitiveOurs, errSensitiveSalt,
		errAgents,
	}
	seen := map[string]bool{}
	for _, rule := range rules {
		key := strings.Split(rule.Error(), `"`)[1]
		assert.False(t, seen[rule.Error()], rule)
		seen[rule.Error()] = true
		assert.Regexp(t, `^[a-z_]+(::[a-z0-9_]+)*$`, key)
	}
	// Every trouble is said at once, not one per start.
	cfg := createDefaultConfig().(*Config)
	cfg.OnExisting, cfg.Reprice, cfg.MaxAge, cfg.Dialects = "x", "x", -1, []string{"semconv443"}
	err := cfg.Validate()
	for _, rule := range []error{errOnExisting, errReprice, errMaxAge, errDialects} {
		require.ErrorIs(t, err, rule)
	}
}

// TestTrust: who may be believed is said, or that anybody may be.
func TestTrust(t *testing.T) {
	key, digest := "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", strings.Repeat("AB", 32)
	for _, test := range []struct {
		change func(*HTTPConfig)
		want   error
	}{
		{func(h *HTTPConfig) { h.TrustedKeys = []string{key} }, nil},
		{func(h *HTTPConfig) { h.SHA256 = digest }, nil},
		{func(h *HTTPConfig) { h.SHA256, h.TrustedKeys = digest, []string{key, " " + key + "\n"} }, nil},
		{func(h *HTTPConfig) { h.RequireSignature = false }, nil},
		{func(h *HTTPConfig) { h.RequireSignature, h.SHA256 = false, digest }, nil},
		{func(h *HTTPConfig) { h.Version = "2026.11.22" }, errHTTPTrust},
		{func(h *HTTPConfig) { h.TrustedKeys = []string{""} }, errHTTPKeys},
		{func(h *HTTPConfig) { h.TrustedKeys = []string{key, key[:40]} }, errHTTPKeys},
	} {
		section := defaultHTTPConfig()
		section.ClientConfig.Endpoint = "https://prices.example/pricebook.json"
		test.change(&section)
		if test.want == nil {
			require.NoError(t, section.validate())
			remote, err := section.remote()
			require.NoError(t, err)
			assert.Len(t, remote.Keys, len(section.TrustedKeys))
			assert.Equal(t, strings.ToLower(section.SHA256), remote.SHA256)
			continue
		}
		require.ErrorIs(t, section.validate(), test.want)
	}
}
