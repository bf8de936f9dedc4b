package pricing

import (
	"cmp"
	"slices"
	"strings"
)

// hostTable finds a provider by the host that was called: exact names, and suffixes (longest first).
type hostTable struct {
	exact    map[string]*provider
	suffixes []hostSuffix
}

type hostSuffix struct {
	suffix   string
	provider *provider
}

func newHostTable(providers map[string]*provider) hostTable {
	table := hostTable{exact: map[string]*provider{}}
	for _, owner := range providers {
		for _, host := range owner.hosts {
			if suffix, ok := strings.CutPrefix(host, "*"); ok {
				table.suffixes = append(table.suffixes, hostSuffix{suffix, owner})
			} else {
				table.exact[host] = owner
			}
		}
	}
	slices.SortFunc(table.suffixes, func(a, b hostSuffix) int {
		return cmp.Or(cmp.Compare(len(b.suffix), len(a.suffix)), cmp.Compare(a.suffix, b.suffix))
	})
	return table
}

func (t *hostTable) find(host string) *provider {
	name := strings.TrimRight(lowerASCII(host), ".")
	if name == "" {
		return nil
	}
	if owner := t.exact[name]; owner != nil {
		return owner
	}
	for _, entry := range t.suffixes {
		if strings.HasSuffix(name, entry.suffix) {
			return entry.provider
		}
	}
	return nil
}
