package attributes

import "strings"

// SourceCollector is who stated an amount that a component of ours worked out.
const SourceCollector = "collector"

// Owned is what one span bears by itself once it was priced: what totals are made of.
type Owned struct {
	// Pico is the cost on the span, in pico-USD, where HasTotal is set.
	Pico     int64
	HasTotal bool
	// Call: the span is a model call that counts. Unpriced: it bears no price.
	Call, Unpriced bool
	// Container: the span may repeat the usage of calls below it.
	Container bool
	// Computed is what a container's usage would cost, in pico-USD, where HasComputed is set.
	Computed    int64
	HasComputed bool
	// InputTokens and OutputTokens are those of a call of its own, or what a container says.
	InputTokens, OutputTokens int64
}

// Owned returns what the observed span bears. A call that repeats another's (shadowed, container, server_side) is none.
func (s *Span) Owned(options *Options) Owned {
	var found Owned
	if pico, there := s.Total(); there {
		found.Pico, found.HasTotal = pico, true
	}
	if s.has(slotChargeKind) || s.malformed() {
		return found
	}
	status, reason := s.text(slotCostStatus), s.text(slotCostReason)
	role := s.role().role
	container := role == RoleContainer || role == RoleAdjunct
	// A collector's figure on a container says that it stands for calls which nobody else saw.
	stands := container && s.text(slotCostSource) == SourceCollector
	call := role == RoleCall || (s.own || s.has(slotCallEnd) || stands) && found.HasTotal
	found.Container = container && !stands
	if found.Container && s.has(slotCostComputed) {
		found.Computed, found.HasComputed = s.values[slotCostComputed].money()
	}
	if status == "not_applicable" {
		call = call && reason != ReasonShadowed && reason != ReasonContainer && reason != ReasonServerSide
	} else {
		found.Call = call && (status != "" || s.Kind != KindServer)
		found.Unpriced = found.Call && (status == "unpriced" || status == "" && !found.HasTotal)
	}
	if call || found.Container {
		var t tally
		t.read(s)
		t.decide(s, makerOf(strings.ToLower(strings.TrimSpace(s.provider()))), options.Convention)
		found.InputTokens, found.OutputTokens = t.input, t.output
	}
	return found
}
