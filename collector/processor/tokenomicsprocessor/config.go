package tokenomicsprocessor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// Values of the settings that are a choice.
const (
	onExistingVerify    = "verify"
	onExistingKeep      = "keep"
	onExistingOverwrite = "overwrite"

	conventionAuto      = "auto"
	conventionInclusive = "inclusive"
	conventionExclusive = "exclusive"

	unknownHostAssume   = "assume"
	unknownHostUnpriced = "unpriced"

	repriceNever  = "never"
	repriceAlways = "always"
)

// dialectNames are the dialects that the processor writes. semconv443 is none of them: its proposal rules out that a
// cost is reconstructed behind the application.
var dialectNames = []string{spancost.Scalar, "openinference", "mlflow", "langfuse", "logfire", "sentry", "openrouter"}

// One error per rule; each quotes the key that broke it.
var (
	errOnExisting      = errors.New(`"on_existing" must be verify, keep or overwrite`)
	errConvention      = errors.New(`"usage_convention" must be auto, inclusive or exclusive`)
	errUnknownHost     = errors.New(`"unknown_host" must be assume or unpriced`)
	errReprice         = errors.New(`"reprice" must be never or always`)
	errDialects        = errors.New(`"dialects" must be scalar, openinference, mlflow, langfuse, logfire, sentry or openrouter`)
	errMaxAge          = errors.New(`"max_age" must not be negative`)
	errEndpoints       = errors.New(`"endpoints" holds an entry that is no rule`)
	errBilledElsewhere = errors.New(`"billed_elsewhere" holds an entry that is no rule`)
	errBookFiles       = errors.New(`"book::files" takes one file`)
	errBookPath        = errors.New(`"book::files::path" must be set`)
	errOverlayFiles    = errors.New(`"book::overlays" takes one file`)
	errOverlayPath     = errors.New(`"book::overlays::path" must be set`)
	errReloadInterval  = errors.New(`"reload_interval" must be at least 1s`)
	errTwoOverlays     = errors.New(`"book::overlays" excludes "book::overrides" and "aliases"`)
	errOverride        = errors.New(`"book::overrides" must name provider, model and at least one rate`)
	errAlias           = errors.New(`"aliases" must map a name to provider/model`)
	errAgents          = errors.New(`"agents" must map coding agents to logs or spans`)
)

// Config holds the settings of the processor.
type Config struct {
	// Book says where prices come from.
	Book BookConfig `mapstructure:"book"`
	// Aliases maps names of deployments to provider/model.
	Aliases map[string]string `mapstructure:"aliases"`
	// Endpoints says who bills behind a gateway, proxy or local server: host[:port][/path]=provider.
	Endpoints []string `mapstructure:"endpoints"`
	// UnknownHost says what a host means that nobody knows: assume the only maker of the model, or leave it unpriced.
	UnknownHost string `mapstructure:"unknown_host"`
	// BilledElsewhere lists host[:port][/path] of gateways that charge their calls themselves.
	BilledElsewhere []string `mapstructure:"billed_elsewhere"`
	// UsageConvention says how input is counted where neither the emitter nor the numbers tell.
	UsageConvention string `mapstructure:"usage_convention"`
	// OnExisting says what a cost means that somebody else wrote.
	OnExisting string `mapstructure:"on_existing"`
	// Agents says on which signal each coding agent is charged, logs or spans: the other one tells of the same calls.
	Agents map[string]string `mapstructure:"agents"`
	// PriceServerSpans prices spans of kind SERVER and CONSUMER too.
	PriceServerSpans bool `mapstructure:"price_server_spans"`
	// PriceContainers leaves on agents, chains and tools that repeat usage what it would cost, for the roll-up's
	// count_bare_containers.
	PriceContainers bool `mapstructure:"price_containers"`
	// Reprice says whether our own figures of an earlier step are replaced.
	Reprice string `mapstructure:"reprice"`
	// CostParts writes the parts of the cost, the savings and the total in millionths.
	CostParts bool `mapstructure:"cost_parts"`
	// Dialects lists the backends whose keys repeat the cost.
	Dialects []string `mapstructure:"dialects"`
	// Tags says which attributes become business tags, and which tags a charge must bear.
	Tags TagsConfig `mapstructure:"tags"`
	// Sensitive says which attributes go no further.
	Sensitive SensitiveConfig `mapstructure:"sensitive"`
	// MaxAge is the age of a price book from which every cost bears the flag stale_book; 0 switches it off.
	MaxAge time.Duration `mapstructure:"max_age"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// BookConfig says where prices come from: the embedded book, a file instead of it, an address instead of both, own prices
// on top.
type BookConfig struct {
	// Files holds the file of a whole price book that stands in the place of the embedded one.
	Files []FileConfig `mapstructure:"files"`
	// HTTP is the address of a whole price book that stands in the place of the embedded one and of the file.
	HTTP configoptional.Optional[HTTPConfig] `mapstructure:"http"`
	// Overlays holds the file of an overlay: own prices, discounts, aliases, capacity.
	Overlays []FileConfig `mapstructure:"overlays"`
	// Overrides are own prices in place.
	Overrides []OverrideConfig `mapstructure:"overrides"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// FileConfig is one file that is looked at again and again.
type FileConfig struct {
	Path string `mapstructure:"path"`
	// ReloadInterval is how often the file is looked at; 30s if it is not set.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{
		Book:            BookConfig{HTTP: configoptional.Default(defaultHTTPConfig())},
		UnknownHost:     unknownHostAssume,
		UsageConvention: conventionAuto,
		OnExisting:      onExistingVerify,
		Reprice:         repriceNever,
		Dialects:        []string{spancost.Scalar},
		MaxAge:          45 * 24 * time.Hour,
	}
}

