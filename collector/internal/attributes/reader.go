package attributes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// Reasons why a span that was understood is not for pricing.
const (
	ReasonContainer  = "container"
	ReasonServerSide = "server_side"
	ReasonCallFailed = "call_failed"
)

// Verdict says what a caller has to do with a span.
type Verdict uint8

// The verdicts. VerdictPass: nothing for us, or settled already. VerdictPrice: Query is to be priced.
// VerdictNotApplicable: nothing billable, Reason says why. VerdictMalformed: an attribute that decides holds what no
// emitter can mean there; the span passes unchanged.
const (
	VerdictPass Verdict = iota
	VerdictPrice
	VerdictNotApplicable
	VerdictMalformed
)

// Options are the settings that change how a span is read.
type Options struct {
	Convention Convention
	// PriceServerSpans prices spans of kind SERVER and CONSUMER too.
	PriceServerSpans bool
	// PriceContainers reads what the usage of a container would be billed by; the verdict stays.
	PriceContainers bool
	// Reprice replaces our figures of an earlier step; a provider's total always stays.
	Reprice bool
	// Agents says which signal of each coding agent is charged.
	Agents Agents
}

// Estimate is a cost that another library put on a span: compared, not adopted.
type Estimate struct {
	Pico int64
	Has  bool
	// Zero is set where some library wrote 0 beside non-zero tokens.
	Zero bool
}

// Reading is what one span says.
type Reading struct {
	Verdict Verdict
	Reason  string
	// Query is ready for the price book but for the settings that name endpoints.
	Query pricing.Query
	// Port and Path complete Query.Host; Operation is the kind of call.
	Port      int
	Path      string
	Operation string
	// Own: our SDK saw the call. Exclusive: caches were added to the input that the emitter reported.
	Own, Exclusive bool
	// Settled: a provider's total of an earlier step, book and all, is on the span. Adopted: another library's estimate.
	Settled, Adopted bool
	// CacheHit: a gateway answered from its own cache; the stated cost is 0.
	CacheHit bool
	Estimate Estimate
	// Agent is the coding agent whose other signal is charged: the setting agents decided about this one.
	Agent *Agent
	// TierStated, SplitStated: the span names a service tier, and the lifetime of its cache writes.
	TierStated, SplitStated bool
	// InputTokens and OutputTokens are the totals as billed.
	InputTokens, OutputTokens int64
}

// Read fills r with what the observed span says.
func (s *Span) Read(options *Options, r *Reading) {
	// Our SDK also writes on spans that another instrumentation opened.
	*r = Reading{Own: s.own || s.has(slotCallEnd)}
	if s.malformed() {
		r.Verdict = VerdictMalformed
		return
	}
	if s.settled(options) || s.event != nil && !s.tells() {
		return
	}
	kind := s.role()
	r.Operation = kind.operation
	switch kind.role {
	case RoleOther:
		return
	case RoleContainer, RoleAdjunct:
		if kind.role == RoleContainer || s.counted() {
			s.container(options, r)
		}
		return
	case RoleCall:
	}
	if s.Kind == KindServer && !options.PriceServerSpans {
		r.Verdict, r.Reason = VerdictNotApplicable, ReasonServerSide
		return
	}
	if s.agent != nil && !r.Own && !options.Agents.charge(s.agent, s.event != nil) {
		r.Verdict, r.Reason, r.Agent = VerdictNotApplicable, ReasonShadowed, s.agent
		return
	}
	r.Verdict = VerdictPrice
	s.identity(r)
	s.readFacts(r)
	s.usage(options, r)
	s.imply(r)
	s.stated(r)
	s.ending(r)
}

// container fills r for a span that repeats the usage of calls below it, which may not be there.
func (s *Span) container(options *Options, r *Reading) {
	r.Verdict, r.Reason = VerdictNotApplicable, ReasonContainer
	if !options.PriceContainers || !s.counted() {
		return
	}
	s.identity(r)
	s.readFacts(r)
	s.usage(options, r)
	s.imply(r)
}

