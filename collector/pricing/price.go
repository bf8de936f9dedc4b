package pricing

// Words of a result. A status other than priced and free has a reason.
const (
	StatusPriced   = "priced"
	StatusPartial  = "partial"
	StatusFree     = "free"
	StatusUnpriced = "unpriced"

	ReasonPending         = "pending"
	ReasonBillingUnknown  = "billing_unknown"
	ReasonNoUsage         = "no_usage"
	ReasonInvalidUsage    = "invalid_usage"
	ReasonNoModel         = "no_model"
	ReasonAmbiguousModel  = "ambiguous_model"
	ReasonUnknownModel    = "unknown_model"
	ReasonNoRowForDate    = "no_row_for_date"
	ReasonMissingRate     = "missing_rate"
	ReasonOverflow        = "overflow"
	ReasonTierUnpriced    = "tier_unpriced"
	ReasonIncompleteUsage = "incomplete_usage"

	// SourceProvider is the source of an amount that the billing party stated, SourceComputed of one of ours; who
	// writes a span says with its own word which of our components computed it.
	SourceProvider = "provider"
	SourceComputed = "sdk"

	BasisList           = "list"
	BasisContracted     = "contracted"
	BasisBilled         = "billed"
	BasisAllocated      = "allocated"
	BasisListEquivalent = "list_equivalent"
)

// Query is one model call to be priced.
type Query struct {
	// Provider is who bills, by any name that the book knows; empty where it is not known.
	Provider string
	// ResponseModel decides; RequestModel only where there is none (and for aliases).
	ResponseModel, RequestModel string
	// Host is set where the provider is not certain without it: a host that the book does not list is then a gateway.
	Host string
	// AtMillis is the start of the call in UTC milliseconds since 1970.
	AtMillis int64
	Usage    Usage
	Facts    Facts
	// StatedPico is what the billing party stated; it becomes the total. A negative one counts as absent.
	StatedPico int64
	HasStated  bool
	// Reason is the usage reader's: pending, billing_unknown, no_usage and invalid_usage leave the call unpriced,
	// incomplete_usage and missing_rate make it partial.
	Reason string
	// Flags are the usage reader's; the result repeats them.
	Flags Flags
	// UnknownHostUnpriced switches the rule off that prices an unlisted host at the only maker's rates.
	UnknownHostUnpriced bool
}

// Result says what one call costs, and why. Money is in pico-USD; an amount counts only where its Has is set. Texts
// are empty where there is nothing to say.
type Result struct {
	Status, Reason, Source, Basis string
	// Provider and Model are keys of the book; Match says how the model was found, SKU which row and tier priced it.
	Provider, Model, Match, SKU string
	Total                       int64
	// List is the list price where it differs from the total, Computed our figure beside a total that was stated.
	List, Computed                 int64
	HasTotal, HasList, HasComputed bool
	// Parts add up to the total, in the order of PartNames; all 0 where the total was stated.
	Parts [PartCount]int64
	Flags Flags
	// SavingsCache is saved against plain input (negative while writes are not earned back), SavingsBatch against the
	// standard price.
	SavingsCache, SavingsBatch       int64
	HasSavingsCache, HasSavingsBatch bool
}

// Price fills r with the cost of one call. It never fails: what cannot be priced says why. r may be reused; nothing
// of it is allocated.
func (b *Book) Price(q *Query, r *Result) {
	*r = Result{Flags: q.Flags}
	found := b.resolve(q).asOf(q)
	r.Flags |= found.flags
	if found.provider != nil {
		r.Provider = found.provider.key
	}
	if found.model != nil {
		r.Model, r.Match = found.model.id, found.how
	}
	if reason := b.compute(q, found, r); reason != "" {
		r.Status, r.Reason = StatusUnpriced, reason
	}
	if q.HasStated && q.StatedPico >= 0 {
		r.state(q.StatedPico)
	}
}

// compute fills r with our own figure, or returns the reason why there is none: of several the first of the list.
func (b *Book) compute(q *Query, found *match, r *Result) (unpriced string) {
	switch q.Reason {
	case ReasonPending, ReasonBillingUnknown, ReasonNoUsage, ReasonInvalidUsage:
		return q.Reason
	}
	if q.Usage.reported() == 0 {
		if q.Reason == ReasonMissingRate {
			return ReasonMissingRate // all that was used is of a unit that the book does not know
		}
		return ReasonNoUsage
	}
	var call calculation
	if !call.take(&q.Usage) {
		return ReasonInvalidUsage
	}
	if found.model == nil {
		return found.reason
	}
	call.facts.fill(&q.Facts, found.fixed, found.provider)
	if found.model.asksSearchContext && call.facts[factSearchContextSize] == "" {
		call.facts[factSearchContextSize] = searchContextDefault(found.provider.key)
	}
	call.model, call.atMillis = found.model, q.AtMillis
	call.noteMultipliers()
	return call.run(q.Reason, r)
}

// state makes the billing party's own figure the total and sets ours beside it.
func (r *Result) state(stated int64) {
	if r.HasTotal {
		if r.Status == StatusPriced && conflict(r.Total, stated) {
			r.Flags |= FlagPriceConflict
		}
		r.Computed, r.HasComputed = r.Total, true
	}
	r.Status = StatusPriced
	if stated == 0 {
		r.Status = StatusFree
	}
	r.Reason, r.Source, r.Basis = "", SourceProvider, BasisBilled
	r.Total, r.HasTotal = stated, true
	r.List, r.HasList = 0, false
	r.Parts = [PartCount]int64{}
}

// conflict says whether our figure differs by more than 1 % of the stated amount.
func conflict(ours, stated int64) bool {
	difference := ours - stated
	if difference < 0 {
		difference = -difference
	}
	// An integer is above stated/100 exactly where it is above its whole part.
	return difference > stated/100
}
