"""Write what a new client library needs: its adapter, its tests, its door, its place in the tables.

    make new-client NAME=acme [VERSION=1.2]

What only a person knows is marked TODO; the row in ``tests/conformance/client_table.py`` fails until it is filled in.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from typing import Final

ADAPTER: Final = '''"""The ``{name}`` library: TODO what it offers, in one line.

TODO whether its input counts include the cache, and its output counts reasoning. See TODO: the page on usage.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request, StreamReader, Target
from otel_tokenomics.clients._addresses import model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import openai_like as dialect

_CHAT: Final = Operation("chat", "chat")
_STREAM: Final = _CHAT._replace(stream=True)
#: TODO the library's words for these.
_WORDS: Final = MappingProxyType({{"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p"}})


def request(client: Any, operation: Operation, _args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    url = getattr(client, "base_url", None)  # TODO where the client keeps its address
    return request_to(url, "{name}", model_of(kwargs), kwargs, _WORDS, stream=operation.stream)


def usage(operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of an answer."""
    return dialect.read_response(operation.api, response, provider)


def stream_reader(operation: Operation, provider: str) -> StreamReader:
    """Return the reader of one stream."""
    return dialect.stream_reader(operation.api, provider)


ADAPTER: Final = Adapter(
    library="{name}",
    tested=("{version}", "{unseen}"),
    # TODO the methods that send a request. Made by Stainless, it has one for all: clients/_stainless.py, as in groq.py.
    targets=(
        Target("{name}.client", "Client.chat", "call", _CHAT),
        Target("{name}.client", "AsyncClient.chat", "acall", _CHAT),
        Target("{name}.client", "Client.chat_stream", "gen", _STREAM),
        Target("{name}.client", "AsyncClient.chat_stream", "agen", _STREAM),
    ),
    request=request,
    usage=usage,
    stream_reader=stream_reader,
)
'''
TESTS: Final = '''"""The {name} client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

from otel_tokenomics.client_api import Operation
from otel_tokenomics.clients.{name} import ADAPTER
from otel_tokenomics.usage import Usage

CHAT = Operation("chat", "chat")
# TODO an answer as the provider's reference shows it: which counts include which is what these numbers decide.
ANSWER: dict[str, Any] = {{
    "id": "1",
    "model": "m",
    "choices": [],
    "usage": {{
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 110,
        "prompt_tokens_details": {{"cached_tokens": 20}},
    }},
}}


def test_usage_of_an_answer() -> None:
    reading = ADAPTER.usage(CHAT, ANSWER, "{name}")
    assert reading is not None
    assert reading.usage == Usage({{"input": 80, "cache_read": 20, "output": 10}})
    assert (reading.response_id, reading.response_model) == ("1", "m")


def test_usage_of_a_stream_is_what_it_said_last() -> None:
    reader = ADAPTER.stream_reader(CHAT, "{name}")
    reader.observe({{"id": "1", "model": "m", "choices": [{{"index": 0, "delta": {{}}, "finish_reason": "stop"}}]}})
    reader.observe(ANSWER)
    reading = reader.reading()
    assert reading is not None
    assert reading.usage == Usage({{"input": 80, "cache_read": 20, "output": 10}})


def test_what_a_call_asks_for() -> None:
    asked = ADAPTER.request(None, CHAT, (), {{"model": "m", "max_tokens": 64}})
    assert (asked.model, asked.max_output, asked.provider) == ("m", 64, "{name}")
'''
DOOR: Final = '''class Tokenomics{title}Instrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "{name}"


'''
ROW: Final = """def _{name}() -> Row:
    raise NotImplementedError("TODO how a {name} client is made, called and streamed, and what its usage means")


"""
NEXT: Final = """written: the adapter, its tests, its door, its entry point, its oldest version and its rows.
Next: 1. fill in what is marked TODO; 2. its wire format in otel_tokenomics/demo/ where that is new, and its place in
`PLACES`; 3. prices, where the book has none: pricebook/patches/; 4. a line in CHANGELOG.md;
5. rm .stamps/python; make lint test"""


def plan(root: Path, name: str, version: str) -> dict[Path, str]:
    """Return every file as it will be.

    Raises:
        ValueError: the name cannot be one, or is taken; or a file is not what this program knows.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(f"NAME={name!r} is no name of a module: small letters, digits and underscores")
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(f"VERSION={version!r} is no version: the oldest that is to work, such as 1.2")
    adapter = root / "otel_tokenomics" / "clients" / f"{name}.py"
    tests = root / "tests" / "clients" / f"test_{name}.py"
    for path in (adapter, tests):
        if path.exists():
            raise ValueError(f"{path.relative_to(root)} is there already")
    title = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "version": version, "unseen": str(int(version.partition(".")[0]) + 1), "title": title}
    found = {adapter: ADAPTER.format(**words), tests: TESTS.format(**words)}

    def insert(where: str, pattern: str, text: str, *, before: bool = False) -> None:
        path = root / where
        content = found.get(path) or path.read_text(encoding="utf-8")
        places = list(re.finditer(pattern, content, re.MULTILINE))
        if not places:
            raise ValueError(f"{where} has no line like {pattern!r}")
        at = places[0].start() if before else places[-1].end()
        found[path] = content[:at] + text + content[at:]

    insert("otel_tokenomics/_api.py", r"^def inspect_clients", DOOR.format(**words), before=True)
    entry = f'tokenomics_{name} = "otel_tokenomics._api:Tokenomics{title}Instrumentor"\n'
    insert("pyproject.toml", r"^tokenomics_\w+ = \"otel_tokenomics\._api:.*\n", entry)
    insert("pyproject.toml", r"^    \"pytest>=", f'    "{name}>={version}",\n', before=True)
    insert("tests/clients/requirements-oldest.txt", r"^ollama==.*\n", f"{name}=={version}\n")
    insert("README.md", r"^\| `ollama` \|.*\n", f"| `{name}` | >={version},<{words['unseen']} |\n")
    table = "tests/conformance/client_table.py"
    insert(table, r"^#: By the name of the adapter's file\.$", ROW.format(**words), before=True)
    insert(table, r"^    \"\w+\": _\w+,\n", f'    "{name}": _{name},\n')
    return found


def main() -> int:
    """Write the files; return 2 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the library, and the name of its file in otel_tokenomics/clients/")
    parser.add_argument("--version", default="1.0", help="the oldest version that is to work")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the repository")
    given = parser.parse_args()
    try:
        files = plan(given.root, given.name, given.version)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"new-client: {error}\n")
        return 2
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{NEXT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
