package tokenomicsprocessor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

var (
	errTagName     = errors.New(`"tags" names a tag that is not of the form [a-z][a-z0-9_]*`)
	errTagSource   = errors.New(`"tags::map" must list attributes for each tag`)
	errTagWildcard = errors.New(`"tags::map" takes sources that end in .* for "*", and for no other tag`)
	errTagOurs     = errors.New(`"tags::map" must not read what this processor writes`)
	errTagDefault  = errors.New(`"tags::defaults" must give each tag a text of at most 200 characters`)
	errTagBoth     = errors.New(`"tags::required" and "tags::defaults" exclude each other for one tag`)
	errTagPolicies = errors.New(`"tags::required" and "tags::defaults" may name 16 tags`)
)

// TagsConfig says which attributes become business tags, and which tags a charge must bear.
type TagsConfig struct {
	// Map lists for each tag the attributes that it is taken from, the first that is there: of the span, else of its
	// resource; "resource:" in front of a name looks at the resource alone. Sources of "*" end in ".*": each attribute
	// under them becomes the tag that the rest of its name says.
	Map map[string][]string `mapstructure:"map"`
	// Required lists tags without which a charge is marked.
	Required []string `mapstructure:"required"`
	// Defaults gives a charge without a tag a value.
	Defaults map[string]string `mapstructure:"defaults"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// resourceSource stands before the name of an attribute that only the resource may state.
const resourceSource = "resource:"

func (c *TagsConfig) validate() error {
	var errs []error
	written := c.written()
	for _, name := range slices.Sorted(maps.Keys(c.Map)) {
		if name != wildcard {
			errs = append(errs, tagName("map", name))
		}
		if len(c.Map[name]) == 0 {
			errs = append(errs, fmt.Errorf("%w, %q has none", errTagSource, name))
		}
		for _, source := range c.Map[name] {
			errs = append(errs, tagSourceOf(name, source, written))
		}
	}
	for _, name := range c.Required {
		errs = append(errs, tagName("required", name))
		if _, given := c.Defaults[name]; given {
			errs = append(errs, fmt.Errorf("%w, got %q", errTagBoth, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Defaults)) {
		errs = append(errs, tagName("defaults", name))
		if text := c.Defaults[name]; text == "" || !utf8.ValidString(text) || cutTag(text) != text {
			errs = append(errs, fmt.Errorf("%w, %q has none", errTagDefault, name))
		}
	}
	if count := len(c.Required) + len(c.Defaults); count > maxTags {
		errs = append(errs, fmt.Errorf("%w, got %d", errTagPolicies, count))
	}
	return errors.Join(errs...)
}

func tagName(key, name string) error {
	if validTag(name) {
		return nil
	}
	return fmt.Errorf("%w: \"tags::%s\" has %q", errTagName, key, name)
}

func tagSourceOf(name, source string, written []string) error {
	bare := strings.TrimPrefix(source, resourceSource)
	prefix, all := cutWildcard(bare)
	switch {
	case bare == "":
		return fmt.Errorf("%w, %q has an empty one", errTagSource, name)
	case all != (name == wildcard), all && (len(prefix) < 2 || !strings.HasSuffix(prefix, ".")), strings.Contains(prefix, wildcard):
		return fmt.Errorf("%w, %q has %q", errTagWildcard, name, source)
	case strings.HasPrefix(bare, ownPrefix):
		return fmt.Errorf("%w, %q has %q", errTagOurs, name, source)
	}
	for _, key := range written {
		if rest, under := strings.CutPrefix(key, prefix); key == bare || all && under && validTag(rest) {
			return fmt.Errorf("%w, %q has %q, which is %q", errTagOurs, name, source, key)
		}
	}
	return nil
}

// ownPrefix begins every name of ours.
var ownPrefix = strings.TrimSuffix(attributes.TokenomicsTagPrefix, "tag.")

// written are the other names that may be written. A rule that reads one would find, on a second pass, what the first
// one wrote.
func (c *TagsConfig) written() []string {
	var keys []string
	for _, entries := range attributes.Dialects {
		for _, entry := range entries {
			keys = append(keys, entry.Key)
		}
	}
	for name, key := range standardTags {
		_, mapped := c.Map[name]
		if _, given := c.Defaults[name]; mapped || given {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
