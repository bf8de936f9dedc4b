package attributes

import (
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// stated reads costs that stand on the span already. A figure of the party that bills is adopted; an estimate of
// another library is only compared.
func (s *Span) stated(r *Reading) {
	r.Settled = s.text(slotCostSource) == pricing.SourceProvider && s.has(slotPriceBook)
	// An estimate that on_existing: keep adopted bears no row of ours, or our figure beside it: it is no figure of ours.
	r.Adopted = s.text(slotCostSource) == pricing.SourceComputed && s.has(slotPriceBook) &&
		(s.has(slotCostComputed) || !s.has(slotPriceSku))
	if s.has(slotCacheHit) && s.values[slotCacheHit].yes() {
		// The gateway answered from its own cache: the provider was not asked, and the tokens were paid for before.
		r.CacheHit, r.Query.StatedPico, r.Query.HasStated = true, 0, true
		return
	}
	if pico, ok := s.billed(r); ok {
		r.Query.StatedPico, r.Query.HasStated = pico, true
		return
	}
	for index := range slot(maxEstimates) {
		s.estimate(r, slotEstimateOfOthers+index)
	}
	// Keys that are a bill only from the party that bills.
	s.estimate(r, slotBilled)
	if s.dollars() {
		s.estimate(r, slotBilledAmount)
	}
}

// estimate takes note of one cost that another library wrote; the first that is none of ours stays.
func (s *Span) estimate(r *Reading, place slot) {
	if !s.has(place) || !r.Adopted && s.repeatsOurs(place) {
		return
	}
	pico, ok := s.values[place].money()
	switch {
	case !ok:
	case pico == 0 && (r.InputTokens+r.OutputTokens > 0 || r.Query.Usage.Has == 0):
		// Nobody knows what an unknown model costs, or a call without usage: 0 is a word for that in some libraries.
		r.Estimate.Zero = true
	case !r.Estimate.Has:
		r.Estimate.Pico, r.Estimate.Has = pico, true
	}
}

// repeatsOurs says whether a figure merely repeats ours under a backend's key.
func (s *Span) repeatsOurs(place slot) bool {
	ours, there := s.Total()
	if !there {
		return false
	}
	theirs, ok := s.values[place].money()
	return ok && ours == theirs
}

const openRouter = "openrouter"

// billed returns the amount that the billing party stated.
func (s *Span) billed(r *Reading) (int64, bool) {
	if s.text(slotCostSource) == pricing.SourceProvider && s.has(slotCostTotal) {
		return s.values[slotCostTotal].money()
	}
	if s.has(slotBilledAmount) && s.text(slotBilledSource) == pricing.SourceProvider && s.dollars() {
		return s.values[slotBilledAmount].money()
	}
	// Other libraries write an estimate under OpenRouter's key, and so does our own dialect of that name.
	if s.has(slotBilled) && s.atOpenRouter(r) && !s.repeatsOurs(slotBilled) {
		return s.values[slotBilled].money()
	}
	return 0, false
}

// dollars says whether the amount of genai#443 is in the one currency that we know.
func (s *Span) dollars() bool {
	currency := s.text(slotBilledCurrency)
	return currency == "" || strings.EqualFold(currency, "usd")
}

func (s *Span) atOpenRouter(r *Reading) bool {
	host := strings.ToLower(r.Query.Host)
	return strings.EqualFold(strings.TrimSpace(r.Query.Provider), openRouter) ||
		host == "openrouter.ai" || strings.HasSuffix(host, ".openrouter.ai")
}
