//go:generate ../../tools/bin/mdatagen metadata.yaml

// Package tokenomicsprocessor prices the model calls that pass: it reads the tokens that any instrumentation wrote on a
// span, resolves the price in a dated book, and writes the cost beside them.
package tokenomicsprocessor
