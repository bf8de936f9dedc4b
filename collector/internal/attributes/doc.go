// Package attributes holds every name that the collector components write or read, and the reader that turns the
// attributes of any emitter's span into the usage, facts and stated cost of one model call.
//
// It knows no pdata: a caller hands it keys and values one by one, so every rule in it can be tested and fuzzed with the
// standard library alone. Prompts and completions are never looked at: a key that no rule names is skipped by its name.
package attributes
