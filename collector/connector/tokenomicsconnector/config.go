package tokenomicsconnector

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Values of the settings that are a choice.
const (
	temporalityCumulative = "cumulative"
	temporalityDelta      = "delta"

	optionalRequestCost = "request.cost"
	optionalCostPart    = "cost.part"
)

const (
	// mostDimensions is how many business tags a call may have, and so how many can be dimensions.
	mostDimensions = 16
	// leastSpans keeps a memory of span ids from being none.
	leastSpans = 2
)

// One error per rule; each quotes the key that broke it.
var (
	errTemporality     = errors.New(`"temporality" must be cumulative or delta`)
	errFlushInterval   = errors.New(`"flush_interval" must be at least 1s`)
	errExpiration      = errors.New(`"series_expiration" must be 0 or at least "flush_interval"`)
	errMaxSeries       = errors.New(`"max_series" must be between 1 and 100000`)
	errDimensions      = errors.New(`"dimensions" holds at most 16 different keys of business tags, [a-z][a-z0-9_]*`)
	errPersonal        = errors.New(`"dimensions" must not name a user, session, conversation or trace: it would make a series for each`)
	errMetricsOptional = errors.New(`"metrics_optional" must be request.cost or cost.part`)
	errDedupeWindow    = errors.New(`"dedupe::window" must be 0 or at least 1s`)
	errDedupeMaxSpans  = errors.New(`"dedupe::max_spans" must be between 2 and 10000000`)
)

// Config holds the settings of the connector.
type Config struct {
	// Temporality says whether points count from the start of their series or from the point before.
	Temporality string `mapstructure:"temporality"`
	// FlushInterval is how often the metrics are handed on.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// SeriesExpiration is how long a series stays to which nothing is added; 0 keeps it for ever.
	SeriesExpiration time.Duration `mapstructure:"series_expiration"`
	// MaxSeries is how many series a metric has; what exceeds it adds up in one of its own.
	MaxSeries int `mapstructure:"max_series"`
	// Dimensions lists the business tags that are dimensions, by their keys.
	Dimensions []string `mapstructure:"dimensions"`
	// MetricsOptional lists the metrics and dimensions that are written on request.
	MetricsOptional []string `mapstructure:"metrics_optional"`
	// WeightBySampling counts a span as often as its tracestate says that it stands for.
	WeightBySampling bool `mapstructure:"weight_by_sampling"`
	// Dedupe counts a span once that is delivered again.
	Dedupe DedupeConfig `mapstructure:"dedupe"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// DedupeConfig says how spans are recognised that were delivered before.
type DedupeConfig struct {
	// Window is how long the id of a span is remembered; 0 switches it off.
	Window time.Duration `mapstructure:"window"`
	// MaxSpans is how many ids are remembered at most.
	MaxSpans int `mapstructure:"max_spans"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{
		Temporality:      temporalityCumulative,
		FlushInterval:    15 * time.Second,
		SeriesExpiration: time.Hour,
		MaxSeries:        2000,
		Dimensions:       []string{"team", "feature"},
		Dedupe:           DedupeConfig{MaxSpans: 200_000},
	}
}

var (
	tagKey   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	personal = []string{"user", "user_id", "session", "session_id", "conversation", "conversation_id", "trace", "trace_id", "span_id"}
)

// Validate checks every rule and says all that is wrong at once.
func (c *Config) Validate() error {
	const mostSeries, mostSpans = 100_000, 10_000_000
	var errs []error
	refuse := func(wrong bool, rule error, value any) {
		if wrong {
			errs = append(errs, fmt.Errorf("%w, got %v", rule, value))
		}
	}
	refuse(c.Temporality != temporalityCumulative && c.Temporality != temporalityDelta, errTemporality, c.Temporality)
	refuse(c.FlushInterval < time.Second, errFlushInterval, c.FlushInterval)
	refuse(c.SeriesExpiration != 0 && c.SeriesExpiration < c.FlushInterval, errExpiration, c.SeriesExpiration)
	refuse(c.MaxSeries < 1 || c.MaxSeries > mostSeries, errMaxSeries, c.MaxSeries)
	refuse(len(c.Dimensions) > mostDimensions, errDimensions, len(c.Dimensions))
	for index, key := range c.Dimensions {
		refuse(!tagKey.MatchString(key) || slices.Contains(c.Dimensions[:index], key), errDimensions, key)
		refuse(slices.Contains(personal, key), errPersonal, key)
	}
	for _, name := range c.MetricsOptional {
		refuse(name != optionalRequestCost && name != optionalCostPart, errMetricsOptional, name)
	}
	refuse(c.Dedupe.Window != 0 && c.Dedupe.Window < time.Second, errDedupeWindow, c.Dedupe.Window)
	refuse(c.Dedupe.MaxSpans < leastSpans || c.Dedupe.MaxSpans > mostSpans, errDedupeMaxSpans, c.Dedupe.MaxSpans)
	return errors.Join(errs...)
}
