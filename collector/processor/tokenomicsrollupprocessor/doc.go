//go:generate ../../tools/bin/mdatagen metadata.yaml

// Package tokenomicsrollupprocessor tells each trace what it cost: it holds the spans of a trace until it is whole, and
// writes on every span what it and all below it came to, and on the root the totals of the trace.
package tokenomicsrollupprocessor
