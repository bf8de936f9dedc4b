package tokenomicsrollupprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// One error per rule; each quotes the key that broke it.
var (
	errWaitAfterRoot    = errors.New(`"wait_after_root" must not be negative`)
	errIdleWait         = errors.New(`"idle_wait" must be positive`)
	errMaxWait          = errors.New(`"max_wait" must not be shorter than "idle_wait" and "wait_after_root"`)
	errMaxSpans         = errors.New(`"max_spans" must be positive`)
	errMaxSpansPerTrace = errors.New(`"max_spans_per_trace" must be positive`)
)

// Config holds the settings of the processor.
type Config struct {
	// WaitAfterRoot is how long a trace waits after its root for spans that come later, where no parent is missing.
	WaitAfterRoot time.Duration `mapstructure:"wait_after_root"`
	// IdleWait is after what time without a span of it a trace goes on, whole or not.
	IdleWait time.Duration `mapstructure:"idle_wait"`
	// MaxWait is after what time a trace goes on even where spans of it still come.
	MaxWait time.Duration `mapstructure:"max_wait"`
	// MaxSpans is how many spans are held; above it the oldest traces go on early.
	MaxSpans int `mapstructure:"max_spans"`
	// MaxSpansPerTrace is how many spans of one trace are held; at this number it goes on early.
	MaxSpansPerTrace int `mapstructure:"max_spans_per_trace"`
	// Grouped says that each batch holds whole traces already: nothing is held.
	Grouped bool `mapstructure:"grouped"`
	// DedupeNested takes charges off that another span of the trace holds.
	DedupeNested bool `mapstructure:"dedupe_nested"`
	// CountBareContainers counts the usage of a container without any call below it in a whole trace as one call. It costs
	// what the processor tokenomics left there with price_containers, else it is unpriced.
	CountBareContainers bool `mapstructure:"count_bare_containers"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{
		WaitAfterRoot:    2 * time.Second,
		IdleWait:         10 * time.Second,
		MaxWait:          5 * time.Minute,
		MaxSpans:         500_000,
		MaxSpansPerTrace: 100_000,
		DedupeNested:     true,
	}
}

// Validate checks every rule, and says every trouble at once.
func (c *Config) Validate() error {
	var errs []error
	if c.WaitAfterRoot < 0 {
		errs = append(errs, fmt.Errorf("%w, got %s", errWaitAfterRoot, c.WaitAfterRoot))
	}
	if c.IdleWait <= 0 {
		errs = append(errs, fmt.Errorf("%w, got %s", errIdleWait, c.IdleWait))
	}
	if c.MaxWait < c.IdleWait || c.MaxWait < c.WaitAfterRoot {
		errs = append(errs, fmt.Errorf("%w, got %s", errMaxWait, c.MaxWait))
	}
	if c.MaxSpans <= 0 {
		errs = append(errs, fmt.Errorf("%w, got %d", errMaxSpans, c.MaxSpans))
	}
	if c.MaxSpansPerTrace <= 0 {
		errs = append(errs, fmt.Errorf("%w, got %d", errMaxSpansPerTrace, c.MaxSpansPerTrace))
	}
	return errors.Join(errs...)
}
