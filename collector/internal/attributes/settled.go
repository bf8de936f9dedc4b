package attributes

import (
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// Settled is what a span or log record says once a step of ours decided about it: what a metric counts. Texts are empty
// where there is nothing to say, and hold at most 257 bytes.
type Settled struct {
	Status, Reason, Source, Basis, Currency string
	// Provider is the party whose price was used, else the one that the span names; Operation the kind of call; Model the
	// canonical id in the book and RawModel the name as it came, response first.
	Provider, Operation, Model, RawModel string
	// End is how the call ended; ErrorType what it failed with; Charge the kind of a cost that is no call.
	End, ErrorType, Charge string
	// Total is in pico-USD.
	Total    int64
	HasTotal bool
	// Usage holds disjoint counts; empty where they are not to be believed.
	Usage pricing.Usage
}

// Decided says whether a step of ours decided about the observed span.
func (s *Span) Decided() bool { return s.has(slotCostStatus) }

// Settle fills r with what the observed span says, and reports whether a step of ours decided about it.
func (s *Span) Settle(r *Settled) bool {
	*r = Settled{Status: clipped(s.text(slotCostStatus))}
	if r.Status == "" {
		return false
	}
	r.Reason, r.Source = clipped(s.text(slotCostReason)), clipped(s.text(slotCostSource))
	r.Basis, r.Currency = clipped(s.text(slotCostBasis)), clipped(s.text(slotCostCurrency))
	r.Model, r.Charge = clipped(s.text(slotPriceModel)), clipped(s.text(slotChargeKind))
	r.End, r.ErrorType = clipped(s.text(slotCallEnd)), clipped(s.text(slotErrorType))
	r.Total, r.HasTotal = s.Total()
	if r.RawModel = clipped(s.text(slotResponseModel)); r.RawModel == "" {
		r.RawModel = clipped(s.text(slotRequestModel))
	}
	provider := strings.ToLower(strings.TrimSpace(s.provider()))
	r.Provider = provider
	// The host beats the name that the emitter gave it: the row tells who bills.
	if seller, _, found := strings.Cut(clipped(s.text(slotPriceSku)), "/"); found {
		r.Provider = seller
	}
	// What a step of ours decided about is a call: its role is asked only where the standard has no word for it.
	if s.present.meets(&foreignKinds) {
		r.Operation = s.role().operation
	}
	if r.Operation == "" {
		r.Operation = strings.ToLower(clipped(s.text(slotOperation)))
	}
	if r.Operation == "" && r.Charge == "" && s.agent != nil {
		r.Operation = opChat
	}
	if r.Charge == "" {
		s.settledUsage(provider, &r.Usage)
	}
	return true
}

// Settles says whether Settle reads what stands under this key: of the rest a caller need not take the value.
func (e *Spelling) Settles() bool { return e.settles }

var settling = func() slotSet {
	set := slotsOf(
		slotProvider, slotResponseModel, slotRequestModel, slotOperation, slotErrorType, slotCallEnd, slotChargeKind,
		slotCostTotal, slotCostSource, slotCostStatus, slotCostReason, slotCostCurrency, slotCostBasis, slotPriceSku,
		slotPriceModel, slotAccounting, slotEstimatedInput, slotEstimatedOutput, slotVercelDetail, slotAgentProvider,
	)
	for place := range slotCount {
		if place >= slotInput && place <= slotCompactionOutput || place >= slotUnit && place < slotOther {
			set.add(place)
		}
	}
	for word := range set {
		set[word] |= foreignKinds[word]
	}
	return set
}()

// foreignKinds are the words by which other emitters say what a span is.
var foreignKinds = slotsOf(
	slotOpenInferenceKind, slotTraceloopKind, slotRequestType, slotOperationType, slotVercelOperation, slotSpanType, slotLangfuseType,
)

// settledUsage reads the counts as the step did that priced them: how it read the caches stands on the span.
func (s *Span) settledUsage(provider string, usage *pricing.Usage) {
	var t tally
	t.read(s)
	t.decide(s, makerOf(provider), ConventionAuto)
	t.units(s, usage)
	if t.huge {
		*usage = pricing.Usage{}
	}
}

// Pico reads a value as an amount in pico-USD; false where it is none, or a negative one.
func Pico(value Value) (int64, bool) { return value.money() }
