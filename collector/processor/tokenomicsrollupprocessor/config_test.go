package tokenomicsrollupprocessor

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// loadConfig reads one component's section of a file as the collector does.
func loadConfig(t *testing.T, file, id string) (*Config, error) {
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
	cfg, err := loadConfig(t, "config.yaml", "tokenomics_rollup")
	require.NoError(t, err)
	assert.Equal(t, &Config{
		WaitAfterRoot: time.Second, IdleWait: 30 * time.Second, MaxWait: time.Hour, MaxSpans: 100_000, MaxSpansPerTrace: 20_000,
		Grouped: true, DedupeNested: false, CountBareContainers: true,
	}, cfg)
	cfg, err = loadConfig(t, "config.yaml", "tokenomics_rollup/default")
	require.NoError(t, err)
	assert.Equal(t, &Config{
		WaitAfterRoot: 2 * time.Second, IdleWait: 10 * time.Second, MaxWait: 5 * time.Minute, MaxSpans: 500_000,
		MaxSpansPerTrace: 100_000, DedupeNested: true,
	}, cfg)
}

// TestBadConfigs has one file per rule; each message quotes the key and says what was found.
func TestBadConfigs(t *testing.T) {
	want := map[string]error{
		"wait_after_root": errWaitAfterRoot, "idle_wait": errIdleWait, "max_wait": errMaxWait, "max_wait_below_root": errMaxWait,
		"max_spans": errMaxSpans, "max_spans_per_trace": errMaxSpansPerTrace,
	}
	found := map[string]string{
		"wait_after_root": "-1s", "idle_wait": "0s", "max_wait": "5s", "max_wait_below_root": "10s", "max_spans": "0",
		"max_spans_per_trace": "-1",
	}
	files, err := filepath.Glob("testdata/config_bad_*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(want)+1)
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "config_bad_"), ".yaml")
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(t, filepath.Base(file), "tokenomics_rollup")
			if name == "unknown_key" {
				require.ErrorContains(t, err, "max_trace")
				return
			}
			require.ErrorIs(t, err, want[name])
			assert.Regexp(t, `^"[a-z_]+" .*, got `+found[name]+"$", err.Error())
		})
	}
}

// TestEveryTroubleIsSaidAtOnce: not one per start.
func TestEveryTroubleIsSaidAtOnce(t *testing.T) {
	cfg := &Config{WaitAfterRoot: -1, MaxWait: -1}
	for _, rule := range []error{errWaitAfterRoot, errIdleWait, errMaxWait, errMaxSpans, errMaxSpansPerTrace} {
		require.ErrorIs(t, cfg.Validate(), rule)
	}
}
