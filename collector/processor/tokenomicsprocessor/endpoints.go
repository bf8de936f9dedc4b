package tokenomicsprocessor

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// place is an address that a rule names together with the provider that bills there.
type place struct {
	host     string
	port     int
	provider string
}

// endpoints knows who bills behind addresses that no price book lists.
type endpoints struct {
	rules, elsewhere *pricing.EndpointTable
	// named holds every rule without its path. A span bears no path: where it was made by our SDK, which knew the
	// path, a rule for the same address and provider confirms what it wrote.
	named map[place]struct{}
}

func newEndpoints(cfg *Config, book *pricing.Book) (*endpoints, error) {
	rules, err := pricing.ParseEndpoints(cfg.Endpoints)
	if err != nil {
		return nil, err
	}
	elsewhere, err := pricing.ParseEndpoints(cfg.BilledElsewhere)
	if err != nil {
		return nil, err
	}
	table := &endpoints{rules: rules, elsewhere: elsewhere, named: map[place]struct{}{}}
	for _, entry := range cfg.Endpoints {
		host, port := addressOf(entry)
		table.named[place{host, port, canonical(book, providerOf(entry))}] = struct{}{}
	}
	return table, nil
}

// strangers returns the providers that the settings name and the price book does not know: calls to them stay unpriced.
func (e *endpoints) strangers(book *pricing.Book) []string {
	var names []string
	for place := range e.named {
		if _, known := book.ProviderByName(place.provider); !known && !slices.Contains(names, place.provider) {
			names = append(names, place.provider)
		}
	}
	slices.Sort(names)
	return names
}

func providerOf(entry string) string {
	_, provider, _ := strings.Cut(entry, "=")
	return strings.ToLower(strings.TrimSpace(provider))
}

func addressOf(entry string) (host string, port int) {
	address, _, _ := strings.Cut(entry, "=")
	address = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(address), "https://"), "http://")
	address, _, _ = strings.Cut(address, "/")
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return strings.ToLower(strings.Trim(address, "[]")), 0
	}
	if number, err := strconv.Atoi(text); err == nil {
		port = number
	}
	return strings.ToLower(host), port
}

func canonical(book *pricing.Book, provider string) string {
	if key, ok := book.ProviderByName(provider); ok {
		return key
	}
	return strings.ToLower(provider)
}

// apply completes a query by the settings; it returns whether the call is billed elsewhere.
func (e *endpoints) apply(book *pricing.Book, r *attributes.Reading) (billedElsewhere bool) {
	q := &r.Query
	if q.Host == "" {
		return false
	}
	if _, ok := e.elsewhere.Lookup(q.Host, r.Port, r.Path); ok {
		return true
	}
	if provider, ok := e.rules.Lookup(q.Host, r.Port, r.Path); ok {
		q.Provider, q.Host = provider, ""
		return false
	}
	if !r.Own || len(e.named) == 0 {
		return false
	}
	provider := canonical(book, q.Provider)
	for _, port := range [...]int{r.Port, 0} {
		if _, ok := e.named[place{q.Host, port, provider}]; ok {
			q.Host = ""
			return false
		}
	}
	return false
}
