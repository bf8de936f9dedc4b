package pricing

import "strings"

// AdjacentCost is what one operation that is no model call costs by an overlay: a read of a vector database, a search.
type AdjacentCost struct {
	Name, Unit string
	// Pico is what one operation costs, in pico-USD.
	Pico  int64
	match []adjacentMatch
}

// adjacentMatch is an attribute that a span must bear: text as written, or "*" and the end of it.
type adjacentMatch struct{ key, text string }

// HasAdjacent says whether own prices charge any operation beside model calls.
func (b *Book) HasAdjacent() bool { return b.overlay != nil && len(b.overlay.adjacent) > 0 }

// Adjacent returns what an operation costs, or nil; text returns an attribute of its span that is text.
func (b *Book) Adjacent(text func(key string) (string, bool)) *AdjacentCost {
	if b.overlay == nil {
		return nil
	}
	for index := range b.overlay.adjacent {
		if cost := &b.overlay.adjacent[index]; cost.meets(text) {
			return cost
		}
	}
	return nil
}

func (a *AdjacentCost) meets(text func(key string) (string, bool)) bool {
	for _, wanted := range a.match {
		value, ok := text(wanted.key)
		if !ok {
			return false
		}
		if end, open := strings.CutPrefix(wanted.text, "*"); open {
			if !strings.HasSuffix(value, end) {
				return false
			}
		} else if value != wanted.text {
			return false
		}
	}
	return true
}

func (c *checker) adjacent(value any) []AdjacentCost {
	items := c.list(value, "adjacent")
	costs := make([]AdjacentCost, 0, len(items))
	for index, item := range items {
		path := at("adjacent", index)
		entry := c.closed(item, path, []string{"name", "match", "unit", "usd_each"})
		cost := AdjacentCost{Name: c.text(entry["name"], join(path, "name")), Unit: c.text(entry["unit"], join(path, "unit"))}
		match := c.object(entry["match"], join(path, "match"))
		c.texts(match, join(path, "match"))
		if match != nil && len(match) == 0 {
			// It would be every span of a service.
			c.refuse(join(path, "match"), "must be an object {...} of at least one attribute, is {}")
		}
		for _, key := range sorted(match) {
			text, _ := match[key].(string)
			cost.match = append(cost.match, adjacentMatch{key, text})
		}
		cost.Pico = c.money(entry["usd_each"], join(path, "usd_each"), usdDigits)
		costs = append(costs, cost)
	}
	return costs
}
