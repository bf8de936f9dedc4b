package tokenomicsprocessor

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

// TestReadmeExamples: what people paste is a configuration that starts.
func TestReadmeExamples(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	found := 0
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		var content map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(block), &content), block)
		section, err := confmap.NewFromStringMap(content).Sub("processors::tokenomics")
		require.NoError(t, err)
		if len(section.AllKeys()) == 0 {
			continue
		}
		found++
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, section.Unmarshal(cfg), block)
		require.NoError(t, cfg.Validate(), block)
	}
	assert.GreaterOrEqual(t, found, 5)
}
