package tokenomicsprocessor

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// Limits of business tags, the same as in the SDK: what is not allowed there does not come in here.
const (
	maxTags          = 16
	maxTagCodePoints = 200
)

// tag is a business tag that a resource states for all calls of its service.
type tag struct{ key, value string }

// resourceTags returns the tags of a resource, sorted by key.
func resourceTags(resource pcommon.Map) []tag {
	var tags []tag
	for key, value := range resource.All() {
		name, ours := strings.CutPrefix(key, attributes.TokenomicsTagPrefix)
		if ours && validTag(name) && value.Type() == pcommon.ValueTypeStr && value.Str() != "" {
			tags = append(tags, tag{key, cutTag(value.Str())})
		}
	}
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.key, b.key) })
	return tags[:min(len(tags), maxTags)]
}

// validTag accepts [a-z][a-z0-9_]*: a key is a column of somebody's table.
func validTag(name string) bool {
	for index := range len(name) {
		switch c := name[index]; {
		case c >= 'a' && c <= 'z':
		case index > 0 && (c >= '0' && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return name != ""
}

func cutTag(value string) string {
	count := 0
	for index := range value {
		if count == maxTagCodePoints {
			return value[:index]
		}
		count++
	}
	return value
}

// putTags adds what the span does not say by itself: the nearest word wins.
func putTags(target pcommon.Map, tags []tag) {
	for _, entry := range tags {
		if _, stated := target.Get(entry.key); !stated {
			target.PutStr(entry.key, entry.value)
		}
	}
}
