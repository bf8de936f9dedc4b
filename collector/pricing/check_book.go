package pricing

import (
	"encoding/json"
	"strconv"
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
	c.scale(entry["scale"])
	c.sources(entry["sources"])
	doc := &document{
		id:          c.text(entry["id"], "id"),
		version:     c.text(entry["version"], "version"),
		generated:   entry["generated_at"],
		generatedAt: c.instant(entry["generated_at"], "generated_at"),
		calendars:   c.calendars(entry["calendars"]),
		providers:   c.providers(c.object(entry["providers"], "providers")),
	}
	doc.accepted = c.accepted(entry["x-accepted-jumps"])
	c.uniqueProviders(doc.providers)
	doc.multipliers = c.multipliers(entry["multipliers"], doc.providers)
	c.filled(entry["models"], "models", "model")
	doc.models = c.models(entry["models"], doc, checkRow)
	c.uniqueModels(doc.models)
	return doc, c.failure()
}

func (c *checker) scale(value any) {
	if number, ok := value.(json.Number); !ok || string(number) != strconv.Itoa(bookScale) {
		c.refuse("scale", "must be %d, is %s", bookScale, shown(value))
	}
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
		calendars[name] = c.calendar(entries[name], join("calendars", name))
	}
	return calendars
}

func (c *checker) calendar(value any, path string) *calendar {
	entry := c.closed(value, path, calendarKeys)
	// v1 knows UTC only: without a time-zone database two languages cannot differ.
	c.word(entry["tz"], join(path, "tz"), "UTC")
	result := &calendar{exceptDays: map[int64]struct{}{}}
	for index, item := range c.filled(entry["windows"], join(path, "windows"), "window") {
		result.windows = append(result.windows, c.window(item, at(join(path, "windows"), index)))
	}
	for index, item := range c.list(entry["weekdays"], join(path, "weekdays")) {
		result.weekdays |= 1 << c.integer(item, at(join(path, "weekdays"), index), 1, 7, "Monday to Sunday")
	}
	if _, stated := entry["weekdays"]; !stated {
		result.weekdays = 0xfe
	}
	for index, item := range c.list(entry["except_dates"], join(path, "except_dates")) {
		result.exceptDays[c.day(item, at(join(path, "except_dates"), index))] = struct{}{}
	}
	return result
}

func (c *checker) window(value any, path string) window {
	pair, _ := value.([]any)
	var minutes [2]int64
	good := len(pair) == len(minutes)
	for index := range minutes {
		if good {
			text, _ := pair[index].(string)
			minute, err := parseMinute(text)
			good, minutes[index] = err == nil, minute
		}
	}
	switch {
	case !good:
		c.refuse(path, `must be two times of the day such as ["01:00", "04:00"], is %s`, shown(value))
	case minutes[0] >= minutes[1]:
		c.refuse(path, "must begin before it ends, within one day (00:00 to 24:00), is %s", shown(value))
	}
	return window{minutes[0], minutes[1]}
}

func (c *checker) providers(entries object) map[string]*provider {
	providers := make(map[string]*provider, len(entries))
	for _, key := range sorted(entries) {
		path := join("providers", key)
		c.lower(key, path)
		entry := c.closed(entries[key], path, providerKeys)
		result := &provider{
			key:     key,
			kind:    c.word(entry["kind"], join(path, "kind"), "cloud", kindFirstParty, "gateway", "host", kindSelfHosted),
			names:   c.lowers(entry["names"], join(path, "names")),
			hosts:   c.hosts(entry["hosts"], join(path, "hosts")),
			neutral: defaultNeutral,
		}
		if value, ok := entry["accounting"]; ok {
			c.word(value, join(path, "accounting"), "inclusive", "exclusive")
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
			c.refuse(at(path, index), `must be a host, or * and the end of hosts ("*.openai.azure.com"), is %s`, shown(host))
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
		c.lower(key, join(path, key))
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
		factor.when, _ = c.when(entry["when"], join(path, "when"), nil)
		result = append(result, factor)
	}
	return result
}

func (c *checker) providerKey(value any, path string, providers map[string]*provider) string {
	key, _ := value.(string)
	if _, ok := providers[key]; !ok {
		c.refuse(path, "must be the key of a provider, in the book or under providers, is %s%s", shown(value), meantProvider(value, providers))
	}
	return key
}

func (c *checker) ratio(value any, path string) ratio {
	pair, _ := value.([]any)
	if len(pair) != 2 {
		c.refuse(path, "must be two integers from 1 to %d such as [85, 100], is %s", maxRatio, shown(value))
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
	for index, item := range c.filled(value, path, "unit") {
		name, _ := item.(string)
		unit, ok := UnitByName(name)
		if !ok {
			question := "; allowed are " + strings.Join(UnitNames[:], ", ")
			if meant := nearest(name, UnitNames[:]); meant != "" {
				question = "; did you mean " + shown(meant) + "?"
			}
			c.refuse(at(path, index), "must be a unit, is %s%s", shown(item), question)
		}
		units |= 1 << unit
	}
	return units
}

// unitKey returns the unit of a key, or refuses it.
func (c *checker) unitKey(name, path string) Unit {
	unit, ok := UnitByName(name)
	if !ok {
		c.refuse(path, "%s", noKey(name, UnitNames[:], "is no unit"))
	}
	return unit
}

// uniqueProviders refuses a provider name or host that two providers claim.
func (c *checker) uniqueProviders(providers map[string]*provider) {
	names, hosts := map[string]string{}, map[string]string{}
	for key := range providers {
		names[key] = key
	}
	for _, key := range sortedKeys(providers) {
		path := join("providers", key)
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
		c.refuse(path, "must lead to one provider alone, is %s, which leads to %s too", shown(name), pathKey(other))
	}
	taken[name] = owner
}
