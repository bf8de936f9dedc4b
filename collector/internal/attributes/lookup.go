package attributes

import (
	"strings"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// slot is the place of one word in a Span, whatever spelling it came under.
type slot uint8

const (
	slotProvider slot = iota
	slotResponseModel
	slotRequestModel
	slotHost
	slotPort
	slotAPIBase
	slotInput
	slotOutput
	slotCacheRead
	slotCacheWrite
	slotCacheWrite5m
	slotCacheWrite1h
	slotReasoning
	slotAudioInput
	slotAudioOutput
	slotAudioCacheRead
	slotImageInput
	slotImageOutput
	slotImageCacheRead
	slotTotal
	slotAgentToolInput
	slotCompactionInput
	slotCompactionOutput
	slotOperation
	slotOpenInferenceKind
	slotTraceloopKind
	slotRequestType
	slotOperationType
	slotVercelOperation
	slotSpanType
	slotLangfuseType
	slotResponseStatus
	slotErrorType
	slotFirstChunk
	slotTierResponse
	slotTierRequest
	slotTier
	slotSpeed
	slotGeo
	slotDeployment
	slotRegion
	slotSearchContext
	slotCallEnd
	slotCostTotal
	slotCostComputed
	slotCostSource
	slotCostStatus
	slotCostReason
	slotCostCurrency
	slotCostBasis
	slotPriceBook
	slotPriceSku
	slotPriceModel
	slotAccounting
	slotChargeKind
	slotCredential
	slotUsageSource
	slotEstimatedInput
	slotEstimatedOutput
	slotBilled
	slotBilledAmount
	slotBilledCurrency
	slotBilledSource
	slotCacheHit
	slotVercelDetail
	slotAgentProvider
	slotAgentSpeed
	slotAgentError
	slotAgentEventKind
	// slotEstimateOfOthers and slotUnit are the first of a run: one slot per spelling, one per unit.
	slotEstimateOfOthers
	slotUnit  = slotEstimateOfOthers + maxEstimates
	slotOther = slotUnit + slot(pricing.UnitCount)
	// slotCount is how many there are. slotOther takes keys of ours that are only noticed, not read.
	slotCount = slotOther + 1
)

const maxEstimates = 8

// Keys that are read beside the generated tables.
const (
	oldResponseTierKey = "gen_ai.openai.response.service_tier"
	oldRequestTierKey  = "gen_ai.openai.request.service_tier"
	vercelDetailPrefix = "ai.usage.inputTokenDetails."
	vercelNoCache      = vercelDetailPrefix + "noCacheTokens"
)

// slotSet is a set of slots.
type slotSet [(slotCount + 63) / 64]uint64

func slotsOf(places ...slot) (set slotSet) {
	for _, place := range places {
		set.add(place)
	}
	return set
}

func (s *slotSet) add(place slot)      { s[place/64] |= 1 << (place % 64) }
func (s *slotSet) has(place slot) bool { return s[place/64]>>(place%64)&1 != 0 }

func (s *slotSet) meets(other *slotSet) bool {
	for word := range s {
		if s[word]&other[word] != 0 {
			return true
		}
	}
	return false
}

// Spelling is one key under which a slot is read; the lowest rank that is present wins.
type Spelling struct {
	key  string
	slot slot
	rank uint8
	// decisive keys make a span worth reading: without one of them it is no model call.
	decisive bool
	// detail marks the keys by which the Vercel AI SDK from version 6 on is known.
	detail bool
	// own keys are written by the processor: whatever they hold is noticed. An empty name is none.
	own, name bool
	// settles: Settle reads the slot.
	settles bool
	next    int16
}

const bucketCount = 1024

// keyTable finds the spelling of a key. It is a hash table of its own because every attribute of every span goes
// through it: length and three bytes tell our few hundred keys apart from almost anything else.
type keyTable struct {
	heads     [bucketCount]int16
	spellings []Spelling
}

// openings marks how keys begin that are read, and which of these decide: most other keys are told apart by their first
// two letters.
var openings [1 << 10]uint8

const (
	opensRead uint8 = 1 << iota
	opensDecisive
)

func bucket(key string) int {
	last := len(key) - 1
	return (len(key)*61 + int(key[last])*7 + int(key[last/2])*31 + int(key[last*3/4])*17) & (bucketCount - 1)
}

// opening folds the first two letters of a key, which has at least two.
func opening(key string) int { return int(key[0]&31)<<5 | int(key[1]&31) }

func (t *keyTable) find(key string) *Spelling {
	if key == "" {
		return nil
	}
	for index := t.heads[bucket(key)]; index >= 0; index = t.spellings[index].next {
		if entry := &t.spellings[index]; entry.key == key {
			return entry
		}
	}
	return nil
}

func (t *keyTable) add(slot slot, decisive bool, keys ...string) {
	for rank, key := range keys {
		t.put(Spelling{key: key, slot: slot, rank: uint8(rank), decisive: decisive})
	}
}

func (t *keyTable) put(entry Spelling) {
	if t.find(entry.key) != nil {
		return
	}
	entry.detail = strings.HasPrefix(entry.key, vercelDetailPrefix)
	entry.own = ownSlots.has(entry.slot)
	entry.name = !entry.own && !entry.slot.counts()
	entry.settles = settling.has(entry.slot)
	place := bucket(entry.key)
	entry.next = t.heads[place]
	t.heads[place] = int16(len(t.spellings))
	t.spellings = append(t.spellings, entry)
	openings[opening(entry.key)] |= opensRead
	if entry.decisive {
		openings[opening(entry.key)] |= opensDecisive
	}
}

var keys = newKeyTable()

func newKeyTable() *keyTable {
	table := &keyTable{}
	for index := range table.heads {
		table.heads[index] = -1
	}
	table.addKinds()
	table.addUsage()
	table.addIdentity()
	table.addAgents()
	table.addOurs()
	return table
}

func (t *keyTable) addKinds() {
	t.add(slotOperation, true, GenAiOperationName)
	t.add(slotOpenInferenceKind, true, "openinference.span.kind")
	t.add(slotTraceloopKind, true, "traceloop.span.kind")
	t.add(slotRequestType, true, "llm.request.type")
	t.add(slotOperationType, false, "gen_ai.operation.type")
	t.add(slotVercelOperation, true, "ai.operationId")
	t.add(slotSpanType, false, "span.type")
	t.add(slotLangfuseType, true, "langfuse.observation.type")
}

func (t *keyTable) addUsage() {
	t.add(slotInput, true, ReadAsInput...)
	t.add(slotOutput, true, ReadAsOutput...)
	t.add(slotVercelDetail, false, vercelNoCache)
	t.add(slotCacheRead, false, ReadAsCacheRead...)
	t.add(slotCacheWrite, false, ReadAsCacheWrite...)
	t.add(slotCacheWrite5m, false, ReadAsCacheWrite5m...)
	t.add(slotCacheWrite1h, false, ReadAsCacheWrite1h...)
	t.add(slotReasoning, false, ReadAsReasoning...)
	t.add(slotAudioInput, false, ReadAsAudioInput...)
	t.add(slotAudioOutput, false, ReadAsAudioOutput...)
	t.add(slotAudioCacheRead, false, ReadAsAudioCacheRead...)
	t.add(slotImageInput, false, ReadAsImageInput...)
	t.add(slotImageOutput, false, ReadAsImageOutput...)
	t.add(slotImageCacheRead, false, GenAiUsageImageCacheReadInputTokens)
	t.add(slotTotal, false, ReadAsTotal...)
	t.add(slotCompactionInput, false, AnthropicUsageCompactionInputTokens)
	t.add(slotCompactionOutput, false, AnthropicUsageCompactionOutputTokens)
}

func (t *keyTable) addIdentity() {
	t.add(slotProvider, false, ReadAsProvider...)
	t.add(slotResponseModel, true, ReadAsResponseModel...)
	t.add(slotRequestModel, true, ReadAsRequestModel...)
	t.add(slotHost, false, ReadAsHost...)
	t.add(slotPort, false, ServerPort)
	t.add(slotAPIBase, false, ReadAsApiBase...)
	t.add(slotResponseStatus, false, GenAiResponseStatus)
	t.add(slotErrorType, false, ErrorType)
	t.add(slotFirstChunk, false, GenAiResponseTimeToFirstChunk)
	t.add(slotTierResponse, false, OpenaiResponseServiceTier, AnthropicResponseServiceTier, oldResponseTierKey)
	t.add(slotTierRequest, false, OpenaiRequestServiceTier, oldRequestTierKey)
	t.add(slotBilled, false, ReadAsBilled...)
	t.add(slotBilledAmount, false, ReadAsBilledAmount...)
	t.add(slotBilledCurrency, false, ReadAsBilledCurrency...)
	t.add(slotBilledSource, false, ReadAsBilledSource...)
	t.add(slotCacheHit, false, ReadAsCacheHit...)
	for index, key := range ReadAsEstimateOfOthers[:min(len(ReadAsEstimateOfOthers), maxEstimates)] {
		t.add(slotEstimateOfOthers+slot(index), false, key)
	}
}

func (t *keyTable) addAgents() {
	t.add(slotAgentProvider, false, ReadAsAgentProvider...)
	t.add(slotAgentSpeed, false, ReadAsAgentSpeed...)
	t.add(slotAgentToolInput, false, ReadAsAgentToolInput...)
	t.add(slotAgentError, false, ReadAsAgentError...)
	t.add(slotAgentEventKind, false, ReadAsAgentEventKind...)
}

func (t *keyTable) addOurs() {
	t.add(slotTier, false, TokenomicsRequestTier)
	t.add(slotSpeed, false, TokenomicsRequestSpeed)
	t.add(slotGeo, false, TokenomicsRequestGeo)
	t.add(slotDeployment, false, TokenomicsRequestDeployment)
	t.add(slotRegion, false, TokenomicsRequestRegion)
	t.add(slotSearchContext, false, TokenomicsRequestSearchContext)
	t.add(slotCallEnd, false, TokenomicsCallEnd)
	t.add(slotCostTotal, true, TokenomicsCostTotal)
	t.add(slotCostComputed, false, TokenomicsCostComputed)
	t.add(slotCostSource, true, TokenomicsCostSource)
	t.add(slotCostStatus, true, TokenomicsCostStatus)
	t.add(slotCostReason, false, TokenomicsCostReason)
	t.add(slotCostCurrency, false, TokenomicsCostCurrency)
	t.add(slotCostBasis, false, TokenomicsCostBasis)
	t.add(slotPriceBook, false, TokenomicsPriceBook)
	t.add(slotPriceSku, false, TokenomicsPriceSku)
	t.add(slotPriceModel, false, TokenomicsPriceModel)
	t.add(slotAccounting, false, TokenomicsUsageAccounting)
	t.add(slotChargeKind, true, TokenomicsChargeKind)
	t.add(slotCredential, false, TokenomicsCredentialHash)
	t.add(slotUsageSource, false, TokenomicsUsageSource)
	t.add(slotEstimatedInput, false, TokenomicsUsageEstimatedInputTokens)
	t.add(slotEstimatedOutput, false, TokenomicsUsageEstimatedOutputTokens)
	for unit, name := range pricing.UnitNames {
		// The standard carries the units that have no key here, and cache_write_1h is a spelling of its own already.
		t.add(slotUnit+slot(unit), false, "tokenomics.usage."+name)
	}
	t.add(slotOther, false, written...)
}

// written lists what the processor writes besides the keys that it reads: noticed, so that a span which is priced anew
// loses the figures of the first time.
var written = []string{
	TokenomicsCostFlags, TokenomicsCostList,
	TokenomicsCostInput, TokenomicsCostCacheRead, TokenomicsCostCacheWrite, TokenomicsCostOutput, TokenomicsCostReasoning,
	TokenomicsCostTools, TokenomicsCostRequests, TokenomicsCostSavingsCache, TokenomicsCostSavingsBatch,
	TokenomicsCostTotalMicros, TokenomicsPriceMatch,
}

// Opens says whether a decisive key may begin like this one. It is the one step that every attribute of every span
// takes, so it is small enough to become a part of its caller's loop.
func Opens(key string) bool { return len(key) >= 2 && openings[opening(key)]&opensDecisive != 0 }

// Reads says whether some rule may read a key that begins like this one. It is as small as Opens.
func Reads(key string) bool { return len(key) >= 2 && openings[opening(key)] != 0 }

// Decisive says whether a key can make its span a model call; a span without any such key needs no further look.
func Decisive(key string) bool {
	if !Opens(key) {
		return false
	}
	entry := keys.find(key)
	return entry != nil && entry.decisive
}

// Find returns how a key is read, nil where no rule reads it: a caller converts only the values that matter.
func Find(key string) *Spelling {
	if len(key) < 2 || openings[opening(key)] == 0 {
		return nil
	}
	return keys.find(key)
}

// Is says whether this is how a key is read: cheaper than to look it up again for a caller that guessed.
func (e *Spelling) Is(key string) bool { return e != nil && e.key == key }

// KnownKeys returns every key that some rule reads or notices.
func KnownKeys() []string {
	known := make([]string, 0, len(keys.spellings))
	for index := range keys.spellings {
		known = append(known, keys.spellings[index].key)
	}
	return known
}

// Own says whether a key is one that the processor writes.
func Own(key string) bool {
	entry := keys.find(key)
	return entry != nil && entry.own
}

// ownSlots hold what the processor writes.
var ownSlots = slotsOf(
	slotOther, slotCostTotal, slotCostComputed, slotCostSource, slotCostStatus, slotCostReason, slotCostCurrency,
	slotCostBasis, slotPriceBook, slotPriceSku, slotPriceModel, slotAccounting,
)

// counts says whether a slot holds a number of tokens or other units: there a text without digits is a wrong number,
// elsewhere it says nothing.
func (s slot) counts() bool {
	return s >= slotInput && s <= slotCompactionOutput || s == slotEstimatedInput || s == slotEstimatedOutput ||
		s >= slotUnit && s < slotOther
}
