package attributes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Signal is the signal on which a coding agent's calls are charged: it tells of each call on several of them.
type Signal uint8

// The signals. Where nothing was chosen each is charged.
const (
	signalUnchosen Signal = iota
	SignalLogs
	SignalSpans
)

var signalNames = map[string]Signal{"logs": SignalLogs, "spans": SignalSpans}

// Agent is a coding agent that exports telemetry of its own. How it counts stands with its scope among the emitters.
type Agent struct {
	name string
	// scopes are the beginnings of the names of its instrumentation scopes, that of its log events first.
	scopes []string
	// vercelService is the service whose spans come out of the Vercel AI SDK.
	vercelService string
	// signal is the one that is charged unless the settings say otherwise.
	signal Signal
	// refused is why there is no choice.
	refused string
	events  []Event

	index   int
	emitter *emitter
}

// Event is a log event of a coding agent that tells of one call of a model.
type Event struct {
	// name is unmistakable; short, of an event or of a body, means it within the agent's own scopes alone.
	name, short string
	// kind is the attribute event.kind of the one event of a stream that tells of the call: it counts, or it failed.
	kind string
	// failed: the call did. cacheless: the event does not say what the cache held.
	failed, cacheless bool

	agent *Agent
}

const agentCount = 6

// agents in the order of their names. What each sends is told by its own documentation or source:
//   - https://code.claude.com/docs/en/monitoring-usage
//   - https://github.com/openai/codex, codex-rs/otel/src/events/session_telemetry.rs
//   - https://github.com/microsoft/vscode, extensions/copilot/src/platform/otel/common/genAiEvents.ts
//   - https://cursor.com/docs/enterprise/opentelemetry-export/wire
//   - https://github.com/google-gemini/gemini-cli, packages/core/src/telemetry/types.ts
//   - https://github.com/DEVtheOPS/opencode-plugin-otel, src/handlers/message.ts
var agents = [agentCount]Agent{
	{
		name: "claude_code", scopes: []string{"com.anthropic.claude_code"}, signal: SignalLogs,
		events: []Event{
			{name: "claude_code.api_request", short: "api_request"},
			{name: "claude_code.api_error", short: "api_error", failed: true},
		},
	},
	{
		name: "codex", scopes: []string{"codex"}, signal: SignalLogs,
		events: []Event{{name: "codex.sse_event", kind: "response.completed"}},
	},
	{
		// Its events have the standard's name, which is everybody's, and no counts of the cache.
		name: "copilot", scopes: []string{"copilot-chat", "github.copilot"}, signal: SignalSpans,
		events: []Event{{short: "gen_ai.client.inference.operation.details", cacheless: true}},
	},
	{
		name: "cursor", scopes: []string{"cursor.telemetry"}, signal: SignalLogs, refused: "exports no spans",
		events: []Event{
			{name: "cursor.api.request", short: "api_request"},
			{name: "cursor.api.error", short: "api_error", failed: true},
		},
	},
	{
		name: "gemini_cli", scopes: []string{"gemini-cli", "gemini_cli"}, signal: SignalLogs,
		events: []Event{{name: "gemini_cli.api_response"}, {name: "gemini_cli.api_error", failed: true}},
	},
	{
		name: "opencode", scopes: []string{"com.opencode", "opencode"}, vercelService: "opencode", signal: SignalSpans,
		events: []Event{{short: "api_request"}, {short: "api_error", failed: true}},
	},
}

// longestEvent is above the length of any name.
const longestEvent = 64

// events holds the unmistakable names by their length, which rules most others out before any is compared.
var events = linkAgents()

func linkAgents() (byLength [longestEvent][]*Event) {
	for index := range agents {
		agent := &agents[index]
		agent.index, agent.emitter = index, emitterOf(Scope{Name: agent.scopes[0]})
		for place := range agent.events {
			event := &agent.events[place]
			event.agent = agent
			if event.name != "" {
				byLength[len(event.name)] = append(byLength[len(event.name)], event)
			}
		}
	}
	return byLength
}

// AgentOf returns the coding agent that speaks in a scope, nil for anybody else.
func AgentOf(scope Scope) *Agent {
	for index := range agents {
		agent := &agents[index]
		for _, prefix := range agent.scopes {
			if strings.HasPrefix(scope.Name, prefix) {
				return agent
			}
		}
		if agent.vercelService != "" && agent.vercelService == scope.Service && vercelScope(scope.Name) {
			return agent
		}
	}
	return nil
}

func vercelScope(name string) bool { return name == "ai" || name == "@ai-sdk/otel" }

// Event returns the call that a log record of this name tells of, nil where it tells of none. A record that lost its
// scope on the way, or came in a foreign one, has no agent and is known by an unmistakable name.
func (a *Agent) Event(name string) *Event {
	if name == "" || len(name) >= longestEvent {
		return nil
	}
	if a != nil {
		for index := range a.events {
			if event := &a.events[index]; event.short == name {
				return event
			}
		}
	}
	for _, event := range events[len(name)] {
		if event.name == name {
			return event
		}
	}
	return nil
}

// Begin says that what is observed next is a log record that tells of a call. It stands in the place of Enter.
func (s *Span) Begin(event *Event) {
	s.Reset()
	s.event, s.agent, s.emitter = event, event.agent, event.agent.emitter
	s.own, s.vercel = false, false
	s.Failed = event.failed
}

// tells says whether the observed record is the one of its stream that tells of the call.
func (s *Span) tells() bool {
	if s.event.kind == "" {
		return true
	}
	if s.text(slotAgentEventKind) != s.event.kind {
		return false
	}
	s.Failed = !s.counted()
	return s.counted() || s.has(slotAgentError)
}

// Agents is the setting agents: the signal that is charged, for each coding agent.
type Agents [agentCount]Signal

func (a *Agents) charge(agent *Agent, log bool) bool {
	switch a[agent.index] {
	case SignalLogs:
		return log
	case SignalSpans:
		return !log
	case signalUnchosen:
	}
	return true
}

var (
	errNoAgent  = errors.New("no coding agent of that name")
	errNoSignal = errors.New("must be logs or spans")
	errNoChoice = errors.New("has no other signal")
)

// Name is what the settings call the agent.
func (a *Agent) Name() string { return a.name }

// agentNames returns the names that the setting knows.
func agentNames() []string {
	names := make([]string, 0, agentCount)
	for index := range agents {
		names = append(names, agents[index].name)
	}
	return names
}

// ParseAgents returns the choices of a setting over the defaults.
func ParseAgents(chosen map[string]string) (Agents, error) {
	var result Agents
	for index := range agents {
		result[index] = agents[index].signal
	}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		index := slices.IndexFunc(agents[:], func(agent Agent) bool { return agent.name == name })
		if index < 0 {
			return result, fmt.Errorf("%q: %w, known are %s", name, errNoAgent, strings.Join(agentNames(), ", "))
		}
		signal, known := signalNames[chosen[name]]
		if !known {
			return result, fmt.Errorf("%q: %w, got %q", name, errNoSignal, chosen[name])
		}
		if agent := &agents[index]; agent.refused != "" && signal != agent.signal {
			return result, fmt.Errorf("%q: %w: it %s", name, errNoChoice, agent.refused)
		}
		result[index] = signal
	}
	return result, nil
}
