package tokenomicsprocessor

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// OverrideConfig is one own price: a model of a provider and what it costs, in USD as text so that no digit is lost.
// Rates of tokens are per million, all others per one.
type OverrideConfig struct {
	Provider string `mapstructure:"provider"`
	Model    string `mapstructure:"model"`
	// From and Until bound the price in time, RFC 3339; from is inclusive, until exclusive.
	From  string `mapstructure:"from"`
	Until string `mapstructure:"until"`
	// Basis is contracted where it is not set.
	Basis string `mapstructure:"basis"`

	Input          string `mapstructure:"input"`
	CacheRead      string `mapstructure:"cache_read"`
	CacheWrite     string `mapstructure:"cache_write"`
	CacheWrite1h   string `mapstructure:"cache_write_1h"`
	CacheWrite12h  string `mapstructure:"cache_write_12h"`
	Output         string `mapstructure:"output"`
	Reasoning      string `mapstructure:"reasoning"`
	AudioIn        string `mapstructure:"audio_in"`
	AudioOut       string `mapstructure:"audio_out"`
	AudioCacheRead string `mapstructure:"audio_cache_read"`
	ImageIn        string `mapstructure:"image_in"`
	ImageOut       string `mapstructure:"image_out"`
	VideoIn        string `mapstructure:"video_in"`
	VideoOut       string `mapstructure:"video_out"`
	Request        string `mapstructure:"request"`
	WebSearch      string `mapstructure:"web_search"`
	WebFetch       string `mapstructure:"web_fetch"`
	FileSearch     string `mapstructure:"file_search"`
	CodeSession    string `mapstructure:"code_session"`
	SearchUnit     string `mapstructure:"search_unit"`
	AudioInSecond  string `mapstructure:"audio_in_second"`
	VideoOutSecond string `mapstructure:"video_out_second"`
	Page           string `mapstructure:"page"`
	Character      string `mapstructure:"character"`
	Image          string `mapstructure:"image"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// rates lists the amounts in the order of pricing.UnitNames.
func (o *OverrideConfig) rates() [pricing.UnitCount]string {
	return [pricing.UnitCount]string{
		o.Input, o.CacheRead, o.CacheWrite, o.CacheWrite1h, o.CacheWrite12h, o.Output, o.Reasoning,
		o.AudioIn, o.AudioOut, o.AudioCacheRead, o.ImageIn, o.ImageOut, o.VideoIn, o.VideoOut,
		o.Request, o.WebSearch, o.WebFetch, o.FileSearch, o.CodeSession, o.SearchUnit,
		o.AudioInSecond, o.VideoOutSecond, o.Page, o.Character, o.Image,
	}
}

func (o *OverrideConfig) validate() error {
	if o.Provider == "" || o.Model == "" || o.rates() == [pricing.UnitCount]string{} {
		return fmt.Errorf("%w, got provider %q, model %q", errOverride, o.Provider, o.Model)
	}
	return nil
}

// row returns the overlay row of an override.
func (o *OverrideConfig) row() map[string]any {
	perMillion, each := map[string]string{}, map[string]string{}
	for unit, amount := range o.rates() {
		switch {
		case amount == "":
		case unit < pricing.TokenUnitCount:
			perMillion[pricing.UnitNames[unit]] = amount
		default:
			each[pricing.UnitNames[unit]] = amount
		}
	}
	row := map[string]any{}
	if len(perMillion) > 0 {
		row["usd_per_million"] = perMillion
	}
	if len(each) > 0 {
		row["usd_each"] = each
	}
	for key, value := range map[string]string{"from": o.From, "until": o.Until, "basis": o.Basis} {
		if value != "" {
			row[key] = value
		}
	}
	return row
}

// overlay returns the overrides and aliases as the overlay that they are a short form of, nil where there are none.
func (c *Config) overlay() ([]byte, error) {
	document := map[string]any{}
	if len(c.Book.Overrides) > 0 {
		models, err := overrideModels(c.Book.Overrides)
		if err != nil {
			return nil, err
		}
		document["models"] = models
	}
	if len(c.Aliases) > 0 {
		aliases, err := aliasTable(c.Aliases)
		if err != nil {
			return nil, err
		}
		document["aliases"] = aliases
	}
	if len(document) == 0 {
		return nil, nil
	}
	return json.Marshal(document)
}

// overrideModels groups overrides by model, in the order in which they stand: a model may have several dated prices.
func overrideModels(overrides []OverrideConfig) ([]any, error) {
	type model struct{ provider, id string }
	book, err := pricing.Embedded()
	if err != nil {
		return nil, err
	}
	rows, order := map[model][]any{}, []model{}
	for index := range overrides {
		override := &overrides[index]
		key := model{override.Provider, strings.ToLower(override.Model)}
		if canonical, ok := book.ProviderByName(override.Provider); ok {
			key.provider = canonical
		}
		if rows[key] == nil {
			order = append(order, key)
		}
		rows[key] = append(rows[key], override.row())
	}
	models := make([]any, 0, len(order))
	for _, key := range order {
		models = append(models, map[string]any{"p": key.provider, "id": key.id, "rows": rows[key]})
	}
	return models, nil
}

func aliasTable(aliases map[string]string) (map[string]map[string]any, error) {
	book, err := pricing.Embedded()
	if err != nil {
		return nil, err
	}
	table := map[string]map[string]any{}
	for name, target := range aliases {
		provider, model, found := strings.Cut(target, "/")
		if !found || provider == "" || model == "" || name == "" {
			return nil, fmt.Errorf("%w, got %q: %q", errAlias, name, target)
		}
		if canonical, ok := book.ProviderByName(provider); ok {
			provider = canonical
		}
		if table[provider] == nil {
			table[provider] = map[string]any{}
		}
		table[provider][name] = map[string]string{"model": model}
	}
	return table, nil
}
