package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/processor"
)

// TestSchemasAreFresh: a setting that was added, renamed or described anew needs `make generate`.
func TestSchemasAreFresh(t *testing.T) {
	const root = "../.."
	for _, one := range components {
		want, err := generate(root, one.folder, one.factory)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(root, one.folder, fileName))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), one.folder)
	}
}

type (
	outer struct {
		// Word is a choice.
		Word string `mapstructure:"word"`
		// Count has bounds.
		Count int `mapstructure:"count"`
		// Share is any number.
		Share  float64       `mapstructure:"share"`
		Wait   time.Duration `mapstructure:"wait"`
		Free   string        `mapstructure:"free"`
		Words  []string      `mapstructure:"words"`
		Maybe  *inner        `mapstructure:"maybe"`
		Itself itself        `mapstructure:"itself"`
		Level  level         `mapstructure:"level"`
		Most   uint16        `mapstructure:"most"`
		Either option[inner] `mapstructure:"either"`
		hidden int
		Inner  inner `mapstructure:",squash"`
		Not    int   `mapstructure:"-"`
	}
	inner  struct{ Rates map[string]int64 }
	itself struct{ any string }
	level  struct{ at int }

	option[T any] struct{ value *T }
)

func (*itself) Unmarshal(*confmap.Conf) error    { return nil }
func (*option[T]) Unmarshal(*confmap.Conf) error { return nil }
func (o *option[T]) Get() *T                     { return o.value }
func (*level) UnmarshalText([]byte) error        { return nil }

func (o *outer) Validate() error {
	switch {
	case o.Word != "few" && o.Word != "many":
		return errors.New(`"word" must be few or many, got something else`)
	case o.Count < 3 || o.Count > 1000:
		return errors.New(`"count" is out of bounds`)
	case o.hidden > 0 || o.Not > 0 || o.Itself.any != "" || o.Level.at > 0:
		return errors.New("nobody can set these")
	}
	return nil
}

// TestEveryKind: types that no component has today are described too, what cannot be set from outside is not.
func TestEveryKind(t *testing.T) {
	kind := component.MustNewType("outer")
	factory := processor.NewFactory(kind, func() component.Config { return &outer{Word: "few", Count: 10, Wait: time.Minute} })
	text, err := generate(".", ".", factory)
	require.NoError(t, err)
	content, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	conf, err := content.AsConf()
	require.NoError(t, err)
	properties := conf.ToStringMap()["properties"].(map[string]any)
	for name, want := range map[string]map[string]any{
		"word":   {"type": "string", "enum": []any{"few", "many"}, "default": "few"},
		"count":  {"type": "integer", "minimum": 3, "maximum": 1000, "default": 10},
		"share":  {"type": "number", "default": 0},
		"wait":   {"type": []any{"string", "integer"}, "pattern": durationPattern, "default": "1m0s"},
		"free":   {"type": "string"},
		"words":  {"type": []any{"array", "null"}, "items": map[string]any{"type": "string"}},
		"most":   {"type": "integer", "default": 0},
		"itself": {}, "level": {"type": "string"},
		"rates": {"type": []any{"object", "null"}, "additionalProperties": map[string]any{"type": "integer"}},
	} {
		assert.Equal(t, want, properties[name], name)
	}
	assert.Len(t, properties, 12)
	assert.Contains(t, properties["maybe"], "properties")
	assert.Equal(t, properties["maybe"], properties["either"])
}

// TestAMessageThatIsWrong: words that a refusal names and refuses all the same would make a schema that lies.
func TestAMessageThatIsWrong(t *testing.T) {
	factory := processor.NewFactory(component.MustNewType("liar"), func() component.Config { return &liar{} })
	assert.Panics(t, func() { _, _ = generate(".", ".", factory) })
}

type liar struct {
	Word string `mapstructure:"word"`
}

func (l *liar) Validate() error {
	if l.Word != "" {
		return errors.New(`"word" must be a or b`)
	}
	return nil
}
