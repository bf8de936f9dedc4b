package pricing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// EndpointTable says who bills at an address (settings endpoints and billed_elsewhere). It is immutable.
type EndpointTable struct{ rules []endpoint }

type endpoint struct {
	host string
	// port is -1 where every port is meant.
	port     int
	segments []string
	provider string
}

const maxPort = 65535

// ParseEndpoints reads rules of the form host[:port][/path]=provider; the provider may be left out (billed_elsewhere).
// In a path "*" stands for one segment. The error quotes the entry that is no rule.
func ParseEndpoints(entries []string) (*EndpointTable, error) {
	table := &EndpointTable{rules: make([]endpoint, 0, len(entries))}
	for _, entry := range entries {
		rule, err := parseEndpoint(entry)
		if err != nil {
			return nil, err
		}
		table.rules = append(table.rules, rule)
	}
	// The longest prefix wins, then a rule that names the port; entries that are equal in both keep their order.
	slices.SortStableFunc(table.rules, func(a, b endpoint) int {
		return cmp.Or(cmp.Compare(len(b.segments), len(a.segments)), cmp.Compare(anyPort(a), anyPort(b)))
	})
	return table, nil
}

func anyPort(rule endpoint) int {
	if rule.port < 0 {
		return 1
	}
	return 0
}

func parseEndpoint(entry string) (endpoint, error) {
	bad := fmt.Errorf("endpoint %q is not of the form host[:port][/path]=provider", shorten(entry))
	address, provider, _ := strings.Cut(entry, "=")
	address = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(address), "https://"), "http://")
	place, path, _ := strings.Cut(address, "/")
	rule := endpoint{host: place, port: -1, segments: pathSegments(path), provider: lowerASCII(strings.TrimSpace(provider))}
	if colon := strings.LastIndexByte(place, ':'); colon >= 0 && !strings.HasSuffix(place, "]") {
		port, err := strconv.Atoi(place[colon+1:])
		if err != nil || port < 0 || port > maxPort {
			return rule, bad
		}
		rule.host, rule.port = place[:colon], port
	}
	rule.host = lowerASCII(strings.Trim(rule.host, "[]"))
	if rule.host == "" {
		return rule, bad
	}
	return rule, nil
}

func pathSegments(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "" })
}

// Lookup returns the provider of the longest rule that is a prefix of the address, by whole path segments. A rule
// without a provider answers "" and true. Port 0 means that the port is not known.
func (t *EndpointTable) Lookup(host string, port int, path string) (provider string, ok bool) {
	if t == nil || len(t.rules) == 0 || host == "" {
		return "", false
	}
	name, segments := lowerASCII(strings.Trim(host, "[]")), pathSegments(path)
	for index := range t.rules {
		rule := &t.rules[index]
		if rule.host == name && (rule.port < 0 || rule.port == port) && rule.begins(segments) {
			return rule.provider, true
		}
	}
	return "", false
}

func (e *endpoint) begins(segments []string) bool {
	if len(e.segments) > len(segments) {
		return false
	}
	for index, ours := range e.segments {
		if ours != "*" && ours != segments[index] {
			return false
		}
	}
	return true
}
