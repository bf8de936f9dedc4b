// Package rollup knows what the spans of a trace come to together: which of them repeat a charge that another holds.
// It is pure and knows no telemetry library. Its twin is otel_tokenomics/telemetry/one_charge.py.
package rollup
