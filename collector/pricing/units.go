package pricing

import "math/bits"

// Unit is one billable unit; its value is the place in every rate array.
type Unit uint8

// The closed, ordered list of units. A new unit is a new version of the price-book schema.
const (
	Input Unit = iota
	CacheRead
	CacheWrite
	CacheWrite1h
	CacheWrite12h
	Output
	Reasoning
	AudioIn
	AudioOut
	AudioCacheRead
	ImageIn
	ImageOut
	VideoIn
	VideoOut
	Request
	WebSearch
	WebFetch
	FileSearch
	CodeSession
	SearchUnit
	AudioInSecond
	VideoOutSecond
	Page
	Character
	Image
)

// UnitCount is the number of units, TokenUnitCount how many of them (from index 0) count tokens.
const (
	UnitCount      = 25
	TokenUnitCount = 14
)

// MaxCount is the largest count that is believed, in any unit.
const MaxCount = 1_000_000_000_000

// UnitNames holds the words of the units as books, attributes and vectors spell them.
var UnitNames = [UnitCount]string{
	"input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h",
	"output", "reasoning",
	"audio_in", "audio_out", "audio_cache_read",
	"image_in", "image_out", "video_in", "video_out",
	"request",
	"web_search", "web_fetch", "file_search", "code_session", "search_unit",
	"audio_in_second", "video_out_second", "page", "character", "image",
}

var unitByName = func() map[string]Unit {
	index := make(map[string]Unit, UnitCount)
	for unit, name := range UnitNames {
		index[name] = Unit(unit)
	}
	return index
}()

// UnitByName returns the unit that a word names.
func UnitByName(name string) (Unit, bool) {
	unit, ok := unitByName[name]
	return unit, ok
}

// Part is one part of a cost; parts add up to the total.
type Part uint8

// The parts, in the order of PartNames.
const (
	PartInput Part = iota
	PartCacheRead
	PartCacheWrite
	PartOutput
	PartReasoning
	PartTools
	PartRequests
)

// PartCount is the number of parts.
const PartCount = 7

// PartNames holds the words of the parts.
var PartNames = [PartCount]string{"input", "cache_read", "cache_write", "output", "reasoning", "tools", "requests"}

// partOf says which part a unit's amount belongs to. Reasoning billed at the output rate belongs to output instead.
var partOf = [UnitCount]Part{
	Input: PartInput, CacheRead: PartCacheRead,
	CacheWrite: PartCacheWrite, CacheWrite1h: PartCacheWrite, CacheWrite12h: PartCacheWrite,
	Output: PartOutput, Reasoning: PartReasoning,
	AudioIn: PartInput, AudioOut: PartOutput, AudioCacheRead: PartCacheRead,
	ImageIn: PartInput, ImageOut: PartOutput, VideoIn: PartInput, VideoOut: PartOutput,
	Request:   PartRequests,
	WebSearch: PartTools, WebFetch: PartTools, FileSearch: PartTools, CodeSession: PartTools, SearchUnit: PartTools,
	AudioInSecond: PartInput, VideoOutSecond: PartOutput, Page: PartInput, Character: PartInput, Image: PartOutput,
}

// unitSet is a set of units, one bit each.
type unitSet uint32

const allUnits unitSet = 1<<UnitCount - 1

// totalInputUnits are the units of one request that a context tier is compared with.
const totalInputUnits unitSet = 1<<Input | 1<<CacheRead | 1<<CacheWrite | 1<<CacheWrite1h | 1<<CacheWrite12h |
	1<<AudioIn | 1<<AudioCacheRead | 1<<ImageIn | 1<<VideoIn

func (s unitSet) has(unit Unit) bool { return s>>unit&1 != 0 }

// pop returns the lowest unit of a set that is not empty, and the rest.
func (s unitSet) pop() (Unit, unitSet) { return Unit(bits.TrailingZeros32(uint32(s))), s & (s - 1) }

// Counts holds one count per unit.
type Counts [UnitCount]int64

// Usage is what one call used: disjoint counts per unit.
type Usage struct {
	Counts Counts
	// Has holds one bit per unit that was reported; a unit reported as 0 is not the same as one not reported.
	Has uint32
	// Estimated says that at least one count is our estimate: a price is then partial.
	Estimated bool
}

// Set reports a count.
func (u *Usage) Set(unit Unit, count int64) {
	u.Counts[unit] = count
	u.Has |= 1 << unit
}

// reported returns the units that were reported, without bits that name no unit.
func (u *Usage) reported() unitSet { return unitSet(u.Has) & allUnits }
