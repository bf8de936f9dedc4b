package tokenomicsconnector

import (
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

const (
	currencyUSD = "USD"
	// other takes the values of a dimension that has no room for another one.
	other = "__other__"
	// mostValues is how many values a business tag, a raw model name and a kind of charge may have.
	mostValues = 100
	// estimated marks the series of spans that stand for others too.
	estimated = "estimated"
	// partTotal is the part of a total that is not to be taken apart, and its place behind the others.
	partTotal  = "total"
	totalIndex = pricing.PartCount
)

// place is where a span or log record comes from, and whose it is.
type place struct {
	service, environment string
	tags                 [mostDimensions]string
}

// group holds the series to which all calls of one kind add: looking them up one by one costs more than adding. Each is
// nil until the first measurement.
type group struct {
	base     []pair
	cost     *series
	requests *series
	unpriced *series
	perCall  *series
	tokens   [pricing.TokenUnitCount]*series
	parts    [pricing.PartCount + 1]*series
}

// key appends what tells the kind of a call from all others.
func (a *aggregate) key(key []byte, from *place, it *attributes.Settled, weighted bool) []byte {
	mark := byte(0)
	if weighted {
		mark = 1
	}
	key = append(key, mark)
	key = identifyText(key, from.service)
	key = identifyText(key, from.environment)
	for index := range a.tagKeys {
		key = identifyText(key, from.tags[index])
	}
	key = identifyText(key, it.Charge)
	key = identifyText(key, it.Provider)
	key = identifyText(key, it.Operation)
	key = identifyText(key, it.Model)
	key = identifyText(key, it.Source)
	key = identifyText(key, it.Basis)
	key = identifyText(key, it.Status)
	key = identifyText(key, it.Reason)
	key = identifyText(key, it.End)
	key = identifyText(key, it.ErrorType)
	if it.Status == pricing.StatusUnpriced {
		key = identifyText(key, it.RawModel)
	}
	return key
}

// newGroup works out the dimensions that all metrics of a kind of call share.
func (a *aggregate) newGroup(from *place, it *attributes.Settled, weighted bool) *group {
	const most = 6 + mostDimensions
	made := &group{base: make([]pair, 0, most)}
	if it.Charge != "" {
		// A charge is no call: it has no provider and no model, as in the SDK.
		made.put(attributes.TokenomicsChargeKind, a.bounded(attributes.TokenomicsChargeKind, it.Charge))
	} else {
		made.put(attributes.GenAiProviderName, it.Provider)
		made.put(attributes.GenAiOperationName, it.Operation)
		made.put(attributes.TokenomicsPriceModel, it.Model)
	}
	made.put(attributes.ServiceName, from.service)
	made.put(attributes.DeploymentEnvironmentName, from.environment)
	for index, key := range a.tagKeys {
		if value := from.tags[index]; value != "" {
			made.put(key, a.bounded(key, value))
		}
	}
	if weighted {
		made.put(attributes.TokenomicsUsageSource, estimated)
	}
	return made
}

func (g *group) put(key, value string) {
	if value != "" {
		g.base = append(g.base, pair{key, keep(value)})
	}
}

// with returns the shared dimensions and more; of a value that is empty nothing.
func (g *group) with(texts ...string) []pair {
	made := make([]pair, len(g.base), len(g.base)+len(texts)/2)
	copy(made, g.base)
	for index := 0; index < len(texts); index += 2 {
		if texts[index+1] != "" {
			made = append(made, pair{texts[index], keep(texts[index+1])})
		}
	}
	return made
}

// record adds one call or charge to its series.
func (a *aggregate) record(g *group, it *attributes.Settled, parts *partAmounts, m *measurement) {
	if hasAmount(it.Status) {
		a.recordCost(g, it, parts, m)
	}
	if it.Charge != "" {
		return
	}
	if g.requests == nil {
		g.requests = a.of(metricRequests, g.with(
			attributes.TokenomicsCostStatus, it.Status, attributes.TokenomicsCostReason, it.Reason,
			attributes.TokenomicsCallEnd, it.End, attributes.ErrorType, it.ErrorType,
		))
	}
	a.add(g.requests, 1, m)
	tokens := int64(0)
	for unit, count := range it.Usage.Counts[:pricing.TokenUnitCount] {
		if count == 0 {
			continue
		}
		tokens += count
		if g.tokens[unit] == nil {
			g.tokens[unit] = a.of(metricTokens, g.with(attributes.TokenomicsTokenClass, pricing.UnitNames[unit]))
		}
		a.add(g.tokens[unit], count, m)
	}
	if tokens == 0 || it.Status != pricing.StatusUnpriced {
		return
	}
	if g.unpriced == nil {
		model := it.RawModel
		if model != "" {
			model = a.bounded(attributes.GenAiRequestModel, model)
		}
		g.unpriced = a.of(metricUnpriced, g.with(
			attributes.TokenomicsCostReason, it.Reason, attributes.GenAiRequestModel, model,
		))
	}
	a.add(g.unpriced, tokens, m)
}

func (a *aggregate) recordCost(g *group, it *attributes.Settled, parts *partAmounts, m *measurement) {
	if !a.byPart {
		if g.cost == nil {
			g.cost = a.costSeries(g, it, "")
		}
		a.add(g.cost, it.Total, m)
	} else if parts.addUpTo(it.Total) {
		for part, amount := range parts {
			if amount > 0 {
				a.recordPart(g, it, part, amount, m)
			}
		}
	} else {
		a.recordPart(g, it, totalIndex, it.Total, m)
	}
	if !a.histogram || it.Charge != "" {
		return
	}
	if g.perCall == nil {
		g.perCall = a.of(metricRequestCost, g.base)
	}
	a.add(g.perCall, it.Total, m)
}

func (a *aggregate) recordPart(g *group, it *attributes.Settled, part int, amount int64, m *measurement) {
	if g.parts[part] == nil {
		name := partTotal
		if part < totalIndex {
			name = pricing.PartNames[part]
		}
		g.parts[part] = a.costSeries(g, it, name)
	}
	a.add(g.parts[part], amount, m)
}

func (a *aggregate) costSeries(g *group, it *attributes.Settled, part string) *series {
	return a.of(metricCost, g.with(
		attributes.TokenomicsCostCurrency, currencyUSD, attributes.TokenomicsCostSource, it.Source,
		attributes.TokenomicsCostBasis, it.Basis, attributes.TokenomicsCostPart, part,
	))
}

// hasAmount says whether a status stands beside an amount.
func hasAmount(status string) bool {
	return status == pricing.StatusPriced || status == pricing.StatusPartial || status == pricing.StatusFree
}

// partAmounts are the parts of one cost in pico-USD, in the order of pricing.PartNames.
type partAmounts [pricing.PartCount]int64

// addUpTo says whether the parts are those of this total: they are left out where the total is a provider's.
func (p *partAmounts) addUpTo(total int64) bool {
	sum := int64(0)
	for _, amount := range p {
		if sum += amount; sum < 0 {
			return false
		}
	}
	return sum == total && total > 0
}
