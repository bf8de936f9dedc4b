package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/hostile"
)

// texts are what a free text may be: some is right somewhere, some nowhere. Every address in them is of this machine or of
// none.
var texts = []string{
	"", "openai", "anthropic", "gpt-4o", "house-model", "openai/gpt-4o", "127.0.0.1:8001=openai", "gw.example/*/openai=openai",
	"gateway.example", "=openai", "team", "feature", "customer", "user_id", "Team", "1.00", "0.5", "-1", "1e3", "NaN", "x y",
	"2026-01-01T00:00:00Z", "2026-13-01", "http://127.0.0.1:1/", "https://127.0.0.1:1/book.json", "/nowhere/book.json", "\x00", "\xff",
	strings.Repeat("k", 5000),
}

var durations = []any{"0s", "1s", "1500ms", "10s", "1m", "5m", "45m", "720h", "-1s", "1ns", 0}

type node = map[string]any

// chooser makes sections of a configuration out of a schema.
type chooser struct{ *rand.Rand }

func (c chooser) text() string { return texts[c.IntN(len(texts))] }

// value makes a value that the schema takes.
func (c chooser) value(of node) any {
	if words, there := of["enum"].([]any); there {
		return words[c.IntN(len(words))]
	}
	kinds := kindsOf(of)
	switch {
	case slices.Contains(kinds, "object"):
		return c.object(of)
	case slices.Contains(kinds, "array"):
		made := []any{}
		for range c.IntN(4) {
			made = append(made, c.value(of["items"].(node)))
		}
		return made
	case of["pattern"] != nil:
		return durations[c.IntN(len(durations))]
	case slices.Contains(kinds, "boolean"):
		return c.IntN(2) == 0
	case slices.Contains(kinds, "integer"):
		least, most := 0, 1_000_000
		if bound, there := of["minimum"].(int); there {
			least = bound
		}
		if bound, there := of["maximum"].(int); there {
			most = min(most, bound)
		}
		return least + c.IntN(most-least+1)
	case slices.Contains(kinds, "number"):
		return c.Float64() * 10
	}
	return c.text()
}

func (c chooser) object(of node) node {
	made := node{}
	properties, _ := of["properties"].(node)
	for name, inner := range properties {
		if c.IntN(4) == 0 {
			made[name] = c.value(inner.(node))
		}
	}
	if inner, free := of["additionalProperties"].(node); free {
		for range c.IntN(3) {
			made[c.text()] = c.value(inner)
		}
	}
	return made
}

func kindsOf(of node) []string {
	switch kind := of["type"].(type) {
	case string:
		return []string{kind}
	case []any:
		var kinds []string
		for _, one := range kind {
			kinds = append(kinds, one.(string))
		}
		return kinds
	}
	return nil
}

// broken puts something wrong somewhere and returns its key.
func (c chooser) broken(section, of node) string {
	properties := of["properties"].(node)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range properties {
			if !yield(name) {
				return
			}
		}
	})
	name := names[c.IntN(len(names))]
	inner := properties[name].(node)
	kinds := kindsOf(inner)
	switch {
	case c.IntN(5) == 0:
		name += "_"
		section[name] = 1
	case inner["enum"] != nil:
		section[name] = "nonsense"
	case slices.Contains(kinds, "object") && inner["properties"] != nil:
		below := node{}
		section[name] = below
		return c.broken(below, inner)
	case inner["maximum"] != nil:
		section[name] = inner["maximum"].(int) + 1 + c.IntN(1000)
	case inner["minimum"] != nil:
		section[name] = inner["minimum"].(int) - 1 - c.IntN(1000)
	case slices.Contains(kinds, "array"), slices.Contains(kinds, "object"):
		section[name] = 5
	case inner["pattern"] != nil:
		section[name] = "soon"
	case slices.Contains(kinds, "boolean"):
		section[name] = "perhaps"
	default:
		section[name] = []any{node{"a": 1}}
	}
	return name
}

func schemaOf(t *testing.T, folder string) node {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("../..", folder, fileName))
	require.NoError(t, err)
	return conf.ToStringMap()
}

// settings reads a section as the collector does before it starts anything.
func settings(factory component.Factory, section node) (component.Config, error) {
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(section).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.(interface{ Validate() error }).Validate()
}

// namesAKey says whether a message names a setting that stands in a section.
func namesAKey(message string, section any) bool {
	switch section := section.(type) {
	case node:
		for name, inner := range section {
			if len(name) > 3 && strings.Contains(message, name) || namesAKey(message, inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(section, func(inner any) bool { return namesAKey(message, inner) })
	}
	return false
}

// TestAnyConfiguration: whatever somebody writes is refused with a word about a key before anything starts, or it starts,
// takes what comes, and ends.
func TestAnyConfiguration(t *testing.T) {
	random := chooser{rand.New(rand.NewPCG(2026, 11))}
	for _, one := range components {
		schema := schemaOf(t, one.folder)
		ran, refused := 0, 0
		for range 400 {
			section := random.object(schema)
			cfg, err := settings(one.factory, section)
			if err == nil {
				err = runs(t, one.factory, cfg)
			}
			if err != nil {
				refused++
				require.True(t, namesAKey(err.Error(), section), "%s: %v", err, section)
				continue
			}
			ran++
		}
		t.Logf("%s: %d ran, %d were refused", one.folder, ran, refused)
		assert.Greater(t, ran, 20, one.folder)
		assert.Greater(t, refused, 20, one.folder)
	}
}

// runs starts a component, feeds and ends it; an error is the one of its start.
func runs(t *testing.T, factory component.Factory, cfg component.Config) error {
	t.Helper()
	ctx, traces := t.Context(), hostile.OneTrace(0, 60, 3)
	switch factory := factory.(type) {
	case processor.Factory:
		sink := &consumertest.TracesSink{}
		made, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), cfg, sink)
		if err != nil {
			return err
		}
		require.NoError(t, made.Start(ctx, componenttest.NewNopHost()))
		require.NoError(t, made.ConsumeTraces(ctx, traces))
		require.NoError(t, made.Shutdown(context.Background()))
		require.Equal(t, 60, sink.SpanCount(), "%+v", cfg)
	case connector.Factory:
		made, err := factory.CreateTracesToMetrics(ctx, connectortest.NewNopSettings(factory.Type()), cfg, consumertest.NewNop())
		if err != nil {
			return err
		}
		require.NoError(t, made.Start(ctx, componenttest.NewNopHost()))
		require.NoError(t, made.ConsumeTraces(ctx, traces))
		require.NoError(t, made.Shutdown(context.Background()))
	default:
		t.Fatalf("what is %T?", factory)
	}
	return nil
}

// TestAnyMistake: one wrong thing in a configuration that is right otherwise is refused, and the message names it.
func TestAnyMistake(t *testing.T) {
	random := chooser{rand.New(rand.NewPCG(11, 2026))}
	for _, one := range components {
		schema := schemaOf(t, one.folder)
		seen := map[string]bool{}
		for range 400 {
			section := node{}
			key := random.broken(section, schema)
			_, err := settings(one.factory, section)
			require.ErrorContains(t, err, key, "%v", section)
			seen[key] = true
		}
		assert.Greater(t, len(seen), 8, fmt.Sprint(one.folder, seen))
	}
}
