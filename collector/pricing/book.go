package pricing

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
)

//go:embed pricebook.json
var embedded []byte

// Book is an immutable price book, with or without an overlay. It is safe for concurrent use; a newer book is
// another value.
type Book struct {
	base, overlay *document
	id            string
	providers     map[string]*provider
	byName        map[string]*provider
	hosts         hostTable
	// makers are the providers of kind first_party in order of their keys.
	makers []*provider
	// anywhere holds the model of an id that exactly one provider has, nil where several have it.
	anywhere map[string]*model
	aliases  map[string]map[string]alias
	models   int
	cache    *lru
}

// model is one model with its rows in the order in which they are tried, overlay rows first.
type model struct {
	provider    *provider
	id          string
	rows        []row
	multipliers []multiplier
	// discounts stand narrowest first.
	discounts []discount
	// asksSearchContext is set where a row asks for search_context_size, which then has a default.
	asksSearchContext bool
}

type prefixEntry struct {
	prefix string
	model  *model
}

var loadEmbedded = sync.OnceValues(func() (*Book, error) { return Parse(embedded, "embedded pricebook.json") })

// Embedded returns the book inside this package. It is read once.
func Embedded() (*Book, error) { return loadEmbedded() }

// Parse returns the book of a JSON text, checked in full. The error is a *BookError.
func Parse(data []byte, origin string) (*Book, error) {
	doc, err := checkBook(data, origin)
	if err != nil {
		return nil, err
	}
	return newBook(doc, nil, doc.id+"@"+doc.version), nil
}

// WithOverlay returns this book with own prices laid over it; an overlay that lies over it already is replaced. The
// error is a *BookError.
func (b *Book) WithOverlay(data []byte, origin string) (*Book, error) {
	return b.WithOverlayOf(data, data, origin)
}

// WithOverlayOf is WithOverlay where the JSON text was made of a file of another form: the id bears the digest of the
// file as written.
func (b *Book) WithOverlayOf(data, written []byte, origin string) (*Book, error) {
	doc, err := checkOverlay(data, origin, b.base)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(bytes.TrimPrefix(written, byteOrderMark))
	return newBook(b.base, doc, b.base.id+"@"+b.base.version+"+"+hex.EncodeToString(digest[:4])), nil
}

// ID returns <id>@<version>, with +<8 hex of its sha256> for an overlay.
func (b *Book) ID() string { return b.id }

// Name returns what the book goes by in every version.
func (b *Book) Name() string { return b.base.id }

// Version returns the version of the book, without the overlay.
func (b *Book) Version() string { return b.base.version }

// GeneratedAtMillis returns when the book was made, in UTC milliseconds since 1970.
func (b *Book) GeneratedAtMillis() int64 { return b.base.generatedAt }

// Len returns how many models the book has.
func (b *Book) Len() int { return b.models }

// ProviderByName returns the key of the provider that goes by a name (trimmed, any case).
func (b *Book) ProviderByName(name string) (string, bool) { return keyOf(b.providerByName(name)) }

func (b *Book) providerByName(name string) *provider {
	return b.byName[lowerASCII(trimASCII(name))]
}

func keyOf(owner *provider) (string, bool) {
	if owner == nil {
		return "", false
	}
	return owner.key, true
}

func newBook(base, overlay *document, id string) *Book {
	book := &Book{
		base: base, overlay: overlay, id: id,
		providers: map[string]*provider{}, byName: map[string]*provider{},
		anywhere: make(map[string]*model, 2*len(base.models)), cache: newLRU(cacheSize),
	}
	described := base.providers
	if overlay != nil {
		described, book.aliases = overlay.providers, overlay.aliases
	}
	for key, described := range described {
		owner := *described
		owner.models, owner.prefixes = map[string]*model{}, nil
		book.providers[key] = &owner
	}
	for key, owner := range book.providers {
		book.byName[key] = owner
		for _, name := range owner.names {
			book.byName[name] = owner
		}
		if owner.kind == kindFirstParty {
			book.makers = append(book.makers, owner)
		}
	}
	slices.SortFunc(book.makers, func(a, b *provider) int { return cmp.Compare(a.key, b.key) })
	book.hosts = newHostTable(book.providers)
	if overlay != nil {
		book.addModels(overlay.models, base.models)
		book.addDeployments(overlay.deployments)
	} else {
		book.addModels(nil, base.models)
	}
	book.addFactors()
	return book
}

