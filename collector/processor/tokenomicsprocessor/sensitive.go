package tokenomicsprocessor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

var (
	errSensitiveKey   = errors.New(`"sensitive" takes names of attributes; a * may stand at the end`)
	errSensitiveTwice = errors.New(`"sensitive::drop" and "sensitive::hash" exclude each other for one name`)
	errSensitiveOurs  = errors.New(`"sensitive" must leave what costs are counted by`)
	errSensitiveSalt  = errors.New(`"sensitive::salt" must be set beside "sensitive::hash"`)
)

// SensitiveConfig says which attributes go no further: of every span, its events and links, of every log record, of its
// body that is a map, of scopes and resources.
type SensitiveConfig struct {
	// Drop lists names of attributes that are taken off; a * at the end stands for anything.
	Drop []string `mapstructure:"drop"`
	// Hash lists names of attributes whose value a hash takes the place of.
	Hash []string `mapstructure:"hash"`
	// Salt is the secret key of the hashes.
	Salt configopaque.String `mapstructure:"salt"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func (c *SensitiveConfig) validate() error {
	var errs []error
	for _, name := range c.Drop {
		errs = append(errs, sensitiveName("drop", name))
		if slices.Contains(c.Hash, name) {
			errs = append(errs, fmt.Errorf("%w, got %q", errSensitiveTwice, name))
		}
	}
	for _, name := range c.Hash {
		errs = append(errs, sensitiveName("hash", name))
	}
	if len(c.Hash) > 0 && c.Salt == "" {
		errs = append(errs, errSensitiveSalt)
	}
	return errors.Join(errs...)
}

func sensitiveName(list, name string) error {
	prefix, all := cutWildcard(name)
	if prefix == "" || strings.Contains(prefix, wildcard) {
		return fmt.Errorf("%w: \"sensitive::%s\" has %q", errSensitiveKey, list, name)
	}
	for _, key := range keptKeys() {
		if key == name || all && strings.HasPrefix(key, prefix) {
			return fmt.Errorf("%w: \"sensitive::%s\" has %q, which is %q", errSensitiveOurs, list, name, key)
		}
	}
	return nil
}

// keptKeys are what the steps behind count by, and our mark, without which the next one would price anew.
func keptKeys() []string {
	kept := []string{attributes.GenAiResponseId}
	for _, key := range attributes.KnownKeys() {
		if attributes.Own(key) || attributes.Find(key).Settles() {
			kept = append(kept, key)
		}
	}
	return kept
}

// action is what becomes of a sensitive attribute.
type action uint8

const (
	actionKeep action = iota
	actionDrop
	actionHash
)

// sensitive takes off what goes no further. Its rules never change.
type sensitive struct {
	exact map[string]action
	// prefixes stand with the longest first: the closest rule wins.
	prefixes []sensitivePrefix
	filter   keyFilter
	salt     []byte
}

type sensitivePrefix struct {
	prefix string
	action action
}

// newSensitive returns nil where nothing is configured.
func newSensitive(cfg *SensitiveConfig) *sensitive {
	if len(cfg.Drop)+len(cfg.Hash) == 0 {
		return nil
	}
	rules := &sensitive{exact: map[string]action{}, salt: []byte(string(cfg.Salt))}
	for action, names := range map[action][]string{actionDrop: cfg.Drop, actionHash: cfg.Hash} {
		for _, name := range names {
			if prefix, all := cutWildcard(name); all {
				rules.prefixes = append(rules.prefixes, sensitivePrefix{prefix, action})
				rules.filter.prefix(prefix)
				continue
			}
			rules.exact[name] = action
			rules.filter.exact(name)
		}
	}
	slices.SortFunc(rules.prefixes, func(a, b sensitivePrefix) int { return len(b.prefix) - len(a.prefix) })
	return rules
}

func (s *sensitive) of(key string) action {
	if !s.filter.may(key) {
		return actionKeep
	}
	if found, ok := s.exact[key]; ok {
		return found
	}
	for index := range s.prefixes {
		if rule := &s.prefixes[index]; strings.HasPrefix(key, rule.prefix) {
			return rule.action
		}
	}
	return actionKeep
}

// traces takes sensitive attributes off every place of a batch that bears attributes.
func (s *sensitive) traces(traces ptrace.Traces) {
	hasher := s.hasher()
	for _, resource := range traces.ResourceSpans().All() {
		hasher.strip(resource.Resource().Attributes())
		for _, scope := range resource.ScopeSpans().All() {
			hasher.strip(scope.Scope().Attributes())
			for _, span := range scope.Spans().All() {
				hasher.strip(span.Attributes())
				for _, event := range span.Events().All() {
					hasher.strip(event.Attributes())
				}
				for _, link := range span.Links().All() {
					hasher.strip(link.Attributes())
				}
			}
		}
	}
}

// logs does the same for log records, and looks into a body that is a map.
func (s *sensitive) logs(logs plog.Logs) {
	hasher := s.hasher()
	for _, resource := range logs.ResourceLogs().All() {
		hasher.strip(resource.Resource().Attributes())
		for _, scope := range resource.ScopeLogs().All() {
			hasher.strip(scope.Scope().Attributes())
			for _, record := range scope.LogRecords().All() {
				hasher.strip(record.Attributes())
				if body := record.Body(); body.Type() == pcommon.ValueTypeMap {
					hasher.strip(body.Map())
				}
			}
		}
	}
}

// hasher does the work for one batch: a hash is a state that two batches must not share.
type hasher struct {
	rules *sensitive
	mac   hash.Hash
}

func (s *sensitive) hasher() *hasher { return &hasher{s, hmac.New(sha256.New, s.salt)} }

// strip drops and hashes among some attributes.
func (h *hasher) strip(attrs pcommon.Map) {
	drops := false
	for key, value := range attrs.All() {
		switch h.rules.of(key) {
		case actionDrop:
			drops = true
		case actionHash:
			h.hash(value)
		case actionKeep:
		}
	}
	if drops {
		attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return h.rules.of(key) == actionDrop })
	}
}

const (
	// hashPrefix tells a hash from a value, so that a second pass leaves it as it is.
	hashPrefix = "hmac:"
	// hashDigits are as many as those of tokenomics.credential.hash.
	hashDigits = 16
)

// hash puts HMAC-SHA256 in the place of a value, of whatever type: the first 16 hexadecimal digits.
func (h *hasher) hash(value pcommon.Value) {
	text := value.AsString()
	if text == "" || value.Type() == pcommon.ValueTypeStr && hashed(text) {
		return
	}
	h.mac.Reset()
	_, _ = h.mac.Write([]byte(text))
	var sum [sha256.Size]byte
	value.SetStr(hashPrefix + hex.EncodeToString(h.mac.Sum(sum[:0])[:hashDigits/2]))
}

func hashed(text string) bool {
	digits, found := strings.CutPrefix(text, hashPrefix)
	return found && len(digits) == hashDigits && strings.Trim(digits, "0123456789abcdef") == ""
}
