package tokenomicsprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

const (
	currencyUSD         = "USD"
	accountingExclusive = "exclusive"

	picoPerMicro = 1_000_000
	// mostWritten is how many attributes a plain priced span gets.
	mostWritten = 12
)

// partKeys are the keys of the parts, in the order of pricing.PartNames.
var partKeys = [pricing.PartCount]string{
	attributes.TokenomicsCostInput, attributes.TokenomicsCostCacheRead, attributes.TokenomicsCostCacheWrite,
	attributes.TokenomicsCostOutput, attributes.TokenomicsCostReasoning, attributes.TokenomicsCostTools,
	attributes.TokenomicsCostRequests,
}

// writer puts results on spans.
type writer struct {
	parts    bool
	dialects []spancost.Dialect
}

func newWriter(cfg *Config) writer {
	return writer{parts: cfg.CostParts, dialects: spancost.NewDialects(cfg.Dialects)}
}

// removeOwn takes our figures of an earlier step off, so that none of them stands beside new ones.
func removeOwn(target pcommon.Map, span *attributes.Span, reading *attributes.Reading, result *pricing.Result) {
	if !span.Ours() {
		return
	}
	// An estimate that was adopted stands under its own library's key, which is not ours to touch.
	if earlier, there := span.Total(); there && !reading.Adopted && (!result.HasTotal || result.Total != earlier) {
		spancost.RemoveRepeats(target, earlier)
	}
	target.RemoveIf(func(key string, _ pcommon.Value) bool { return attributes.Own(key) })
}

func (w *writer) notApplicable(
	target pcommon.Map, span *attributes.Span, reading *attributes.Reading, reason string,
) {
	removeOwn(target, span, reading, &pricing.Result{})
	target.PutStr(attributes.TokenomicsCostStatus, spancost.StatusNotApplicable)
	target.PutStr(attributes.TokenomicsCostReason, reason)
}

// cost writes one result. Everything that it needs was read before: a put may move what a value points to.
func (w *writer) cost(
	target pcommon.Map, span *attributes.Span, reading *attributes.Reading, result *pricing.Result, book string,
) {
	if span.Ours() && zeroWasIgnored(target) && result.Status != pricing.StatusFree {
		// Our figure took the place of that 0: nothing else on the span tells of it any more.
		result.Flags |= pricing.FlagForeignZeroIgnored
	}
	removeOwn(target, span, reading, result)
	target.EnsureCapacity(target.Len() + mostWritten)
	if result.HasTotal {
		// First, so that a span which is priced anew to the same amount keeps the order of its attributes.
		for index := range w.dialects {
			w.dialects[index].Write(target, result, reading)
		}
		w.amounts(target, result)
	}
	target.PutStr(attributes.TokenomicsCostStatus, result.Status)
	putText(target, attributes.TokenomicsCostReason, result.Reason)
	w.provenance(target, reading, result, book)
}

// computed writes what a span would cost if it were a call.
func (w *writer) computed(target pcommon.Map, reading *attributes.Reading, result *pricing.Result, book string) {
	target.EnsureCapacity(target.Len() + mostWritten)
	target.PutDouble(attributes.TokenomicsCostComputed, pricing.ToDouble(result.Total))
	target.PutStr(attributes.TokenomicsCostBasis, result.Basis)
	w.provenance(target, reading, result, book)
}

// provenance writes why an amount is what it is.
func (w *writer) provenance(target pcommon.Map, reading *attributes.Reading, result *pricing.Result, book string) {
	if result.Flags != 0 {
		flags := target.PutEmptySlice(attributes.TokenomicsCostFlags)
		for _, flag := range result.Flags.Strings() {
			flags.AppendEmpty().SetStr(flag)
		}
	}
	target.PutStr(attributes.TokenomicsPriceBook, book)
	putText(target, attributes.TokenomicsPriceSku, result.SKU)
	putText(target, attributes.TokenomicsPriceModel, result.Model)
	putText(target, attributes.TokenomicsPriceMatch, result.Match)
	if reading.Exclusive {
		target.PutStr(attributes.TokenomicsUsageAccounting, accountingExclusive)
	}
}

// adjacent writes what an operation that is no model call costs.
func (w *writer) adjacent(target pcommon.Map, cost *pricing.AdjacentCost, book string) {
	status := pricing.StatusPriced
	if cost.Pico == 0 {
		status = pricing.StatusFree
	}
	target.EnsureCapacity(target.Len() + mostWritten)
	w.amounts(target, &pricing.Result{Total: cost.Pico, Source: attributes.SourceCollector, Basis: pricing.BasisContracted})
	target.PutStr(attributes.TokenomicsCostStatus, status)
	target.PutStr(attributes.TokenomicsPriceBook, book)
	target.PutStr(attributes.TokenomicsChargeKind, cost.Name)
	target.PutDouble(attributes.TokenomicsChargeQuantity, 1)
	target.PutStr(attributes.TokenomicsChargeUnit, cost.Unit)
}

// zeroWasIgnored says whether an earlier step of ours flagged another library's 0.
func zeroWasIgnored(target pcommon.Map) bool {
	flags, ok := target.Get(attributes.TokenomicsCostFlags)
	if !ok || flags.Type() != pcommon.ValueTypeSlice {
		return false
	}
	for _, flag := range flags.Slice().All() {
		if flag.Type() == pcommon.ValueTypeStr && flag.Str() == zeroIgnored {
			return true
		}
	}
	return false
}

var zeroIgnored = pricing.FlagForeignZeroIgnored.Strings()[0]

func (w *writer) amounts(target pcommon.Map, result *pricing.Result) {
	target.PutDouble(attributes.TokenomicsCostTotal, pricing.ToDouble(result.Total))
	target.PutStr(attributes.TokenomicsCostCurrency, currencyUSD)
	target.PutStr(attributes.TokenomicsCostSource, result.Source)
	target.PutStr(attributes.TokenomicsCostBasis, result.Basis)
	putMoney(target, attributes.TokenomicsCostList, result.List, result.HasList)
	putMoney(target, attributes.TokenomicsCostComputed, result.Computed, result.HasComputed)
	if !w.parts {
		return
	}
	for part, amount := range result.Parts {
		putMoney(target, partKeys[part], amount, amount != 0)
	}
	putMoney(target, attributes.TokenomicsCostSavingsCache, result.SavingsCache, result.SavingsCache != 0)
	putMoney(target, attributes.TokenomicsCostSavingsBatch, result.SavingsBatch, result.SavingsBatch != 0)
	target.PutInt(attributes.TokenomicsCostTotalMicros, result.Total/picoPerMicro)
}

func putText(target pcommon.Map, key, text string) {
	if text != "" {
		target.PutStr(key, text)
	}
}

func putMoney(target pcommon.Map, key string, pico int64, there bool) {
	if there {
		target.PutDouble(key, pricing.ToDouble(pico))
	}
}
