package tokenomicsconnector

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	assert.Equal(t, &Config{
		Temporality: "delta", FlushInterval: time.Minute, SeriesExpiration: 24 * time.Hour, MaxSeries: 500, Dimensions: []string{"customer"},
		MetricsOptional: []string{"request.cost", "cost.part"}, WeightBySampling: true,
		Dedupe: DedupeConfig{Window: 5 * time.Minute, MaxSpans: 1_000_000},
	}, cfg)
	cfg, err = load(t, "config.yaml", "tokenomics/for_ever")
	require.NoError(t, err)
	assert.Zero(t, cfg.SeriesExpiration)
	assert.Empty(t, cfg.Dimensions)
}

// TestBadConfigs has one file per rule; each message quotes the key.
func TestBadConfigs(t *testing.T) {
	want := map[string]error{
		"temporality": errTemporality, "flush_interval": errFlushInterval, "series_expiration": errExpiration,
		"series_expiration_negative": errExpiration, "max_series": errMaxSeries, "max_series_huge": errMaxSeries,
		"dimensions_key": errDimensions, "dimensions_twice": errDimensions, "dimensions_many": errDimensions,
		"dimensions_personal": errPersonal, "metrics_optional": errMetricsOptional, "dedupe_window": errDedupeWindow,
		"dedupe_window_negative": errDedupeWindow, "dedupe_max_spans": errDedupeMaxSpans,
	}
	// Keys that do not exist are refused before any rule of ours; the message names them.
	unknown := map[string]string{"unknown_key": "max_serie", "unknown_dedupe_key": "windows"}
	files, err := filepath.Glob("testdata/config_bad_*.yaml")
	require.NoError(t, err)
	assert.Len(t, files, len(want)+len(unknown))
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "config_bad_"), ".yaml")
		_, err := load(t, filepath.Base(file), "tokenomics")
		if key, ok := unknown[name]; ok {
			require.ErrorContains(t, err, "invalid keys: "+key, name)
			continue
		}
		require.ErrorIs(t, err, want[name], name)
		key, _, _ := strings.Cut(strings.Split(err.Error(), `"`)[1], "::")
		assert.True(t, strings.HasPrefix(name, key), "%s is about %s", name, key)
	}
	// Every trouble is said at once, not one per start.
	err = (&Config{}).Validate()
	for _, rule := range []error{errTemporality, errFlushInterval, errMaxSeries, errDedupeMaxSpans} {
		require.ErrorIs(t, err, rule)
	}
}
