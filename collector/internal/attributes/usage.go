package attributes

import "github.com/otel-tokenomics/otel-tokenomics/collector/pricing"

// Convention is the setting usage_convention: how input is counted where neither the emitter nor the numbers say.
type Convention uint8

// The values of the setting. ConventionAuto reads such a span as inclusive.
const (
	ConventionAuto Convention = iota
	ConventionInclusive
	ConventionExclusive
)

// markExclusive is the word by which an earlier step of ours says how it read the counts, which it left as they were.
const markExclusive = "exclusive"

// tally is the usage of one span on its way from the emitter's counts to disjoint units.
type tally struct {
	input, output, cacheRead, cacheWrite, write5m, write1h, write12h, reasoning, total int64

	hasInput, hasOutput, hasCacheRead, hasCacheWrite, has5m, has1h, has12h, hasReasoning, hasTotal bool

	bad, huge, incomplete, inconsistent, exclusive, estimated bool
}

// take reads one count; what is no count is noted and left out.
func (t *tally) take(s *Span, place slot) (int64, bool) {
	number, state := s.count(place)
	switch state {
	case countGood:
		return number, true
	case countBad:
		t.bad = true
	case countHuge:
		t.huge = true
	case countAbsent:
	}
	return 0, false
}

// fineCounts are those that most spans do not bear: one look tells.
var fineCounts = slotsOf(
	slotCacheWrite5m, slotCacheWrite1h, slotUnit+slot(pricing.CacheWrite12h), slotReasoning, slotTotal, slotEstimatedInput,
	slotEstimatedOutput,
)

func (t *tally) read(s *Span) {
	t.input, t.hasInput = t.take(s, slotInput)
	t.output, t.hasOutput = t.take(s, slotOutput)
	t.cacheRead, t.hasCacheRead = t.take(s, slotCacheRead)
	t.cacheWrite, t.hasCacheWrite = t.take(s, slotCacheWrite)
	if !s.present.meets(&fineCounts) {
		return
	}
	t.write5m, t.has5m = t.take(s, slotCacheWrite5m)
	t.write1h, t.has1h = t.take(s, slotCacheWrite1h)
	t.write12h, t.has12h = t.take(s, slotUnit+slot(pricing.CacheWrite12h))
	t.reasoning, t.hasReasoning = t.take(s, slotReasoning)
	t.total, t.hasTotal = t.take(s, slotTotal)
	if split := t.write5m + t.write1h + t.write12h; split > t.cacheWrite {
		// The split is finer than the sum; a sum that is smaller than it is missing or wrong.
		t.inconsistent = t.inconsistent || t.hasCacheWrite
		t.cacheWrite, t.hasCacheWrite = split, true
	}
	t.estimate(s, slotEstimatedInput, &t.input, &t.hasInput)
	t.estimate(s, slotEstimatedOutput, &t.output, &t.hasOutput)
}

// estimate fills in what the SDK estimated where the provider gave nothing.
func (t *tally) estimate(s *Span, place slot, total *int64, reported *bool) {
	if *reported {
		return
	}
	if count, ok := t.take(s, place); ok {
		*total, *reported, t.estimated = count, true, true
	}
}

// decide settles how input and output were counted, in the order: the emitter, the total, proof, the setting.
func (t *tally) decide(s *Span, who maker, setting Convention) {
	caches := t.cacheRead + t.cacheWrite
	outside := s.emitter != nil && s.emitter.reasoningOutside && s.emitter.holds(s)
	how := undecided
	switch {
	case !s.own && s.text(slotAccounting) == markExclusive:
		how = exclusive
	case s.vercel:
		how = vercelCounts(s, who)
	case s.emitter != nil && s.emitter.holds(s):
		how = s.emitter.counts(who)
	}
	if how == undecided {
		how = t.byNumbers(caches, setting)
	}
	if how == exclusive {
		t.exclusive = caches > 0
		t.input += caches
		t.hasInput = t.hasInput || caches > 0
	} else if t.hasInput && caches > t.input {
		// A part larger than its whole: the caches are believed, plain input is then 0.
		t.inconsistent = true
		t.input = caches
	} else if !t.hasInput && caches > 0 {
		t.input, t.hasInput = caches, true
	}
	if s.emitter != nil && s.emitter.toolsOutside {
		if tools, there := t.take(s, slotAgentToolInput); there && tools > 0 {
			t.input, t.hasInput = t.input+tools, true
		}
	}
	t.placeReasoning(outside)
	t.checkTotal()
}

