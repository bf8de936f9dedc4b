// Package rollup knows what the spans of a trace come to together: which of them repeat a charge that another holds, and
// what each span and all below it cost. It is pure and knows no telemetry library. Its twins are
// otel_tokenomics/telemetry/one_charge.py and, for totals, rollup.py beside it.
package rollup