// Validate checks what can be checked without reading a file; files are read when the processor is made.
func (c *Config) Validate() error {
	errs := []error{
		oneOf(errOnExisting, c.OnExisting, onExistingVerify, onExistingKeep, onExistingOverwrite),
		oneOf(errConvention, c.UsageConvention, conventionAuto, conventionInclusive, conventionExclusive),
		oneOf(errUnknownHost, c.UnknownHost, unknownHostAssume, unknownHostUnpriced),
		oneOf(errReprice, c.Reprice, repriceNever, repriceAlways),
		endpointRules(errEndpoints, c.Endpoints, true),
		endpointRules(errBilledElsewhere, c.BilledElsewhere, false),
		c.Book.validate(),
		c.Tags.validate(),
		c.Sensitive.validate(),
	}
	if _, err := attributes.ParseAgents(c.Agents); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", errAgents, err))
	}
	for _, dialect := range c.Dialects {
		errs = append(errs, oneOf(errDialects, dialect, dialectNames...))
	}
	if c.MaxAge < 0 {
		errs = append(errs, errMaxAge)
	}
	if len(c.Book.Overlays) > 0 && (len(c.Book.Overrides) > 0 || len(c.Aliases) > 0) {
		errs = append(errs, errTwoOverlays)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.validateOverlay()
}

// validateOverlay lays the overrides over the embedded book, which checks every word and amount in them. Where a file
// stands in its place they may name what only the file knows: then the start checks them.
func (c *Config) validateOverlay() error {
	overlay, err := c.overlay()
	if err != nil || overlay == nil || len(c.Book.Files) > 0 {
		return err
	}
	book, err := pricing.Embedded()
	if err != nil {
		return err
	}
	if _, err := book.WithOverlay(overlay, "book::overrides"); err != nil {
		return fmt.Errorf("%w: %w", errOverride, err)
	}
	return nil
}

func (b *BookConfig) validate() error {
	errs := []error{
		oneFile(b.Files, errBookFiles, errBookPath),
		oneFile(b.Overlays, errOverlayFiles, errOverlayPath),
	}
	if b.HTTP.HasValue() {
		errs = append(errs, b.HTTP.Get().validate())
	}
	for index := range b.Overrides {
		errs = append(errs, b.Overrides[index].validate())
	}
	return errors.Join(errs...)
}

func oneFile(files []FileConfig, tooMany, noPath error) error {
	if len(files) > 1 {
		return fmt.Errorf("%w, got %d", tooMany, len(files))
	}
	for index := range files {
		if files[index].Path == "" {
			return noPath
		}
		if interval := files[index].ReloadInterval; interval != 0 && interval < time.Second {
			return fmt.Errorf("%w, got %s", errReloadInterval, interval)
		}
	}
	return nil
}

func oneOf(rule error, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%w, got %q", rule, value)
}

func endpointRules(rule error, entries []string, needProvider bool) error {
	if _, err := pricing.ParseEndpoints(entries); err != nil {
		return fmt.Errorf("%w: %w", rule, err)
	}
	for _, entry := range entries {
		if needProvider && providerOf(entry) == "" {
			return fmt.Errorf("%w: %q names no provider", rule, entry)
		}
	}
	return nil
}

func (c *Config) options() attributes.Options {
	options := attributes.Options{
		PriceServerSpans: c.PriceServerSpans, PriceContainers: c.PriceContainers, Reprice: c.Reprice == repriceAlways,
	}
	// Validate refused what cannot be read.
	options.Agents, _ = attributes.ParseAgents(c.Agents)
	switch c.UsageConvention {
	case conventionInclusive:
		options.Convention = attributes.ConventionInclusive
	case conventionExclusive:
		options.Convention = attributes.ConventionExclusive
	}
	return options
}