func (t *tally) byNumbers(caches int64, setting Convention) accounting {
	if t.hasTotal && t.hasInput && caches > 0 {
		switch t.total {
		case t.input + t.output:
			return inclusive
		case t.input + caches + t.output:
			return exclusive
		}
	}
	if t.hasInput && t.input < caches {
		return exclusive
	}
	if setting == ConventionExclusive {
		return exclusive
	}
	return inclusive
}

// placeReasoning adds reasoning to output where it stands beside it: by the emitter, by the total, or because no part
// exceeds its whole.
func (t *tally) placeReasoning(outside bool) {
	if t.reasoning == 0 {
		return
	}
	switch {
	case outside, t.hasTotal && t.total == t.input+t.output+t.reasoning:
	case t.reasoning > t.output:
		t.inconsistent = true
	default:
		return
	}
	t.output += t.reasoning
	t.hasOutput = true
}

// checkTotal compares with the reported total: what is above our sum was billed and is not on the span.
func (t *tally) checkTotal() {
	if !t.hasTotal || (!t.hasInput && !t.hasOutput) {
		return
	}
	switch sum := t.input + t.output; {
	case t.total > sum:
		t.incomplete = true
	case t.total < sum:
		t.inconsistent = true
	}
}

// modalities are the counts that are subsets of input, output or cache reads.
type modalities struct {
	audioIn, audioOut, audioCacheRead, imageIn, imageOut, videoIn, videoOut int64
	// disjoint says that they came as units of ours, which need no taking apart.
	disjoint bool
	// joint says that the emitter stated which modality was read from the cache.
	joint bool
}

func (t *tally) readModalities(s *Span, m *modalities) {
	if s.units || s.own {
		t.readOwnUnits(s, m)
	}
	if m.disjoint {
		return
	}
	if !s.present.meets(&modalitySlots) {
		return
	}
	var imageCached int64
	var jointAudio, jointImage bool
	m.audioIn, _ = t.take(s, slotAudioInput)
	m.audioOut, _ = t.take(s, slotAudioOutput)
	m.audioCacheRead, jointAudio = t.take(s, slotAudioCacheRead)
	m.imageIn, _ = t.take(s, slotImageInput)
	m.imageOut, _ = t.take(s, slotImageOutput)
	imageCached, jointImage = t.take(s, slotImageCacheRead)
	m.joint = jointAudio || jointImage
	m.audioIn = max(0, m.audioIn-m.audioCacheRead)
	// Cached images are plain cache reads.
	m.imageIn = max(0, m.imageIn-imageCached)
}

// modalitySlots hold the standard's counts by modality, which most spans do not bear.
var modalitySlots = slotsOf(slotAudioInput, slotAudioOutput, slotAudioCacheRead, slotImageInput, slotImageOutput, slotImageCacheRead)

func (t *tally) readOwnUnits(s *Span, m *modalities) {
	unit := func(unit pricing.Unit) (int64, bool) { return t.take(s, slotUnit+slot(unit)) }
	var some [7]bool
	m.audioIn, some[0] = unit(pricing.AudioIn)
	m.audioOut, some[1] = unit(pricing.AudioOut)
	m.audioCacheRead, some[2] = unit(pricing.AudioCacheRead)
	m.imageIn, some[3] = unit(pricing.ImageIn)
	m.imageOut, some[4] = unit(pricing.ImageOut)
	m.videoIn, some[5] = unit(pricing.VideoIn)
	m.videoOut, some[6] = unit(pricing.VideoOut)
	m.disjoint = s.own || some != [7]bool{}
}

