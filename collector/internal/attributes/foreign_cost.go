package attributes

import (
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// stated reads costs that stand on the span already. A figure of the party that bills is adopted; an estimate of
// another library is only compared.
func (s *Span) stated(r *Reading) {
	r.Settled = s.text(slotCostSource) == pricing.SourceProvider && s.has(slotPriceBook)
	if pico, ok := s.billed(r); ok {
		r.Query.StatedPico, r.Query.HasStated = pico, true
		return
	}
	for index := range slot(maxEstimates) {
		place := slotEstimateOfOthers + index
		if !s.has(place) || s.estimateIsOurs(place) {
			continue
		}
		pico, ok := s.values[place].money()
		switch {
		case !ok:
		case pico == 0 && r.InputTokens+r.OutputTokens > 0:
			r.Estimate.Zero = true
		case !r.Estimate.Has:
			r.Estimate.Pico, r.Estimate.Has = pico, true
		}
	}
}

// estimateIsOurs says whether a figure merely repeats ours under a backend's key.
func (s *Span) estimateIsOurs(place slot) bool {
	if !s.has(slotCostTotal) {
		return false
	}
	ours, ok := s.values[slotCostTotal].money()
	theirs, same := s.values[place].money()
	return ok && same && ours == theirs
}

const openRouter = "openrouter"

// billed returns the amount that the billing party stated.
func (s *Span) billed(r *Reading) (int64, bool) {
	if s.text(slotCostSource) == pricing.SourceProvider && s.has(slotCostTotal) {
		return s.values[slotCostTotal].money()
	}
	if s.has(slotBilledAmount) && s.text(slotBilledSource) == "provider" {
		if currency := s.text(slotBilledCurrency); currency == "" || strings.EqualFold(currency, "usd") {
			return s.values[slotBilledAmount].money()
		}
	}
	if s.has(slotBilled) {
		host := strings.ToLower(r.Query.Host)
		if strings.EqualFold(r.Query.Provider, openRouter) || host == "openrouter.ai" || strings.HasSuffix(host, ".openrouter.ai") {
			return s.values[slotBilled].money()
		}
	}
	return 0, false
}
