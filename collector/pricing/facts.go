package pricing

import "slices"

// Facts are what else a price depends on; an empty text is unset.
type Facts struct {
	ServiceTier, Processing, Speed, InferenceGeo, DeploymentType, Region, SearchContextSize, Account string
}

// factKey is the place of a fact in a factSet, in the order of the words: skus name conditions in that order.
type factKey uint8

const (
	factAccount factKey = iota
	factDeploymentType
	factInferenceGeo
	factProcessing
	factRegion
	factSearchContextSize
	factServiceTier
	factSpeed
	factCount
)

var factNames = [factCount]string{
	"account", "deployment_type", "inference_geo", "processing", "region", "search_context_size", "service_tier", "speed",
}

// calendarKey is the one `when` key that is no fact: it depends on the instant.
const calendarKey = "calendar"

// tierFacts are the facts by which a provider sells another service level: a row that does not ask for one that is
// set cannot be known to be the right price.
const tierFacts uint8 = 1<<factServiceTier | 1<<factProcessing | 1<<factSpeed

// factSet holds the effective facts of one call.
type factSet [factCount]string

func factByName(name string) (factKey, bool) {
	index := slices.Index(factNames[:], name)
	return factKey(max(index, 0)), index >= 0
}

var defaultNeutral = []string{"default", "standard", "auto", "on_demand"}

// searchContextDefault returns the provider's documented default where a request states no search context size.
func searchContextDefault(provider string) string {
	switch provider {
	case "perplexity":
		return "low"
	case "openai":
		return "medium"
	}
	return ""
}

// fill sets the effective facts of a call in an empty set: what the model's name or alias fixes beats what was
// reported, aliases of tier words are applied, neutral words count as unset, and a tier named batch is the fact
// processing=batch.
func (s *factSet) fill(facts *Facts, fixed *factSet, owner *provider) {
	s.set(factAccount, facts.Account)
	s.set(factDeploymentType, factWord(facts.DeploymentType))
	s.set(factInferenceGeo, factWord(facts.InferenceGeo))
	s.set(factProcessing, factWord(facts.Processing))
	s.set(factRegion, factWord(facts.Region))
	s.set(factSearchContextSize, factWord(facts.SearchContextSize))
	s.set(factServiceTier, factWord(facts.ServiceTier))
	s.set(factSpeed, factWord(facts.Speed))
	if fixed != nil {
		for key, word := range fixed {
			s.set(factKey(key), word)
		}
	}
	for _, key := range [...]factKey{factServiceTier, factProcessing, factSpeed} {
		if s[key] != "" {
			s[key] = tierWord(s[key], owner)
		}
	}
	if s[factServiceTier] == "batch" {
		s[factServiceTier], s[factProcessing] = "", "batch"
	}
}

// set keeps what is there where the word says nothing. Most calls state no fact at all.
func (s *factSet) set(key factKey, word string) {
	if word != "" {
		s[key] = word
	}
}

func factWord(value string) string {
	if value == "" {
		return value
	}
	return lowerASCII(trimASCII(value))
}

// tierWord applies a provider's aliases and returns nothing for its neutral words.
func tierWord(word string, owner *provider) string {
	neutral := defaultNeutral
	if owner != nil {
		if alias, ok := owner.tierAliases[word]; ok {
			word = alias
		}
		neutral = owner.neutral
	}
	if slices.Contains(neutral, word) {
		return ""
	}
	return word
}

// condition is one `when` key of a row or multiplier with the words that satisfy it.
type condition struct {
	key   factKey
	words []string
}

func allHold(when []condition, facts *factSet) bool {
	for index := range when {
		value := facts[when[index].key]
		if value == "" || !slices.Contains(when[index].words, value) {
			return false
		}
	}
	return true
}
