package attributes

import "strings"

// Identity is what joins the spans of one call.
type Identity struct {
	// Own: our SDK saw the call. Repeats: a step of ours found that somebody else's span repeats another's charge.
	Own, Repeats                          bool
	Provider, ResponseModel, RequestModel string
	InputTokens, OutputTokens             int64
}

// ReasonShadowed is why a span bears no charge whose call another span bears.
const ReasonShadowed = "shadowed"

// Identify returns what the observed span's call is known by, if it is one that is priced, unpriced, or repeats
// another's charge. status and reason are those that the span bears once it was priced.
func (s *Span) Identify(options *Options, status, reason string) (Identity, bool) {
	if s.has(slotChargeKind) || s.malformed() {
		return Identity{}, false
	}
	const ruledOut = "not_applicable"
	id := Identity{Own: s.own || s.has(slotCallEnd)}
	call := s.role().role == RoleCall
	if id.Own {
		if !call && !s.has(slotCostTotal) {
			return Identity{}, false
		}
	} else {
		id.Repeats = status == ruledOut && (reason == ReasonShadowed || reason == ReasonContainer)
		if !call || status == "" || status == ruledOut && !id.Repeats {
			return Identity{}, false
		}
	}
	id.Provider = s.provider()
	id.ResponseModel, id.RequestModel = clipped(s.text(slotResponseModel)), clipped(s.text(slotRequestModel))
	var t tally
	t.read(s)
	t.decide(s, makerOf(strings.ToLower(strings.TrimSpace(id.Provider))), options.Convention)
	id.InputTokens, id.OutputTokens = t.input, t.output
	return id, true
}

// Identity is Identify for a span that was just read and is priced or unpriced: nothing is read twice.
func (s *Span) Identity(r *Reading) Identity {
	return Identity{
		Own: r.Own, Provider: s.provider(), ResponseModel: r.Query.ResponseModel, RequestModel: r.Query.RequestModel,
		InputTokens: r.InputTokens, OutputTokens: r.OutputTokens,
	}
}

// provider returns the provider as the span names it.
func (s *Span) provider() string {
	name := clipped(s.text(slotProvider))
	if name == "" && s.agent != nil {
		return clipped(s.text(slotAgentProvider))
	}
	if s.has(slotProvider) && ReadAsProvider[s.ranks[slotProvider]] == "ai.model.provider" {
		// anthropic.messages is the provider and its API.
		name, _, _ = strings.Cut(name, ".")
	}
	return name
}
