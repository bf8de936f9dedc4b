package attributes

import "strings"

// Role is what a span is for money.
type Role uint8

// The roles. A call is a leaf model operation and the only thing that is priced; a container repeats the usage of the
// calls below it; an adjunct (retrieval, fetching a stored response, creations) is a container where it bears usage and
// nothing at all where it does not.
const (
	RoleOther Role = iota
	RoleCall
	RoleContainer
	RoleAdjunct
)

// Operations of model calls, as gen_ai.operation.name has them.
const (
	opChat       = "chat"
	opText       = "text_completion"
	opGenerate   = "generate_content"
	opEmbeddings = "embeddings"
	opRerank     = "rerank"
)

// kindTable maps the words of one emitter's own kind to a role and, for calls, to an operation.
type kindTable map[string]kindEntry

type kindEntry struct {
	role      Role
	operation string
}

// https://github.com/open-telemetry/semantic-conventions-genai, gen_ai.operation.name.
var operationKinds = kindTable{
	opChat: {RoleCall, opChat}, opText: {RoleCall, opText}, opGenerate: {RoleCall, opGenerate},
	opEmbeddings: {RoleCall, opEmbeddings}, opRerank: {RoleCall, opRerank},
	"invoke_agent": {RoleContainer, ""}, "invoke_workflow": {RoleContainer, ""}, "execute_tool": {RoleContainer, ""},
	"plan": {RoleContainer, ""}, "agent_step": {RoleContainer, ""}, "search_memory": {RoleContainer, ""},
	"create_memory": {RoleContainer, ""}, "update_memory": {RoleContainer, ""}, "upsert_memory": {RoleContainer, ""},
	"delete_memory": {RoleContainer, ""}, "create_memory_store": {RoleContainer, ""},
	"delete_memory_store": {RoleContainer, ""},
	"retrieval":           {RoleAdjunct, ""}, "fetch_response": {RoleAdjunct, ""}, "create_agent": {RoleAdjunct, ""},
}

// https://github.com/Arize-ai/openinference, spec/semantic_conventions.md: a PROMPT is a template, not a call.
var openInferenceKinds = kindTable{
	"llm": {RoleCall, opChat}, "embedding": {RoleCall, opEmbeddings}, "reranker": {RoleCall, opRerank},
	"prompt": {RoleContainer, ""}, "chain": {RoleContainer, ""}, "agent": {RoleContainer, ""},
	"tool": {RoleContainer, ""}, "retriever": {RoleContainer, ""}, "guardrail": {RoleContainer, ""},
	"evaluator": {RoleContainer, ""},
}

// https://github.com/traceloop/openllmetry, opentelemetry-semantic-conventions-ai.
var traceloopKinds = kindTable{
	"workflow": {RoleContainer, ""}, "task": {RoleContainer, ""}, "agent": {RoleContainer, ""},
	"tool": {RoleContainer, ""},
}

var requestTypes = kindTable{
	"chat": {RoleCall, opChat}, "completion": {RoleCall, opText}, "embedding": {RoleCall, opEmbeddings},
	"embeddings": {RoleCall, opEmbeddings}, "rerank": {RoleCall, opRerank},
}

// Sentry marks the spans that carry sums of others; its ai_client says no more than the operation does.
var operationTypes = kindTable{
	"agent": {RoleContainer, ""}, "tool": {RoleContainer, ""}, "handoff": {RoleContainer, ""},
}

var spanTypes = kindTable{
	"llm": {RoleCall, opChat}, "embedding": {RoleCall, opEmbeddings}, "agent": {RoleContainer, ""},
	"workflow": {RoleContainer, ""}, "task": {RoleContainer, ""}, "tool": {RoleContainer, ""},
	"retrieval": {RoleContainer, ""},
}

var langfuseTypes = kindTable{
	"generation": {RoleCall, opChat}, "embedding": {RoleCall, opEmbeddings}, "agent": {RoleContainer, ""},
	"tool": {RoleContainer, ""}, "chain": {RoleContainer, ""}, "retriever": {RoleContainer, ""},
	"evaluator": {RoleContainer, ""}, "guardrail": {RoleContainer, ""}, "span": {RoleAdjunct, ""},
	"event": {RoleAdjunct, ""},
}

// role decides what a span is. The emitter's own kind comes first: a normaliser's gen_ai.operation.name is coarser and
// would make a prompt template billable and a rerank a container.
func (s *Span) role() kindEntry {
	if entry, ok := s.kindOf(slotOpenInferenceKind, openInferenceKinds); ok {
		return refined(entry, s)
	}
	if entry, ok := s.kindOf(slotTraceloopKind, traceloopKinds); ok {
		return entry
	}
	if entry, ok := s.kindOf(slotRequestType, requestTypes); ok {
		return entry
	}
	if entry, ok := s.kindOf(slotOperationType, operationTypes); ok {
		return entry
	}
	if entry, ok := s.kindOf(slotOperation, operationKinds); ok {
		return entry
	}
	if s.has(slotVercelOperation) {
		return vercelKind(s.text(slotVercelOperation))
	}
	if entry, ok := s.kindOf(slotSpanType, spanTypes); ok && s.modelled() {
		return entry
	}
	if entry, ok := s.kindOf(slotLangfuseType, langfuseTypes); ok {
		return entry
	}
	// What a coding agent counts is a call, whether or not it says of which model.
	if s.counted() && (s.modelled() || s.agent != nil) || s.event != nil {
		return kindEntry{RoleCall, opChat}
	}
	return kindEntry{}
}

// refined keeps the operation that the standard key names where both keys say that the span is a call.
func refined(entry kindEntry, s *Span) kindEntry {
	if standard, ok := s.kindOf(slotOperation, operationKinds); ok && entry.operation == opChat && standard.role == RoleCall {
		return standard
	}
	return entry
}

// maxKindBytes is longer than any kind; what is longer is none of ours and not worth lowering.
const maxKindBytes = 32

func (s *Span) kindOf(place slot, table kindTable) (kindEntry, bool) {
	word := s.text(place)
	if word == "" || len(word) > maxKindBytes {
		return kindEntry{}, false
	}
	if entry, ok := table[word]; ok {
		return entry, true
	}
	entry, ok := table[strings.ToLower(strings.TrimSpace(word))]
	return entry, ok
}

// vercelKind reads ai.operationId: the inner doGenerate, doStream and doEmbed are the calls, the outer spans repeat
// their usage.
func vercelKind(operation string) kindEntry {
	switch {
	case strings.HasSuffix(operation, ".doGenerate"), strings.HasSuffix(operation, ".doStream"):
		return kindEntry{RoleCall, opChat}
	case strings.HasSuffix(operation, ".doEmbed"):
		return kindEntry{RoleCall, opEmbeddings}
	case strings.HasSuffix(operation, ".doRerank"):
		return kindEntry{RoleCall, opRerank}
	default:
		return kindEntry{RoleContainer, ""}
	}
}

func (s *Span) modelled() bool { return s.has(slotResponseModel) || s.has(slotRequestModel) }

func (s *Span) counted() bool { return s.has(slotInput) || s.has(slotOutput) }
