package pricing

import (
	"slices"
	"strings"
)

const (
	schemaName = "otel-tokenomics/pricebook/1"
	maxRate    = 1_000_000_000_000_000
	maxRatio   = 1_000_000
	bookScale  = 12
)

var (
	bookKeys = []string{
		"schema", "id", "version", "generated_at", "currency", "scale", "sources", "calendars", "providers", "models",
		"multipliers",
	}
	sourceKeys     = []string{"id", "name", "version", "sha256", "license"}
	calendarKeys   = []string{"tz", "windows", "weekdays", "except_dates"}
	providerKeys   = []string{"kind", "names", "hosts", "accounting", "neutral_tiers", "tier_aliases"}
	multiplierKeys = []string{"p", "ids", "when", "ratio", "units"}
)

// checkBook returns the checked document of a whole book.
func checkBook(data []byte, origin string) (*document, error) {
	c := &checker{origin: origin}
	entry := c.decode(data)
	c.known(entry, "", bookKeys)
	c.word(entry["schema"], "schema", schemaName)
	c.word(entry["currency"], "currency", "USD")
	c.integer(entry["scale"], "scale", bookScale, bookScale)
	c.sources(entry["sources"])
	doc := &document{
		id:          c.text(entry["id"], "id"),
		version:     c.text(entry["version"], "version"),
		generatedAt: c.instant(entry["generated_at"], "generated_at"),
		calendars:   c.calendars(entry["calendars"]),
		providers:   c.providers(c.object(entry["providers"], "providers")),
	}
	doc.accepted = c.accepted(entry["x-accepted-jumps"])
	doc.models = c.models(entry["models"], doc, checkRow)
	if len(doc.models) == 0 {
		c.refuse("models", "must not be empty")
	}
	doc.multipliers = c.multipliers(entry["multipliers"], doc.providers)
	c.uniqueProviders(doc.providers)
	c.uniqueModels(doc.models)
	return doc, c.failure()
}

func (c *checker) sources(value any) {
	for index, item := range c.list(value, "sources") {
		path := at("sources", index)
		source := c.closed(item, path, sourceKeys)
		for _, key := range sourceKeys {
			if _, stated := source[key]; stated || key != "sha256" {
				c.text(source[key], join(path, key))
			}
		}
	}
}

func (c *checker) accepted(value any) map[string]struct{} {
	names := map[string]struct{}{}
	for index, item := range c.list(value, "x-accepted-jumps") {
		names[c.text(item, at("x-accepted-jumps", index))] = struct{}{}
	}
	return names
}

func (c *checker) calendars(value any) map[string]*calendar {
	calendars := map[string]*calendar{}
	if value == nil {
		return calendars
	}
	entries := c.object(value, "calendars")
	for _, name := range sorted(entries) {
		calendars[name] = c.calendar(entries[name], "calendars."+name)
	}
	return calendars
}

func (c *checker) calendar(value any, path string) *calendar {
	entry := c.closed(value, path, calendarKeys)
	// v1 knows UTC only: without a time-zone database two languages cannot differ.
	c.word(entry["tz"], join(path, "tz"), "UTC")
	result := &calendar{exceptDays: map[int64]struct{}{}}
	windows := c.list(entry["windows"], join(path, "windows"))
	if len(windows) == 0 {
		c.refuse(join(path, "windows"), "must not be empty")
	}
	for index, item := range windows {
		result.windows = append(result.windows, c.window(item, at(join(path, "windows"), index)))
	}
	for index, item := range c.list(entry["weekdays"], join(path, "weekdays")) {
		result.weekdays |= 1 << c.integer(item, at(join(path, "weekdays"), index), 1, 7)
	}
	if _, stated := entry["weekdays"]; !stated {
		result.weekdays = 0xfe
	}
	for index, item := range c.list(entry["except_dates"], join(path, "except_dates")) {
		place := at(join(path, "except_dates"), index)
		day, err := parseDay(c.text(item, place))
		if err != nil {
			c.refuse(place, "%v", err)
		}
		result.exceptDays[day] = struct{}{}
	}
	return result
}

func (c *checker) window(value any, path string) window {
	pair := c.list(value, path)
	if len(pair) != 2 {
		c.refuse(path, "must be a pair of times")
		return window{}
	}
	var minutes [2]int64
	for index, item := range pair {
		minute, err := parseMinute(c.text(item, at(path, index)))
		if err != nil {
			c.refuse(at(path, index), "%v", err)
		}
		minutes[index] = minute
	}
	if minutes[0] >= minutes[1] {
		c.refuse(path, "must not be empty or run across midnight")
	}
	return window{minutes[0], minutes[1]}
}

