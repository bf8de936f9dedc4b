// Package pricing turns the usage of one model call into money: a pure function of
// (book, provider, model, usage, facts, instant).
//
// Nothing impure may enter: no clock, no network, no pdata, nothing but the standard library. It is the twin of the
// Python room otel_tokenomics/pricing; tests/vectors hold the two equal to the last pico-dollar.
//
// Money is int64 pico-USD (1e-12 USD). A price that is not known is StatusUnpriced, never 0.
package pricing
