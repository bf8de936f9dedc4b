package pricing

import "strings"

// How a model was found.
const (
	MatchAlias      = "alias"
	MatchExact      = "exact"
	MatchNormalized = "normalized"
	MatchPattern    = "pattern"
)

// match is what the resolution of a call's names found: a model, or the reason why none. It is shared: read only.
type match struct {
	model    *model
	provider *provider
	how      string
	reason   string
	flags    Flags
	// fixed holds facts that the name or alias states; nil where it states none.
	fixed *factSet
	// otherwise is what the names say beside a capacity, which may not be in force.
	otherwise *match
}

// resolve returns the model that a call is priced by.
func (b *Book) resolve(q *Query) *match {
	names := matchKey{q.Provider, q.ResponseModel, q.RequestModel, q.Host, q.UnknownHostUnpriced}
	if len(names.response) > maxIDBytes || len(names.request) > maxIDBytes ||
		len(names.provider) > maxIDBytes || len(names.host) > maxIDBytes {
		// Hostile names never become keys of the cache.
		return b.find(names)
	}
	var buffer [keyLength]byte
	key := names.encode(buffer[:0])
	if found := b.cache.get(key); found != nil {
		return found
	}
	found := b.find(names)
	b.cache.put(key, found)
	return found
}

func (b *Book) find(key matchKey) *match {
	owner := b.hosts.find(key.host)
	if owner == nil {
		owner = b.providerByName(key.provider)
	}
	response, request := cleanID(key.response), cleanID(key.request)
	for _, text := range []string{response, request} {
		if found := b.findAlias(owner, text); found != nil {
			return found
		}
		if found := b.findDeployment(owner, text); found != nil {
			found.otherwise = b.findByID(key, response, request)
			return found
		}
	}
	return b.findByID(key, response, request)
}

// findByID resolves what is no name of the user's own.
func (b *Book) findByID(key matchKey, response, request string) *match {
	byHost, byName := b.hosts.find(key.host), b.providerByName(key.provider)
	owner := byHost
	if owner == nil {
		owner = byName
	}
	text := lowerASCII(response)
	if trimASCII(key.response) == "" {
		text = lowerASCII(request)
	}
	if text == "" {
		return &match{provider: owner, reason: ReasonNoModel}
	}
	certain := byHost != nil || byName != nil && (key.host == "" || byName.kind == kindSelfHosted)
	switch {
	case certain:
		return b.findUnder(owner, text)
	case key.provider == "" && key.host == "":
		return b.findAnywhere(text)
	case key.unpriceUnknownHost:
		return &match{provider: owner, reason: ReasonUnknownModel}
	}
	return b.findMaker(text)
}

// cleanID returns a trimmed id, or nothing where it is longer than any real id.
func cleanID(text string) string {
	text = trimASCII(text)
	if len(text) > maxIDBytes {
		return ""
	}
	return text
}

// findAlias returns the target of a name of the user's own, or nil.
func (b *Book) findAlias(owner *provider, text string) *match {
	if b.aliases == nil || owner == nil || text == "" {
		return nil
	}
	names := b.aliases[owner.key]
	target, ok := names[text]
	if !ok {
		target, ok = names[lowerASCII(text)]
	}
	if !ok {
		return nil
	}
	if target.provider != "" {
		owner = b.providers[target.provider]
	}
	found := b.findUnder(owner, lowerASCII(cleanID(target.model)))
	if found.model != nil {
		found.how, found.fixed = MatchAlias, target.facts.over(found.fixed)
	}
	return found
}

// over returns the facts with those below where they are unset; nil where none is set.
func (s factSet) over(below *factSet) *factSet {
	if below != nil {
		for key, word := range s {
			if word == "" {
				s[key] = below[key]
			}
		}
	}
	if s == (factSet{}) {
		return nil
	}
	return &s
}

// findUnder resolves an id under one provider, step by step; each step works on the text left by the one before.
func (b *Book) findUnder(owner *provider, text string) *match {
	if found := owner.steps(text, true); found != nil {
		return found
	}
	return &match{provider: owner, reason: ReasonUnknownModel}
}

// findMaker resolves an id that was called at an address nobody lists: exactly one maker must sell it.
func (b *Book) findMaker(text string) *match {
	var only *match
	for _, maker := range b.makers {
		found := maker.steps(text, false)
		if found == nil {
			continue
		}
		if only != nil {
			return &match{reason: ReasonAmbiguousModel}
		}
		only = found
	}
	if only == nil {
		return &match{reason: ReasonUnknownModel}
	}
	only.flags = FlagAssumedProvider
	return only
}

// findAnywhere resolves an id without provider and host: it must be exact under one single provider.
func (b *Book) findAnywhere(text string) *match {
	if only := b.anywhere[text]; only != nil {
		return &match{model: only, provider: only.provider, how: MatchExact}
	}
	return &match{reason: ReasonAmbiguousModel}
}

// steps tries an id as it is, then made plainer one step at a time. Its own names, geo prefixes, OpenRouter's :free and
// declared prefixes belong to the provider itself (own).
func (p *provider) steps(text string, own bool) *match {
	if found := p.models[text]; found != nil {
		return &match{model: found, provider: p, how: MatchExact}
	}
	fixed := &factSet{}
	if base, ok := fineTuned(text); ok {
		// Never the base model's own price.
		return p.normalized(base, fixed)
	}
	id, ended := unwrap(p.key, text)
	if ended {
		return nil
	}
	found := p.normalized(id, fixed)
	for range 2 {
		if found == nil {
			id = withoutPrefix(p, id, own)
			found = p.normalized(id, fixed)
		}
	}
	if found == nil {
		id = withoutRegion(p.key, id, fixed)
		found = p.normalized(id, fixed)
	}
	if found == nil && own && p.key == providerOpenRouter && strings.HasSuffix(id, freeSuffix) {
		return freeModel(p, id)
	}
	if found == nil {
		id = withoutContext(p.key, id)
		found = p.normalized(id, fixed)
	}
	if found == nil {
		id = withoutTail(id)
		found = p.normalized(id, fixed)
	}
	if found == nil && own && p.key == providerBedrock {
		id = withoutGeo(id, fixed)
		found = p.normalized(id, fixed)
	}
	if found == nil && own {
		found = p.byPrefix(id, fixed)
	}
	return found
}

func (p *provider) normalized(id string, fixed *factSet) *match {
	found := p.models[id]
	if found == nil {
		return nil
	}
	return &match{model: found, provider: p, how: MatchNormalized, fixed: fixed.over(nil)}
}

// byPrefix returns the model whose declared prefix begins the id; the longest wins.
func (p *provider) byPrefix(id string, fixed *factSet) *match {
	// Prefixes are few; sorted, the last one that fits is the longest.
	for index := len(p.prefixes) - 1; index >= 0; index-- {
		if strings.HasPrefix(id, p.prefixes[index].prefix) {
			return &match{model: p.prefixes[index].model, provider: p, how: MatchPattern, fixed: fixed.over(nil)}
		}
	}
	return nil
}

// freeModel returns an entry of rates 0: OpenRouter bills no tokens and no request for a variant named :free. The id may
// be a view into a message of the caller: the entry keeps a copy.
func freeModel(owner *provider, id string) *match {
	entry := rowEntry{rates: explicitZero()}
	always := baseSpan{from: beginning, until: forever}
	free := &model{provider: owner, id: strings.Clone(id), rows: []row{entry.prepare(always, owner.key+"/"+id, false)}}
	return &match{model: free, provider: owner, how: MatchNormalized}
}