func (c *checker) providers(entries object) map[string]*provider {
	providers := make(map[string]*provider, len(entries))
	for _, key := range sorted(entries) {
		path := "providers." + key
		c.lower(key, path)
		entry := c.closed(entries[key], path, providerKeys)
		result := &provider{
			key:     key,
			kind:    c.word(entry["kind"], join(path, "kind"), kindFirstParty, "cloud", "host", "gateway", kindSelfHosted),
			names:   c.lowers(entry["names"], join(path, "names")),
			hosts:   c.hosts(entry["hosts"], join(path, "hosts")),
			neutral: defaultNeutral,
		}
		if value, ok := entry["accounting"]; ok {
			result.exclusive = c.word(value, join(path, "accounting"), "inclusive", "exclusive") == "exclusive"
		}
		if value, ok := entry["neutral_tiers"]; ok {
			result.neutral = c.lowers(value, join(path, "neutral_tiers"))
		}
		result.tierAliases = c.words(entry["tier_aliases"], join(path, "tier_aliases"))
		providers[key] = result
	}
	return providers
}

func (c *checker) hosts(value any, path string) []string {
	hosts := c.lowers(value, path)
	for index, host := range hosts {
		if strings.Contains(host[min(1, len(host)):], "*") || host == "*" {
			c.refuse(at(path, index), "must be a host, or a suffix after one leading *")
		}
	}
	return hosts
}

// words returns an object of lower-case texts.
func (c *checker) words(value any, path string) map[string]string {
	if value == nil {
		return nil
	}
	entries := c.object(value, path)
	words := make(map[string]string, len(entries))
	for _, key := range sorted(entries) {
		c.lower(key, path)
		words[key] = c.lower(entries[key], join(path, key))
	}
	return words
}

func (c *checker) multipliers(value any, providers map[string]*provider) []multiplier {
	var result []multiplier
	for index, item := range c.list(value, "multipliers") {
		path := at("multipliers", index)
		entry := c.closed(item, path, multiplierKeys)
		factor := multiplier{
			provider: c.providerKey(entry["p"], join(path, "p"), providers),
			ratio:    c.ratio(entry["ratio"], join(path, "ratio")),
			units:    c.units(entry["units"], join(path, "units")),
		}
		if ids, ok := entry["ids"]; ok {
			factor.ids = c.lowers(ids, join(path, "ids"))
		}
		var calendarName string
		factor.when, calendarName = c.when(entry["when"], join(path, "when"))
		if calendarName != "" {
			c.refuse(join(path, "when.calendar"), "a multiplier has no calendar")
		}
		result = append(result, factor)
	}
	return result
}

func (c *checker) providerKey(value any, path string, providers map[string]*provider) string {
	key := c.lower(value, path)
	if _, ok := providers[key]; !ok && key != "" {
		c.refuse(path, "unknown provider %q", shorten(key))
	}
	return key
}

func (c *checker) ratio(value any, path string) ratio {
	pair := c.list(value, path)
	if len(pair) != 2 {
		c.refuse(path, "must be two integers between 1 and %d", maxRatio)
		return one
	}
	num, den := c.integer(pair[0], at(path, 0), 1, maxRatio), c.integer(pair[1], at(path, 1), 1, maxRatio)
	if c.err != nil {
		return one
	}
	return ratio{uint64(num), uint64(den)}.reduced()
}

func (c *checker) units(value any, path string) unitSet {
	var units unitSet
	items := c.list(value, path)
	if len(items) == 0 {
		c.refuse(path, "must not be empty")
	}
	for index, item := range items {
		unit, ok := UnitByName(c.text(item, at(path, index)))
		if !ok {
			c.refuse(at(path, index), "unknown unit")
		}
		units |= 1 << unit
	}
	return units
}

// uniqueProviders refuses a provider name or host that two providers claim.
func (c *checker) uniqueProviders(providers map[string]*provider) {
	names, hosts := map[string]string{}, map[string]string{}
	keys := make([]string, 0, len(providers))
	for key := range providers {
		keys = append(keys, key)
		names[key] = key
	}
	slices.Sort(keys)
	for _, key := range keys {
		path := "providers." + key
		for index, name := range providers[key].names {
			c.claim(names, name, key, at(join(path, "names"), index))
		}
		for index, host := range providers[key].hosts {
			c.claim(hosts, host, key, at(join(path, "hosts"), index))
		}
	}
}

func (c *checker) claim(taken map[string]string, name, owner, path string) {
	if other, ok := taken[name]; ok && other != owner {
		c.refuse(path, "%q belongs to %s already", shorten(name), other)
	}
	taken[name] = owner
}
