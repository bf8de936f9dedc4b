package tokenomicsprocessor

import (
	"maps"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Limits of business tags, the same as in the SDK: what is not allowed there does not come in here.
const (
	maxTags          = 16
	maxTagCodePoints = 200
)

// tag is a business tag: the key of its attribute, and its value.
type tag struct{ key, value string }

// resourceTags returns the tags of a resource, sorted by key.
func resourceTags(resource pcommon.Map) []tag {
	var tags []tag
	for key, value := range resource.All() {
		name, ours := strings.CutPrefix(key, attributes.TokenomicsTagPrefix)
		if ours && validTag(name) && value.Type() == pcommon.ValueTypeStr && value.Str() != "" {
			tags = append(tags, tag{key, cutTag(value.Str())})
		}
	}
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.key, b.key) })
	return tags[:min(len(tags), maxTags)]
}

// validTag accepts [a-z][a-z0-9_]*: a key is a column of somebody's table.
func validTag(name string) bool {
	for index := range len(name) {
		switch c := name[index]; {
		case c >= 'a' && c <= 'z':
		case index > 0 && (c >= '0' && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return name != ""
}

func cutTag(value string) string {
	count := 0
	for index := range value {
		if count == maxTagCodePoints {
			return value[:index]
		}
		count++
	}
	return value
}

// tagText returns what a value says as the value of a tag: text, numbers and truth values do, "" is none.
func tagText(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		// Bytes that are no text would make the next receiver refuse the whole batch.
		return strings.ToValidUTF8(cutTag(value.Str()), "\uFFFD")
	case pcommon.ValueTypeDouble:
		if number := value.Double(); math.IsNaN(number) || math.IsInf(number, 0) {
			return ""
		}
		return value.AsString()
	case pcommon.ValueTypeInt, pcommon.ValueTypeBool:
		return value.AsString()
	case pcommon.ValueTypeEmpty, pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
	}
	return ""
}

// standardTags are the tags for which OpenTelemetry has a name of its own, as in the SDK.
var standardTags = map[string]string{
	"user": attributes.UserId, "session": attributes.SessionId, "conversation": attributes.GenAiConversationId,
	"agent": attributes.GenAiAgentName, "workflow": attributes.GenAiWorkflowName,
	"environment": attributes.DeploymentEnvironmentName,
}

// tagKey returns the key of a tag's attribute.
func tagKey(name string) string {
	if standard, ok := standardTags[name]; ok {
		return standard
	}
	return attributes.TokenomicsTagPrefix + name
}

// tagRules say which attributes become business tags, and which tags a charge must bear. They never change.
type tagRules struct {
	// targets are the tags that a rule names; the first policies of them are those that a charge must bear.
	targets  []tagTarget
	policies int
	marks    bool
	// sources says for the key of an attribute where its value is wanted; spread are the prefixes whose attributes become
	// tags by the rest of their key.
	sources map[string][]tagSource
	spread  []tagSource
	// named are the places of the targets.
	named  map[string]int
	filter keyFilter
}

// tagTarget is one tag. A charge that lacks one of a policy gets the fallback, or is marked where there is none.
type tagTarget struct{ name, key, fallback string }

// tagSource is one place to take a tag from. The lowest rank that is there wins: the first source of a rule, and of one
// source the attribute of the span before that of its resource.
type tagSource struct {
	target       int
	rank         int
	prefix       string
	resourceOnly bool
}

// statedRank is that of the tag itself, which no rule replaces; onResource is added for an attribute of the resource,
// and spreadRank for a prefix, which comes after every source that names the tag.
const (
	statedRank = -2
	onResource = 1
	spreadRank = 1 << 20
)

func newTagRules(cfg *TagsConfig) *tagRules {
	rules := &tagRules{sources: map[string][]tagSource{}, named: map[string]int{}, marks: len(cfg.Required) > 0}
	policies := slices.Sorted(slices.Values(slices.Concat(cfg.Required, slices.Collect(maps.Keys(cfg.Defaults)))))
	policies = slices.Compact(policies)
	rules.policies = len(policies)
	names := policies
	for _, name := range slices.Sorted(maps.Keys(cfg.Map)) {
		if name != wildcard && !slices.Contains(policies, name) {
			names = append(names, name)
		}
	}
	for place, name := range names {
		key := tagKey(name)
		rules.named[name] = place
		rules.targets = append(rules.targets, tagTarget{name, key, cfg.Defaults[name]})
		rules.sources[key] = append(rules.sources[key], tagSource{target: place, rank: statedRank})
		rules.filter.exact(key)
		rules.read(place, cfg.Map[name])
	}
	rules.read(0, cfg.Map[wildcard])
	if rules.active() {
		rules.filter.prefix(attributes.TokenomicsTagPrefix)
		rules.filter.exact(attributes.TokenomicsTagsMissing)
	}
	return rules
}

// read compiles the sources of one tag.
func (r *tagRules) read(target int, sources []string) {
	for index, text := range sources {
		name, only := strings.CutPrefix(text, resourceSource)
		source := tagSource{target: target, rank: 2 * index, resourceOnly: only}
		if prefix, all := cutWildcard(name); all {
			source.prefix, source.rank = prefix, source.rank+spreadRank
			r.spread = append(r.spread, source)
			r.filter.prefix(prefix)
			continue
		}
		r.sources[name] = append(r.sources[name], source)
		r.filter.exact(name)
	}
}

// active says whether there is any rule: without one, only what a resource states becomes a tag.
func (r *tagRules) active() bool { return len(r.targets)+len(r.spread) > 0 }

// tagger gives the charges of one resource after another their tags. It keeps room for its work: one for each batch.
type tagger struct {
	rules *tagRules
	// stated are the tags of the resource, near is what the rules find on it, found what they find for a span.
	stated      []tag
	near, found findings
}

// findings are what the rules found.
type findings struct {
	picks  []tagPick
	spread []tagSpread
	// tags is how many tags are stated; marked: an earlier step said that some are missing.
	tags   int
	marked bool
}

// tagPick is what was found for one target: a text, or the tag itself.
type tagPick struct {
	text  string
	rank  int
	there bool
}

// tagSpread is an attribute of a prefix; name is that of the tag.
type tagSpread struct {
	name, text string
	rank       int
}

const (
	// maxSpread is how many attributes of prefixes are kept: as many as fit, and as many as may turn out to be stated.
	maxSpread = 2 * maxTags
	// maxSpreadName is longer than any column's name should be; a name of a megabyte is nobody's tag.
	maxSpreadName = 64
)

// enter reads the resource of what follows.
func (t *tagger) enter(resource pcommon.Map) {
	t.stated = resourceTags(resource)
	if !t.rules.active() {
		return
	}
	t.near = findings{picks: make([]tagPick, len(t.rules.targets))}
	t.rules.find(resource, onResource, &t.near)
	for _, entry := range t.stated {
		for _, source := range t.rules.sources[entry.key] {
			t.near.picks[source.target] = tagPick{entry.value, statedRank + onResource, true}
		}
	}
	t.found.picks = make([]tagPick, len(t.rules.targets))
}

// find adds what the rules find among some attributes.
func (r *tagRules) find(from pcommon.Map, nearness int, found *findings) {
	for key, value := range from.All() {
		if !r.filter.may(key) {
			continue
		}
		if strings.HasPrefix(key, attributes.TokenomicsTagPrefix) {
			if nearness == onResource {
				continue // what a resource states is read by its own, stricter rule
			}
			found.tags++
		}
		found.marked = found.marked || key == attributes.TokenomicsTagsMissing
		for _, source := range r.sources[key] {
			found.pick(source, nearness, value)
		}
		for _, source := range r.spread {
			name, under := strings.CutPrefix(key, source.prefix)
			if !under || len(name) > maxSpreadName || !validTag(name) {
				continue
			}
			if place, named := r.named[name]; named {
				source.target = place
				found.pick(source, nearness, value)
			} else if standardTags[name] == "" && (nearness == onResource || !source.resourceOnly) {
				// A name of OpenTelemetry is written only where a rule says so by name.
				found.add(name, value, source.rank+nearness)
			}
		}
	}
}

// pick keeps the value of the lowest rank. A tag that the span bears by itself stays, whatever it holds.
func (f *findings) pick(source tagSource, nearness int, value pcommon.Value) {
	rank, there := source.rank+nearness, &f.picks[source.target]
	if source.resourceOnly && nearness != onResource || there.there && there.rank <= rank {
		return
	}
	if text := tagText(value); text != "" || rank == statedRank {
		*there = tagPick{text, rank, true}
	}
}

// add keeps the first names in their order, each with the value of the lowest rank.
func (f *findings) add(name string, value pcommon.Value, rank int) {
	place, there := slices.BinarySearchFunc(f.spread, name, func(entry tagSpread, name string) int {
		return strings.Compare(entry.name, name)
	})
	if place == maxSpread || there && f.spread[place].rank <= rank {
		return
	}
	text := tagText(value)
	if text == "" {
		return
	}
	if !there {
		f.spread = slices.Insert(f.spread[:min(len(f.spread), maxSpread-1)], place, tagSpread{})
	}
	f.spread[place] = tagSpread{name, text, rank}
}

// put gives a charge the tags that it does not bear: what its resource states, what the rules find, and last what they
// fall back on; the nearest word wins. It returns a bit for each tag of a policy that was not there.
// Nothing is written before everything was read: a rule never reads what another wrote.
func (t *tagger) put(own pcommon.Map) uint32 {
	if !t.rules.active() {
		putTags(own, t.stated)
		return 0
	}
	found := &t.found
	copy(found.picks, t.near.picks)
	found.spread = append(found.spread[:0], t.near.spread...)
	found.tags, found.marked = 0, false
	t.rules.find(own, 0, found)

	room := maxTags - found.tags - putTags(own, t.stated)
	var missing uint32
	marks := 0
	for place := range t.rules.targets {
		target, pick := &t.rules.targets[place], &found.picks[place]
		text := pick.text
		if place < t.rules.policies && text == "" {
			missing |= 1 << place
			if text = target.fallback; text == "" {
				marks++
				continue
			}
			own.PutStr(target.key, text)
			room--
			continue
		}
		// What a charge must bear always finds room.
		if pick.rank >= 0 && text != "" && (room > 0 || place < t.rules.policies) {
			own.PutStr(target.key, text)
			room--
		}
	}
	for _, entry := range found.spread {
		if room <= 0 {
			break
		}
		if value, stated := own.GetOrPutEmpty(attributes.TokenomicsTagPrefix + entry.name); !stated {
			value.SetStr(entry.text)
			room--
		}
	}
	t.mark(own, missing, marks)
	return missing
}

// mark names the tags that are missing and have no fallback.
func (t *tagger) mark(own pcommon.Map, missing uint32, marks int) {
	if marks == 0 {
		if t.found.marked && t.rules.marks {
			own.Remove(attributes.TokenomicsTagsMissing)
		}
		return
	}
	names := own.PutEmptySlice(attributes.TokenomicsTagsMissing)
	names.EnsureCapacity(marks)
	for place := range t.rules.policies {
		if target := &t.rules.targets[place]; missing>>place&1 != 0 && target.fallback == "" {
			names.AppendEmpty().SetStr(target.name)
		}
	}
}

// putTags adds what a span does not say by itself, and returns how many tags that were.
func putTags(own pcommon.Map, tags []tag) int {
	put := 0
	for _, entry := range tags {
		if value, stated := own.GetOrPutEmpty(entry.key); !stated {
			value.SetStr(entry.value)
			put++
		}
	}
	return put
}