// settled says whether an earlier step of ours left nothing to do: our mark, a charge of its own, or a verdict that
// no price book can change.
func (s *Span) settled(options *Options) bool {
	if s.has(slotChargeKind) {
		return true
	}
	switch s.text(slotCostStatus) {
	case "not_applicable":
		return true
	case pricing.StatusUnpriced:
		switch s.text(slotCostReason) {
		case pricing.ReasonPending, pricing.ReasonBillingUnknown, pricing.ReasonNoUsage:
			return !s.counted()
		}
	}
	source := s.text(slotCostSource)
	if source == "" {
		return false
	}
	if source == pricing.SourceProvider && !s.has(slotPriceBook) {
		return false
	}
	return !options.Reprice
}

func (s *Span) identity(r *Reading) {
	q := &r.Query
	q.Provider = s.provider()
	q.ResponseModel, q.RequestModel = clipped(s.text(slotResponseModel)), clipped(s.text(slotRequestModel))
	q.AtMillis = s.StartMillis
	q.Host = clipped(s.text(slotHost))
	if port, state := s.count(slotPort); state == countGood {
		r.Port = int(port)
	}
	if base := s.text(slotAPIBase); base != "" {
		s.address(r, base)
	}
}

// maxNameBytes is one more than any name may have, so that the price book still sees that it is too long.
const maxNameBytes = 257

// clipped bounds what a hostile name costs in the steps that follow.
func clipped(name string) string { return name[:min(len(name), maxNameBytes)] }

const maxAddressBytes = 2048

// address reads host, port and path of a base address; a host that the span names by itself stays.
func (s *Span) address(r *Reading, base string) {
	if len(base) > maxAddressBytes {
		return
	}
	host, port, path := cutAddress(base)
	if host == "" {
		return
	}
	if r.Query.Host == "" {
		r.Query.Host, r.Port = host, port
	}
	if strings.EqualFold(r.Query.Host, host) {
		r.Path = path
	}
}

// cutAddress takes scheme://user@host:port/path?query apart without an allocation, which every span of an
// instrumentation that names its address this way would cost. The host is empty where there is no scheme or no host.
func cutAddress(address string) (host string, port int, path string) {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		return "", 0, ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	host = rest
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	// The colons of an IPv6 address stand inside brackets.
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		number, err := strconv.ParseUint(host[colon+1:], 10, 16)
		if err != nil && colon+1 < len(host) {
			return "", 0, ""
		}
		host, port = host[:colon], int(number)
	}
	return strings.Trim(host, "[]"), port, path
}

// normalSpeed is Claude Code's word for what has no word elsewhere.
const normalSpeed = "normal"

// readFacts reads what else a price depends on: the response's word, else the request's.
func (s *Span) readFacts(r *Reading) {
	facts := &r.Query.Facts
	facts.Speed, facts.InferenceGeo = clipped(s.text(slotSpeed)), clipped(s.text(slotGeo))
	facts.DeploymentType, facts.Region = clipped(s.text(slotDeployment)), clipped(s.text(slotRegion))
	facts.SearchContextSize, facts.Account = clipped(s.text(slotSearchContext)), clipped(s.text(slotCredential))
	if word := s.text(slotAgentSpeed); facts.Speed == "" && s.agent != nil && !strings.EqualFold(word, normalSpeed) {
		facts.Speed = clipped(word)
	}
	for _, place := range [...]slot{slotTier, slotTierResponse, slotTierRequest} {
		if word := clipped(s.text(place)); word != "" {
			r.TierStated = true
			if strings.EqualFold(word, "batch") {
				facts.Processing = "batch"
			} else {
				facts.ServiceTier = word
			}
			return
		}
	}
}

// imply names the provider of a coding agent that names none, after its counts were read: they are its own way.
func (s *Span) imply(r *Reading) {
	q := &r.Query
	if q.Provider != "" || q.Host != "" {
		return
	}
	model := q.ResponseModel
	if model == "" {
		model = q.RequestModel
	}
	if maker := s.emitter.implied(model); maker != "" {
		q.Provider = maker
		q.Flags |= pricing.FlagAssumedProvider
	}
}

