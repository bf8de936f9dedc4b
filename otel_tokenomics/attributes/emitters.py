"""What is known of each instrumentation: whether its input counts hold the cache, and its output the reasoning.

Twin of ``collector/internal/attributes/emitters.go``; found in the source of the releases named and by running them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Scope of our own spans: what we write is inclusive, whatever mark the span bears.
OWN_SCOPE: Final = "otel_tokenomics"
VERCEL_SCOPES: Final = frozenset({"ai", "@ai-sdk/otel"})


class Emitter(NamedTuple):
    """One row of the table; ``None`` where the numbers must decide.

    ``anthropic`` and ``bedrock`` are the two makers whose own APIs report input without the cache. ``since`` is the
    first major and minor version for which the row is known to hold; older ones are undecided. ``spelling`` is the one
    key of the input for which it holds, where an emitter writes another key that counts otherwise. ``tools_outside``:
    what came from tools was given to the model beside the input. ``agent`` is a coding agent; ``makers`` are whom it
    calls where it says nothing else, by how the names of their models begin.
    """

    prefix: str
    general: str | None = "inclusive"
    anthropic: str | None = None
    bedrock: str | None = None
    reasoning_outside: bool = False
    since: tuple[int, int] = (0, 0)
    spelling: str | None = None
    agent: bool = False
    tools_outside: bool = False
    makers: tuple[tuple[str, str], ...] = ()

    def implied(self, model: str) -> str | None:
        """Return who is called for a model where neither provider nor address is named; a cloud's id tells more."""
        if "@" in model:
            return None
        return next((maker for models, maker in self.makers if model.startswith(models)), None)

    def counts(self, maker: str | None) -> str | None:
        """Return ``inclusive``, ``exclusive``, or None where it is not known."""
        if maker == "anthropic":
            return self.anthropic
        return self.bedrock if maker == "bedrock" else self.general


_IN: Final = "inclusive"
_OUT: Final = "exclusive"
#: In the order in which they are tried.
EMITTERS: Final = (
    Emitter(OWN_SCOPE, _IN, _IN, _IN),
    # Official OpenTelemetry GenAI packages, 1.3b0: Bedrock's inputTokens are passed on raw.
    Emitter("opentelemetry.instrumentation.genai.", _IN, _IN, _OUT),
    Emitter("opentelemetry.instrumentation.google_genai", _IN, _IN, _OUT),
    # OpenLLMetry 0.62: the same scope pattern for every library.
    Emitter("opentelemetry.instrumentation.", _IN, _IN, _OUT),
    # OpenInference: Anthropic from 3.1 on; Bedrock differs between releases and in streams, so its total must tell.
    Emitter("openinference.instrumentation.anthropic", _IN, _IN, since=(3, 1)),
    Emitter("openinference.", _IN),
    # OpenLIT 1.45.
    Emitter("openlit", _IN, _OUT),
    # LiteLLM 1.109, pydantic-ai 2.68 and logfire add the cache back for every provider.
    Emitter("litellm", _IN, _IN, _IN),
    Emitter("pydantic-ai", _IN, _IN, _IN),
    Emitter("logfire", _IN, _IN, _IN),
    Emitter("opencode", _IN, _IN, _IN, agent=True),
    # The plugin opencode-plugin-otel passes on the disjoint counts that opencode keeps.
    Emitter("com.opencode", _OUT, _OUT, _OUT, reasoning_outside=True, spelling="input_tokens", agent=True),
    Emitter("langfuse-sdk", _IN, _IN, _IN),
    Emitter("github.copilot", _IN, _IN, _IN, agent=True),
    Emitter("copilot-chat", _IN, _IN, _IN, agent=True),
    Emitter("codex", _IN, agent=True, makers=(("gpt-", "openai"), ("codex-", "openai"))),
    # Nobody says whether input holds the cache; Cursor's own metric has the four kinds side by side.
    Emitter(
        "cursor.telemetry", _OUT, _OUT, _OUT, agent=True,
        makers=(("claude-", "anthropic"), ("gpt-", "openai"), ("gemini-", "gcp.gemini"), ("grok-", "x_ai")),
    ),
    Emitter("mistralai_sdk_tracer", _IN),
    # Claude Code before the Anthropic SDK's own tracing: both begin with com.anthropic. Its own key leaves the cache
    # out; 2.1.332 also writes the standard one, which holds it.
    Emitter(
        "com.anthropic.claude_code", _OUT, _OUT, _OUT, spelling="input_tokens", agent=True,
        makers=(("claude-", "anthropic"),),
    ),
    Emitter("com.anthropic.sdk.python", _IN, _IN, _IN),
    *(
        Emitter(
            scope, _IN, reasoning_outside=True, agent=True, tools_outside=True, makers=(("gemini-", "gcp.gemini"),)
        )
        for scope in ("gemini_cli", "gemini-cli")
    ),
)  # fmt: skip


def emitter_of(scope: str, version: str) -> Emitter | None:
    """Return what is known of a scope, or None."""
    for emitter in EMITTERS:
        if scope.startswith(emitter.prefix):
            return emitter if _at_least(version, emitter.since) else None
    return None


def maker_of(provider: str) -> str | None:
    """Return ``anthropic`` or ``bedrock`` where a provider's name says so."""
    name = provider.strip().lower()
    if "bedrock" in name or name == "aws":
        return "bedrock"
    return "anthropic" if name.startswith("anthropic") else None


def _at_least(version: str, since: tuple[int, int]) -> bool:
    if since == (0, 0):
        return True
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    if not (major.isascii() and major.isdigit()):
        return False
    if int(major) != since[0]:
        return int(major) > since[0]
    return minor.isascii() and minor.isdigit() and int(minor) >= since[1]
