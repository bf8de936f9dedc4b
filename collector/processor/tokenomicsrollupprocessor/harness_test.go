package tokenomicsrollupprocessor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(step)
}

func nopSettings() processor.Settings {
	return processortest.NewNopSettings(component.MustNewType("tokenomics_rollup"))
}

// still makes a processor whose clock stands still until the test moves it: nothing runs beside the test.
func still(t testing.TB, cfg *Config, next consumer.Traces) (*rollupProcessor, *clock) {
	t.Helper()
	require.NoError(t, cfg.Validate())
	made, err := newProcessor(nopSettings(), cfg, next)
	require.NoError(t, err)
	watch := &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	made.now, made.sleep = watch.now, func(context.Context, time.Duration) {}
	return made, watch
}
