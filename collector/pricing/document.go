package pricing

// What a book or an overlay says, checked, in its own order. A Book is built from one document, or from a book's
// document with an overlay's laid over it.

type document struct {
	id, version string
	generatedAt int64
	// generated is generatedAt as written.
	generated   any
	calendars   map[string]*calendar
	providers   map[string]*provider
	models      []modelEntry
	multipliers []multiplier
	// accepted holds the <p>/<id> whose rates may move more than tenfold.
	accepted map[string]struct{}
	// Only in an overlay:
	discounts   []discount
	aliases     map[string]map[string]alias
	adjacent    []AdjacentCost
	deployments []deployment
}

type modelEntry struct {
	provider, id string
	ids          []string
	prefixes     []string
	rows         []rowEntry
	path         string
}

type rowEntry struct {
	from, until  int64
	when         []condition
	calendar     *calendar
	calendarName string
	rates        rateSet
	tiers        []tierEntry
	tiersStated  bool
	basis        string
	// capacity is the kind of a capacity's row, hourly or gpu; empty for every other row.
	capacity string
}

type tierEntry struct {
	gt    int64
	rates rateSet
}

// multiplier is an exact factor on named units of named models under conditions.
type multiplier struct {
	provider string
	// ids is nil where every model of the provider is meant.
	ids   []string
	when  []condition
	ratio ratio
	units unitSet
}

// discount is a ratio on the book's rates of one provider; the narrowest match wins per unit.
type discount struct {
	provider, match string
	ratio           ratio
	from, until     int64
	units           unitSet
	// accounts is nil where every account is meant.
	accounts []string
}

// alias is a name of the user's own for a model; it may fix facts.
type alias struct {
	provider, model string
	facts           factSet
}

// provider is what a book knows of a biller beside its models.
type provider struct {
	key, kind   string
	names       []string
	hosts       []string
	neutral     []string
	tierAliases map[string]string
	models      map[string]*model
	prefixes    []prefixEntry
	// deployments are the models that a capacity names.
	deployments map[string]*model
}

const (
	kindFirstParty = "first_party"
	kindSelfHosted = "self_hosted"
)
