package attributes

import (
	"slices"
	"strings"
	"testing"
)

// TestAgentsAreWhole: each has what the rules look for, and no two of them can be taken for each other.
func TestAgentsAreWhole(t *testing.T) {
	if names := agentNames(); !slices.IsSorted(names) {
		t.Errorf("not in order: %s", names)
	}
	seen := map[string]string{}
	for index := range agents {
		agent := &agents[index]
		if agent.index != index || agent.emitter == nil || agent.signal == signalUnchosen || len(agent.events) == 0 {
			t.Errorf("%s is not whole", agent.name)
		}
		for _, scope := range agent.scopes {
			if got := AgentOf(Scope{Name: scope + ".x"}); got != agent {
				t.Errorf("%s is another's scope", scope)
			}
			if emitterOf(Scope{Name: scope}) == nil {
				t.Errorf("nobody knows how %s counts", scope)
			}
		}
		for place := range agent.events {
			event := &agent.events[place]
			if event.name != "" {
				if event.agent != agent || seen[event.name] != "" || !strings.Contains(event.name, ".") {
					t.Errorf("%s of %s", event.name, agent.name)
				}
				seen[event.name] = agent.name
			}
			if agent.Event(event.short) != event && event.short != "" {
				t.Errorf("%s: %s means something else", agent.name, event.short)
			}
		}
	}
}

func TestEventsByName(t *testing.T) {
	claude, nobody := AgentOf(Scope{Name: "com.anthropic.claude_code.events"}), AgentOf(Scope{Name: "shop"})
	for _, test := range []struct {
		agent *Agent
		name  string
		found bool
	}{
		{claude, "api_request", true}, {claude, "claude_code.api_request", true}, {claude, "codex.sse_event", true},
		{nobody, "claude_code.api_request", true}, {nobody, "api_request", false}, {nobody, "", false},
		{claude, "", false}, {claude, "api_request_body", false}, {claude, "API_REQUEST", false}, {claude, "claude_code", false},
		{nobody, "gen_ai.client.inference.operation.details", false}, {nobody, strings.Repeat("x", 1<<20), false},
	} {
		if event := test.agent.Event(test.name); (event != nil) != test.found {
			t.Errorf("%.50q: %v", test.name, event)
		}
	}
	if claude == nil || nobody != nil || AgentOf(Scope{}) != nil {
		t.Error("the wrong one speaks")
	}
	if AgentOf(Scope{Name: "ai", Service: "opencode"}) == nil || AgentOf(Scope{Name: "ai", Service: "shop"}) != nil || AgentOf(Scope{Name: "x", Service: "opencode"}) != nil {
		t.Error("opencode speaks through the Vercel AI SDK, and nowhere else by its service alone")
	}
}

func TestChoices(t *testing.T) {
	chosen, err := ParseAgents(map[string]string{"claude_code": "spans"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Signal{
		"claude_code": SignalSpans, "codex": SignalLogs, "copilot": SignalSpans, "cursor": SignalLogs, "gemini_cli": SignalLogs, "opencode": SignalSpans,
	} {
		if got := chosen[slices.Index(agentNames(), name)]; got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
	for want, setting := range map[string]map[string]string{
		`"claude": no coding agent of that name, known are claude_code, codex, copilot, cursor, gemini_cli, opencode`: {"claude": "logs"},
		`"codex": must be logs or spans, got "Logs"`:                                                                  {"codex": "Logs"},
		`"codex": must be logs or spans, got ""`:                                                                      {"codex": ""},
		`"cursor": has no other signal: it exports no spans`:                                                          {"cursor": "spans"},
	} {
		if _, err := ParseAgents(setting); err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if _, err := ParseAgents(map[string]string{"cursor": "logs"}); err != nil {
		t.Error(err)
	}
}

// TestNothingChosen: whoever reads a span without the setting charges it.
func TestNothingChosen(t *testing.T) {
	var span Span
	span.Enter(Scope{Name: "codex_cli_rs"})
	span.Reset()
	span.Observe("gen_ai.usage.input_tokens", IntValue(1))
	var reading Reading
	if span.Read(&Options{}, &reading); reading.Verdict != VerdictPrice {
		t.Errorf("%+v", reading)
	}
	chosen, err := ParseAgents(nil)
	if err != nil {
		t.Fatal(err)
	}
	if span.Read(&Options{Agents: chosen}, &reading); reading.Verdict != VerdictNotApplicable || reading.Reason != ReasonShadowed {
		t.Errorf("%+v", reading)
	}
}
