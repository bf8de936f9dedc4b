"""What each installed client library can send, read from its own source: a new endpoint stands here too."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from otel_tokenomics.client_api import Adapter


class Sent(NamedTuple):
    """One kind of request: its name in the table, and whether the adapter makes a charge of it."""

    name: str
    charged: bool


def _trees(package: str, pattern: str) -> Iterator[tuple[str, ast.Module]]:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for file in sorted(Path(place).glob(pattern)):
            name = ".".join((package, *file.relative_to(place).with_suffix("").parts))
            yield name, ast.parse(file.read_text(encoding="utf-8"))


def _texts(node: ast.AST) -> list[str]:
    """Return the paths that an expression may be; what is put into them becomes ``{}``."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in values)]
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body), *_texts(other)]
        case ast.BinOp(left=left, right=right):
            return [one + other for one in _texts(left) for other in _texts(right)]
        case ast.Call(args=[first, *_]):
            return _texts(first)  # ``path_template`` and its like
    return []


def _calls(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr], dict[str | None, ast.expr]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node.args, {word.arg: word.value for word in node.keywords}


def _methods(tree: ast.Module) -> Iterator[tuple[str, str, ast.AST]]:
    for owner in tree.body:
        for method in owner.body if isinstance(owner, ast.ClassDef) else ():
            if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield owner.name, method.name, method


def _is(node: ast.expr | None, word: str) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() == word


def _observed(adapter: Adapter) -> set[tuple[str, str]]:
    return {(target.module, target.attribute) for target in adapter.targets}


def stainless(adapter: Adapter) -> Iterator[Sent]:
    """The paths that the library's resources post to."""
    paths: set[str] = set()
    for _, tree in _trees(adapter.library, "resources/**/*.py"):
        for name, args, words in _calls(tree):
            if args and (name == "_post" or (name == "_get_api_list" and _is(words.get("method"), "post"))):
                found = _texts(args[0])
                assert found, f"{adapter.library}: a path that this test cannot read: {ast.unparse(args[0])}"
                paths |= {_plain(path.partition("?")[0]) for path in found}
    for path in paths:
        options = SimpleNamespace(url=path.replace("{}", "x"), method="post")
        yield Sent(path, adapter.route(None, (None, options), {}) is not None)


def _plain(path: str) -> str:
    """Return a path whose parameters have no names, for a release may rename them."""
    return "/".join("{}" if part.startswith("{") and part.endswith("}") else part for part in path.split("/"))


def speakeasy(adapter: Adapter, package: str, pattern: str = "*.py") -> Iterator[Sent]:
    """The methods that post, of a library made by Speakeasy (``_build_request(method="POST", ...)``)."""
    observed = _observed(adapter)
    for module, tree in _trees(package, pattern):
        for owner, method, body in _methods(tree):
            if any(_is(words.get("method"), "post") and "path" in words for _, _, words in _calls(body)):
                yield Sent(_twinless(owner, method), (module, f"{owner}.{method}") in observed)


def _twinless(owner: str, method: str) -> str:
    """Return the name that both twins have in the table."""
    return f"{owner.removeprefix('Async')}.{method.removesuffix('_async')}"


def mistralai(adapter: Adapter) -> Iterator[Sent]:
    """The methods that post, under each root of the library, and the connections that it opens."""
    for package in ("mistralai.client", "mistralai.azure.client", "mistralai.gcp.client"):
        yield from speakeasy(adapter, package) if _exists(package) else ()
    yield from speakeasy(adapter, "mistralai")  # the first major
    observed = _observed(adapter)
    for module, tree in _trees("mistralai.extra.realtime", "*.py"):
        for owner, method, _ in _methods(tree):
            if method == "connect":
                yield Sent(_twinless(owner, method), (module, f"{owner}.{method}") in observed)


def _exists(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def cohere(adapter: Adapter) -> Iterator[Sent]:
    """The methods of the raw clients, below all others, that post."""
    observed = _observed(adapter)
    for module, tree in _trees("cohere", "**/raw_*client.py"):
        yield from _raw(module, tree, observed)
    for module, tree in _trees("cohere", "raw_base_client.py"):
        yield from _raw(module, tree, observed)


def _raw(module: str, tree: ast.Module, observed: set[tuple[str, str]]) -> Iterator[Sent]:
    for owner, method, body in _methods(tree):
        if any(_is(words.get("method"), "post") for _, _, words in _calls(body)):
            yield Sent(_twinless(owner, method), (module, f"{owner}.{method}") in observed)


def ollama(adapter: Adapter) -> Iterator[Sent]:
    """The paths that the client posts to."""
    ((_, tree),) = _trees("ollama", "_client.py")
    paths = {
        path
        for name, args, _ in _calls(tree)
        if name in ("_request", "_request_raw")
        for verb, path in _pairs(args)
        if verb == "POST"
    }
    for path in paths:
        yield Sent(path, adapter.route(None, (None, "POST", path), {}) is not None)


def _pairs(args: list[ast.expr]) -> Iterator[tuple[str, str]]:
    words = [text for arg in args for text in _texts(arg)]
    yield from itertools.pairwise(words)


def huggingface(adapter: Adapter) -> Iterator[Sent]:
    """The tasks that the client asks for."""
    ((_, tree),) = _trees("huggingface_hub.inference", "_client.py")
    tasks = {
        task
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_provider_helper"
        for word in node.keywords
        if word.arg == "task"
        for task in _texts(word.value)
    }
    for task in tasks:
        yield Sent(task, adapter.route(None, (SimpleNamespace(task=task),), {}) is not None)


def google_genai(adapter: Adapter) -> Iterator[Sent]:
    """The methods that post, of the library's own modules, and of the generated client of its newer ones."""
    observed = _observed(adapter)
    for module, tree in _trees("google.genai", "*.py"):
        for owner, method, body in _methods(tree):
            posts = any(
                name.startswith(("request", "async_request")) and args and _is(args[0], "post")
                for name, args, _ in _calls(body)
            )
            if posts and not owner.endswith("ApiClient"):
                yield Sent(_twinless(owner, method), (module, f"{owner}.{method}") in observed)
    if _exists("google.genai._gaos"):
        yield from speakeasy(adapter, "google.genai._gaos")


def bedrock(adapter: Adapter) -> Iterator[Sent]:
    """The operations of each service of Bedrock at run time, but those that only read."""
    session: Any = importlib.import_module("botocore.session").get_session()
    for service in session.get_available_services():
        if not (service.startswith("bedrock") and service.endswith("-runtime")):
            continue
        model = session.get_service_model(service)
        client = SimpleNamespace(_service_model=model)
        for name in model.operation_names:
            if model.operation_model(name).http["method"] == "POST":
                body = {"modelId": "anthropic.claude-x", "modelInput": {}}
                yield Sent(f"{service} {name}", adapter.route(client, (name, body), {}) is not None)


#: By the adapter's name.
READERS: dict[str, Callable[[Adapter], Iterator[Sent]]] = {
    "openai": stainless,
    "anthropic": stainless,
    "groq": stainless,
    "together": stainless,
    "mistral": mistralai,
    "cohere": cohere,
    "ollama": ollama,
    "huggingface": huggingface,
    "google_genai": google_genai,
    "bedrock": bedrock,
}
