package tokenomicsprocessor

import "strings"

// keyFilter tells most keys of attributes apart from those that rules name, by first byte and length: every attribute
// of a span that is looked at goes through it.
type keyFilter [1 << 8]uint64

// longKey is the bit of every length that has none of its own.
const longKey = 63

func (f *keyFilter) exact(key string) { f[key[0]] |= 1 << min(len(key), longKey) }

func (f *keyFilter) prefix(prefix string) { f[prefix[0]] |= ^uint64(0) << min(len(prefix), longKey) }

func (f *keyFilter) may(key string) bool {
	return key != "" && f[key[0]]>>min(len(key), longKey)&1 != 0
}

// wildcard stands at the end of a name for whatever follows.
const wildcard = "*"

// cutWildcard returns what stands before a wildcard at the end of a name, and whether there is one.
func cutWildcard(name string) (string, bool) { return strings.CutSuffix(name, wildcard) }
