package pricing

import (
	"maps"
	"slices"
	"strings"
)

var (
	overlayKeys  = append(slices.Clone(bookKeys), "discounts", "aliases", "capacity", "static", "adjacent")
	discountKeys = []string{"p", "match", "ratio", "from", "until", "units", "account"}
	aliasKeys    = append([]string{"model", "provider"}, withoutCalendar()...)
)

// usdPerMillionDigits turns USD per million units into pico-USD per unit: 12 digits less six.
const usdPerMillionDigits = usdDigits - 6

// checkOverlay returns the checked document of an overlay that is to be laid over base. No key is required.
func checkOverlay(data []byte, origin string, base *document) (*document, error) {
	c := &checker{origin: origin}
	entry := c.decode(data)
	c.known(entry, "", overlayKeys)
	c.header(entry)
	doc := &document{calendars: maps.Clone(base.calendars), providers: maps.Clone(base.providers)}
	maps.Copy(doc.calendars, c.calendars(entry["calendars"]))
	if value, ok := entry["providers"]; ok {
		maps.Copy(doc.providers, c.providers(c.object(value, "providers")))
		c.uniqueProviders(doc.providers)
	}
	doc.models = c.models(entry["models"], doc, checkOverlayRow)
	c.uniqueModels(doc.models)
	doc.multipliers = c.multipliers(entry["multipliers"], doc.providers)
	doc.discounts = c.discounts(entry["discounts"], doc.providers)
	doc.aliases = c.aliases(entry["aliases"], doc.providers)
	doc.deployments = c.capacities(entry["capacity"], doc.providers)
	c.form(entry)
	doc.adjacent = c.adjacent(entry["adjacent"])
	return doc, c.failure()
}

// header checks the keys of a book's head that an overlay may repeat.
func (c *checker) header(entry object) {
	if value, ok := entry["schema"]; ok {
		c.word(value, "schema", schemaName)
	}
	if value, ok := entry["currency"]; ok {
		c.word(value, "currency", "USD")
	}
	if value, ok := entry["scale"]; ok {
		c.scale(value)
	}
	if value, ok := entry["generated_at"]; ok {
		c.instant(value, "generated_at")
	}
	for _, key := range []string{"id", "version"} {
		if value, ok := entry[key]; ok {
			c.text(value, key)
		}
	}
	c.sources(entry["sources"])
}

func checkOverlayRow(c *checker, value any, path string) (object, rateSet) {
	entry := c.closed(value, path, overlayRows)
	var rates rateSet
	if stated, ok := entry["rates"]; ok {
		rates = c.rates(stated, join(path, "rates"))
	}
	c.amounts(&rates, entry["usd_per_million"], join(path, "usd_per_million"), 0, TokenUnitCount, usdPerMillionDigits)
	c.amounts(&rates, entry["usd_each"], join(path, "usd_each"), TokenUnitCount, UnitCount, usdDigits)
	if rates.has == 0 {
		c.refuse(path, "must state at least one rate: in rates, usd_per_million or usd_each")
	}
	return entry, rates
}

// amounts reads prices for people: USD as text for units from first up to (not including) end.
func (c *checker) amounts(rates *rateSet, value any, path string, first, end Unit, digits int) {
	if value == nil {
		return
	}
	entries := c.object(value, path)
	otherKind := "must be a unit of tokens; %s is priced each, under usd_each"
	if first > 0 {
		otherKind = "must be a unit that is priced each; %s is priced per million, under usd_per_million"
	}
	for _, name := range sorted(entries) {
		place := join(path, name)
		unit := c.unitKey(name, place)
		switch {
		case unit < first || unit >= end:
			c.refuse(place, otherKind, name)
		case rates.has.has(unit):
			c.refuse(place, "must be stated once, stands in rates too")
		}
		rates.set(unit, c.moneyUpTo(entries[name], place, digits, maxRate))
	}
}

func (c *checker) discounts(value any, providers map[string]*provider) []discount {
	var result []discount
	for index, item := range c.list(value, "discounts") {
		path := at("discounts", index)
		entry := c.closed(item, path, discountKeys)
		cut := discount{
			provider: c.providerKey(entry["p"], join(path, "p"), providers),
			match:    "*",
			ratio:    c.ratio(entry["ratio"], join(path, "ratio")),
			units:    allUnits,
		}
		cut.from, cut.until = c.span(entry, path)
		if match, ok := entry["match"]; ok {
			cut.match = c.lower(match, join(path, "match"))
			if star := strings.IndexByte(cut.match, '*'); star >= 0 && star != len(cut.match)-1 {
				c.refuse(join(path, "match"), `must be an id, the beginning of ids before one final * ("gpt-5*"), or "*", is %s`, shown(cut.match))
			}
		}
		if units, ok := entry["units"]; ok {
			cut.units = c.units(units, join(path, "units"))
		}
		for place, account := range c.list(entry["account"], join(path, "account")) {
			cut.accounts = append(cut.accounts, c.text(account, at(join(path, "account"), place)))
		}
		result = append(result, cut)
	}
	return result
}

func (c *checker) aliases(value any, providers map[string]*provider) map[string]map[string]alias {
	if value == nil {
		return nil
	}
	entries := c.object(value, "aliases")
	result := make(map[string]map[string]alias, len(entries))
	for _, owner := range sorted(entries) {
		path := join("aliases", owner)
		c.providerKey(owner, path, providers)
		names := c.object(entries[owner], path)
		own := make(map[string]alias, 2*len(names))
		for _, name := range sorted(names) {
			own[trimASCII(name)] = c.alias(names[name], join(path, name), providers)
		}
		for _, name := range sorted(names) {
			// The name as written wins over another one that only looks the same in lower case.
			name = trimASCII(name)
			if _, taken := own[lowerASCII(name)]; !taken {
				own[lowerASCII(name)] = own[name]
			}
		}
		result[owner] = own
	}
	return result
}

// alias returns a target: the name of a model, or an object that also fixes facts.
func (c *checker) alias(value any, path string, providers map[string]*provider) alias {
	if name, ok := value.(string); ok && name != "" {
		return alias{model: name}
	}
	if _, isObject := value.(object); !isObject {
		if _, isText := value.(string); isText {
			path = join(path, "model")
			c.text(value, path)
		}
		c.refuse(path, "must be the id of a model, or an object {...} with the key model, is %s", shown(value))
	}
	entry := c.closed(value, path, aliasKeys)
	target := alias{model: c.text(entry["model"], join(path, "model"))}
	if owner, ok := entry["provider"]; ok {
		target.provider = c.providerKey(owner, join(path, "provider"), providers)
	}
	for key, name := range factNames {
		if word, ok := entry[name]; ok {
			target.facts[key] = c.lower(word, join(path, name))
		}
	}
	return target
}

// form checks the keys of an overlay that price no model call by themselves.
func (c *checker) form(entry object) {
	for index, item := range c.list(entry["static"], "static") {
		path := at("static", index)
		fixed := c.closed(item, path, []string{"name", "usd", "from", "until", "tags"})
		c.text(fixed["name"], join(path, "name"))
		c.money(fixed["usd"], join(path, "usd"), usdDigits)
		c.instant(fixed["from"], join(path, "from")) // without a day it would stand in no report
		c.span(fixed, path)
		c.texts(fixed["tags"], join(path, "tags"))
	}
}

func (c *checker) texts(value any, path string) {
	if value == nil {
		return
	}
	entries := c.object(value, path)
	for _, key := range sorted(entries) {
		c.text(entries[key], join(path, key))
	}
}