// overlap takes cached audio, image and video apart where the emitter did not: the least overlap is assumed, audio
// first, so that the units stay disjoint and add up to the input.
func (m *modalities) overlap(t *tally, cacheRead *int64) {
	over := *cacheRead + t.cacheWrite + m.audioIn + m.imageIn + m.videoIn + m.audioCacheRead - t.input
	if m.disjoint || m.joint || over <= 0 {
		return
	}
	m.audioCacheRead = min(over, m.audioIn, *cacheRead)
	m.audioIn -= m.audioCacheRead
	*cacheRead -= m.audioCacheRead
	over -= m.audioCacheRead
	image := min(over, m.imageIn)
	m.imageIn -= image
	m.videoIn -= min(over-image, m.videoIn)
}

// units fills usage with disjoint counts per unit.
func (t *tally) units(s *Span, usage *pricing.Usage) {
	var m modalities
	t.readModalities(s, &m)
	cacheRead := t.cacheRead
	if m.disjoint || m.joint {
		cacheRead = max(0, cacheRead-m.audioCacheRead)
	}
	m.overlap(t, &cacheRead)

	plain := t.input - cacheRead - t.cacheWrite - m.audioIn - m.audioCacheRead - m.imageIn - m.videoIn
	visible := t.output - t.reasoning - m.audioOut - m.imageOut - m.videoOut
	if plain < 0 || visible < 0 {
		t.inconsistent = t.inconsistent || (t.hasInput && plain < 0) || (t.hasOutput && visible < 0)
		plain, visible = max(0, plain), max(0, visible)
	}
	set := func(unit pricing.Unit, count int64, there bool) {
		if there || count > 0 {
			usage.Set(unit, count)
		}
	}
	set(pricing.Input, plain, t.hasInput)
	set(pricing.CacheRead, cacheRead, t.hasCacheRead)
	set(pricing.CacheWrite, max(0, t.cacheWrite-t.write1h-t.write12h), t.hasCacheWrite)
	set(pricing.CacheWrite1h, t.write1h, t.has1h)
	set(pricing.CacheWrite12h, t.write12h, t.has12h)
	set(pricing.Output, visible, t.hasOutput)
	set(pricing.Reasoning, t.reasoning, t.hasReasoning)
	set(pricing.AudioIn, m.audioIn, false)
	set(pricing.AudioOut, m.audioOut, false)
	set(pricing.AudioCacheRead, m.audioCacheRead, false)
	set(pricing.ImageIn, m.imageIn, false)
	set(pricing.ImageOut, m.imageOut, false)
	set(pricing.VideoIn, m.videoIn, false)
	set(pricing.VideoOut, m.videoOut, false)
	for unit := pricing.WebSearch; s.units && unit <= pricing.Image; unit++ {
		count, there := t.take(s, slotUnit+slot(unit))
		set(unit, count, there)
	}
}

// cutShort says whether a stream ended before its output was counted: input alone stands on a call that has output.
func (t *tally) cutShort(usage *pricing.Usage, operation string) bool {
	if operation != opChat && operation != opText && operation != opGenerate {
		return false
	}
	return t.hasInput && t.input > 0 && usage.Has&outputUnits == 0
}

// outputUnits are the units by which the output of a call is billed.
const outputUnits uint32 = 1<<pricing.Output | 1<<pricing.Reasoning | 1<<pricing.AudioOut | 1<<pricing.ImageOut |
	1<<pricing.VideoOut | 1<<pricing.VideoOutSecond | 1<<pricing.Image | 1<<pricing.Character | 1<<pricing.AudioInSecond