func (s *Span) usage(options *Options, r *Reading) {
	var t tally
	q := &r.Query
	t.read(s)
	t.decide(s, makerOf(strings.ToLower(strings.TrimSpace(q.Provider))), options.Convention)
	t.units(s, &q.Usage)
	q.Usage.Estimated = t.estimated
	r.Exclusive, r.SplitStated = t.exclusive, t.has1h || t.has5m
	r.InputTokens, r.OutputTokens = t.input, t.output
	if t.inconsistent {
		q.Flags |= pricing.FlagInconsistentUsage
	}
	if s.event != nil && s.event.cacheless {
		q.Flags |= pricing.FlagAssumedDefault
	}
	for _, extra := range [...]slot{slotCompactionInput, slotCompactionOutput} {
		// Billed beside the totals, at a model that the span does not name.
		if count, ok := t.take(s, extra); ok && count > 0 {
			t.incomplete = true
		}
	}
	switch {
	case t.huge, q.Usage.Has == 0 && t.bad:
		q.Reason = pricing.ReasonInvalidUsage
		q.Usage = pricing.Usage{}
	case q.Usage.Has == 0 && s.has(slotUsageSource):
		// Our SDK names a source where usage was reported, and no count where all of it was zero.
		q.Usage.Set(pricing.Input, 0)
	case q.Usage.Has == 0:
		q.Reason = s.missing(r)
	case t.bad, t.incomplete, s.text(slotCostReason) == pricing.ReasonIncompleteUsage,
		!r.Own && t.cutShort(&q.Usage, r.Operation):
		// An earlier step of ours that saw more than stands on the span knew that something is missing: so it stays.
		q.Reason = pricing.ReasonIncompleteUsage
	}
	if s.completed() && q.Usage.Counts != [pricing.UnitCount]int64{} {
		// One completed call is one request; a model without a fee per request has no rate for it.
		q.Usage.Set(pricing.Request, 1)
	}
}

// completed says whether a call ran to its end.
func (s *Span) completed() bool {
	if end := s.text(slotCallEnd); end != "" {
		return end == "completed"
	}
	return !s.Failed && !s.has(slotErrorType)
}

// missing says why a call bears no usage. A call that failed was not billed, unless it may have reached the provider.
func (s *Span) missing(r *Reading) string {
	switch strings.ToLower(clipped(s.text(slotResponseStatus))) {
	case "queued", "in_progress":
		return pricing.ReasonPending
	}
	failed, end := s.Failed || s.has(slotErrorType), s.text(slotCallEnd)
	if end != "" {
		failed = end == "error" || end == "cancelled"
	}
	switch {
	case !failed, s.has(slotFirstChunk):
		// Once a stream has begun the call was accepted: something was billed, and nobody said how much.
		return pricing.ReasonNoUsage
	case end == "cancelled", lost(s.text(slotErrorType)), lost(s.Exception), s.event != nil && lost(s.text(slotAgentError)):
		return pricing.ReasonBillingUnknown
	}
	r.Verdict, r.Reason = VerdictNotApplicable, ReasonCallFailed
	return pricing.ReasonNoUsage
}

// lostWords are parts of the names of errors after which nobody knows whether the provider answered and billed.
var lostWords = []string{
	"timeout", "timedout", "timed_out", "deadline", "connectionreset", "connectionerror", "connection_error",
	"connectionaborted", "connectionclosed", "remoteprotocolerror", "remotedisconnected", "incompleteread",
	"readerror", "chunkedencoding", "brokenpipe", "apiconnectionerror", "econnreset", "etimedout", "socket hang up",
	"timed out", "connection error", "stream disconnected",
}

// maxErrorBytes is how much of an error's name is looked at.
const maxErrorBytes = 256

func lost(errorType string) bool {
	if errorType == "" {
		return false
	}
	name := strings.ToLower(errorType[:min(len(errorType), maxErrorBytes)])
	return slices.ContainsFunc(lostWords, func(word string) bool { return strings.Contains(name, word) })
}

// ending applies how the SDK saw the call end: what stopped early was billed for more than was counted.
func (s *Span) ending(r *Reading) {
	if end := s.text(slotCallEnd); end == "" || end == "completed" || r.Query.Usage.Has == 0 {
		return
	}
	if r.Query.Reason == "" {
		r.Query.Reason = pricing.ReasonIncompleteUsage
	}
}