// addModels joins an overlay's models with the book's and fills the indexes.
func (b *Book) addModels(own, listed []modelEntry) {
	entries := make(map[*model]*modelEntry, len(listed))
	for index := range listed {
		entries[b.addModel(&listed[index])] = &listed[index]
	}
	for target, entry := range entries {
		target.rows = prepareRows(entry, entry, target.name())
	}
	b.addOwn(own, entries)
	for _, owner := range b.providers {
		// Stable: an overlay's prefix stands behind the same one of the book, and the last that fits is taken.
		slices.SortStableFunc(owner.prefixes, func(a, b prefixEntry) int { return cmp.Compare(a.prefix, b.prefix) })
	}
}

// addOwn lays an overlay's models over the book's. What it says of any id of a model holds for that model.
func (b *Book) addOwn(own []modelEntry, listed map[*model]*modelEntry) {
	said := make(map[*model]*modelEntry, len(own))
	for index := range own {
		entry := &own[index]
		if target := b.addModel(entry); said[target] == nil || entry.id == target.id {
			said[target] = entry
		}
	}
	for index := range own {
		for _, id := range own[index].ids {
			if target := b.providers[own[index].provider].models[id]; said[target] == nil {
				said[target] = &own[index]
			}
		}
	}
	for target, entry := range said {
		target.rows = append(prepareRows(entry, listed[target], target.name()), target.rows...)
	}
}

// name returns <p>/<id>, with which every sku of the model begins.
func (m *model) name() string { return m.provider.key + "/" + m.id }

// addModel returns the model that an entry describes: the one that bears its id already, or a new one.
func (b *Book) addModel(entry *modelEntry) *model {
	owner := b.providers[entry.provider]
	target := owner.models[entry.id]
	if target == nil {
		target = &model{provider: owner, id: entry.id}
		b.models++
	}
	b.index(owner, entry.id, target)
	for _, id := range entry.ids {
		if owner.models[id] == nil {
			b.index(owner, id, target)
		}
	}
	for _, prefix := range entry.prefixes {
		owner.prefixes = append(owner.prefixes, prefixEntry{prefix, target})
	}
	return target
}

func (b *Book) index(owner *provider, id string, target *model) {
	owner.models[id] = target
	if other, taken := b.anywhere[id]; taken && other != target {
		b.anywhere[id] = nil
		return
	}
	b.anywhere[id] = target
}

// addFactors gives every model the multipliers and discounts that can concern it.
func (b *Book) addFactors() {
	multipliers := b.base.multipliers
	var discounts []discount
	if b.overlay != nil {
		multipliers = append(slices.Clone(multipliers), b.overlay.multipliers...)
		discounts = b.overlay.discounts
	}
	for _, owner := range b.providers {
		for id, target := range owner.models {
			if id == target.id {
				target.addFactors(multipliers, discounts)
			}
		}
	}
}

func (m *model) addFactors(multipliers []multiplier, discounts []discount) {
	for index := range multipliers {
		rule := &multipliers[index]
		if rule.provider == m.provider.key && (rule.ids == nil || slices.Contains(rule.ids, m.id)) {
			m.multipliers = append(m.multipliers, *rule)
		}
	}
	for index := range discounts {
		if discounts[index].provider == m.provider.key && discounts[index].narrowness(m.id) >= 0 {
			m.discounts = append(m.discounts, discounts[index])
		}
	}
	slices.SortStableFunc(m.discounts, func(a, b discount) int {
		return cmp.Compare(b.narrowness(m.id), a.narrowness(m.id))
	})
	for index := range m.rows {
		m.asksSearchContext = m.asksSearchContext || m.rows[index].asks>>factSearchContextSize&1 != 0
	}
}

// exactMatch is narrower than any prefix: ids are at most maxIDBytes long.
const exactMatch = maxIDBytes + 1

// narrowness returns how narrow the rule is for a model, -1 where it does not match: id, then the longest prefix.
func (d *discount) narrowness(id string) int {
	if d.match == id {
		return exactMatch
	}
	if prefix, ok := strings.CutSuffix(d.match, "*"); ok && strings.HasPrefix(id, prefix) {
		return len(prefix)
	}
	return -1
}
