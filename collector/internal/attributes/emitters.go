package attributes

import (
	"strconv"
	"strings"
)

// accounting says whether a reported input count holds the cached tokens.
type accounting uint8

const (
	undecided accounting = iota
	inclusive
	exclusive
)

// OwnScope is the instrumentation scope of our SDK. What it writes is inclusive, whatever mark the span bears.
const OwnScope = "otel_tokenomics"

// emitter is what is known of one instrumentation: how it counts input, by default and for the two providers whose own
// APIs report input without the cache, and whether it reports reasoning outside output. It was found in the source of
// the releases named beside it and by running them.
type emitter struct {
	// prefix of the scope's name; a trailing dot keeps it from matching a longer word.
	prefix                      string
	general, anthropic, bedrock accounting
	reasoningOutside            bool
	// since is the first major.minor version for which the row is known to hold; older ones are undecided.
	sinceMajor, sinceMinor int
	// spelling is the one key of the input for which the row holds, where an emitter writes another that counts otherwise.
	spelling string
	// toolsOutside: what came from tools was given to the model beside the input, and is billed like it.
	toolsOutside bool
	// makers are whom a coding agent calls where it says nothing else.
	makers []implied
}

// implied is the maker of the models whose names begin with models.
type implied struct{ models, maker string }

// emitters stand in the order in which they are tried.
var emitters = []emitter{
	{prefix: OwnScope, general: inclusive, anthropic: inclusive, bedrock: inclusive},
	// Official OpenTelemetry GenAI packages, 1.3b0: Bedrock's inputTokens are passed on raw.
	{prefix: "opentelemetry.instrumentation.genai.", general: inclusive, anthropic: inclusive, bedrock: exclusive},
	{prefix: "opentelemetry.instrumentation.google_genai", general: inclusive, anthropic: inclusive, bedrock: exclusive},
	// OpenLLMetry 0.62: the same scope pattern for every library.
	{prefix: "opentelemetry.instrumentation.", general: inclusive, anthropic: inclusive, bedrock: exclusive},
	// OpenInference: Anthropic from 3.1 on; Bedrock differs between releases and in streams, so its total must tell.
	{prefix: "openinference.instrumentation.anthropic", general: inclusive, anthropic: inclusive, sinceMajor: 3, sinceMinor: 1},
	{prefix: "openinference.", general: inclusive},
	// OpenLIT 1.45.
	{prefix: "openlit.", general: inclusive, anthropic: exclusive},
	{prefix: "openlit", general: inclusive, anthropic: exclusive},
	// LiteLLM 1.109, pydantic-ai 2.68 and logfire add the cache back for every provider.
	{prefix: "litellm", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "pydantic-ai", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "logfire", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "opencode", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	// The plugin opencode-plugin-otel passes on the disjoint counts that opencode keeps.
	{
		prefix: "com.opencode", general: exclusive, anthropic: exclusive, bedrock: exclusive, reasoningOutside: true,
		spelling: "input_tokens",
	},
	{prefix: "langfuse-sdk", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "github.copilot", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "copilot-chat", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "codex", general: inclusive, makers: []implied{{"gpt-", "openai"}, {"codex-", "openai"}}},
	// Nobody says whether input holds the cache; Cursor's own metric has the four kinds side by side.
	{
		prefix: "cursor.telemetry", general: exclusive, anthropic: exclusive, bedrock: exclusive,
		makers: []implied{{"claude-", "anthropic"}, {"gpt-", "openai"}, {"gemini-", "gcp.gemini"}, {"grok-", "x_ai"}},
	},
	{prefix: "mistralai_sdk_tracer", general: inclusive},
	// Claude Code before the Anthropic SDK's own tracing: both begin with com.anthropic. Its own key leaves the cache
	// out; 2.1.332 also writes the standard one, which holds it.
	{
		prefix: "com.anthropic.claude_code", general: exclusive, anthropic: exclusive, bedrock: exclusive,
		spelling: "input_tokens", makers: []implied{{"claude-", "anthropic"}},
	},
	{prefix: "com.anthropic.sdk.python", general: inclusive, anthropic: inclusive, bedrock: inclusive},
	{prefix: "gemini_cli", general: inclusive, reasoningOutside: true, toolsOutside: true, makers: []implied{{"gemini-", "gcp.gemini"}}},
	{prefix: "gemini-cli", general: inclusive, reasoningOutside: true, toolsOutside: true, makers: []implied{{"gemini-", "gcp.gemini"}}},
}

// maker groups provider names by the API whose way of counting they pass on.
type maker uint8

const (
	makerOther maker = iota
	makerAnthropic
	makerBedrock
)

func makerOf(provider string) maker {
	switch {
	case strings.Contains(provider, "bedrock"), provider == "aws":
		return makerBedrock
	case strings.HasPrefix(provider, "anthropic"):
		return makerAnthropic
	default:
		return makerOther
	}
}

// emitterOf returns what is known of a scope, or nothing.
func emitterOf(scope Scope) *emitter {
	for index := range emitters {
		if known := &emitters[index]; strings.HasPrefix(scope.Name, known.prefix) {
			if known.sinceMajor > 0 && !atLeast(scope.Version, known.sinceMajor, known.sinceMinor) {
				return nil
			}
			return known
		}
	}
	return nil
}

// implied returns who is called for a model, where neither provider nor address is named; a cloud's own id tells more.
func (e *emitter) implied(model string) string {
	if e == nil || strings.Contains(model, "@") {
		return ""
	}
	for _, known := range e.makers {
		if strings.HasPrefix(model, known.models) {
			return known.maker
		}
	}
	return ""
}

// holds says whether the row is about the key under which a span's input was read.
func (e *emitter) holds(s *Span) bool {
	return e.spelling == "" || (s.has(slotInput) && ReadAsInput[s.ranks[slotInput]] == e.spelling)
}

func (e *emitter) counts(who maker) accounting {
	switch who {
	case makerAnthropic:
		return e.anthropic
	case makerBedrock:
		return e.bedrock
	case makerOther:
	}
	return e.general
}

// atLeast compares the first two numbers of a version; one that cannot be read is not at least anything.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	have, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	if have != major {
		return have > major
	}
	haveMinor, err := strconv.Atoi(second)
	return err == nil && haveMinor >= minor
}

// vercelCounts reads the Vercel AI SDK: from version 6 on (known by its detail keys) input is inclusive; version 5 and
// before (known by ai.operationId without them) pass on what the provider reports.
func vercelCounts(s *Span, who maker) accounting {
	if s.vercelDetail || !s.has(slotVercelOperation) || who == makerOther {
		return inclusive
	}
	return exclusive
}
