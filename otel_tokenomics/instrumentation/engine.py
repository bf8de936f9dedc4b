"""Finds the client adapters, patches their targets as the clients are imported, and takes the patches back."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

import wrapt

from otel_tokenomics import clients
from otel_tokenomics.client_api import Adapter, Target
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation import neighbours
from otel_tokenomics.instrumentation.call import Estimator
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.instrumentation.reports import Reports
from otel_tokenomics.instrumentation.seam import Seam
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Recorder

#: Kinds at which somebody else may have put a wrapper before us: ours goes below it, as if it had come after.
_CHOKES: Final = frozenset({"call", "acall", "gen", "agen", "alater", "opening", "aopening"})
#: Stands among the targets of a library that reports its calls.
CALLBACK: Final = "callback"
_logger = logging.getLogger("otel_tokenomics")


class Patch(NamedTuple):
    """One attribute that was replaced: set again, it is what it was."""

    owner: Any
    name: str
    original: Any
    wrapper: Any


class Engine:
    """Patches clients. Each target stands alone: one that a version lacks is reported, and does not stop the rest."""

    def __init__(self, settings: Settings, recorder: Recorder, prepare: Callable[[], None]) -> None:
        self._settings, self._recorder, self._prepare = settings, recorder, prepare
        recorder.when_dropped = REAPER.watch
        self._seams: dict[str, Seam] = {}
        self._patches: list[Patch] = []
        self._reports: dict[str, Reports] = {}
        self._registered: list[Callable[[], None]] = []
        self._verdicts: dict[tuple[str, str], str] = {}
        self._warned: set[str] = set()

    def instrument(self, names: Iterable[str] | None = None) -> None:
        """Patch the clients that the settings allow (``names`` narrows them), each module when it is imported."""
        allowed = allowed_libraries(self._settings.libraries)
        for name in allowed if names is None else [name for name in names if name in allowed]:
            if name not in self._seams:
                adapter: Adapter = importlib.import_module(f"{clients.__name__}.{name}").ADAPTER
                estimator = _estimator() if self._settings.estimate else None
                self._seams[name] = Seam(adapter, self._recorder, self._settings, self._prepare, estimator)
                if adapter.callback is not None:
                    reports = Reports(adapter, self._recorder, self._settings, self._prepare, estimator)
                    self._reports[adapter.library] = reports
                self._hook(self._seams[name])

    @property
    def libraries(self) -> tuple[str, ...]:
        """The clients that are patched now, or will be when they are imported."""
        return tuple(self._seams)

    def uninstrument(self) -> None:
        """Restore every attribute; calls under way are still settled."""
        for seam in self._seams.values():
            seam.stop()
        for reports in self._reports.values():
            reports.stop()
        for patch in reversed(self._patches):
            _restore(patch)
        for take_back in self._registered:
            take_back()
        REAPER.drain()
        self._patches.clear()
        self._registered.clear()
        self._reports.clear()
        self._seams.clear()
        self._verdicts.clear()

    def status(self) -> dict[str, Any]:
        """Return per client what was found and patched, who else makes spans of its calls, and all such packages."""
        others = neighbours.found()
        libraries = {name: self._found(seam.adapter) for name, seam in sorted(self._seams.items())}
        for name, facts in libraries.items():
            if facts["found"] != "not installed":
                adapter = self._seams[name].adapter
                facts["neighbours"] = neighbours.of_client(name, adapter, others, self._settings.native_spans)
        beside = {name: distribution.version for name, distribution in others.items()}
        return {"libraries": libraries, "beside": beside}

    def _found(self, adapter: Adapter) -> dict[str, Any]:
        imported, release = sys.modules.get(adapter.library) is not None, version_of(adapter.library)
        facts: dict[str, Any] = {
            "found": "imported" if imported else "installed" if release else "not installed",
            "version": release,
            "tested": _range(adapter),
            "in_tested_range": _tested(adapter, release) if release else None,
            "targets": {
                f"{target.module}.{target.attribute}": self._verdicts.get(
                    (target.module, target.attribute), "not imported"
                )
                for target in adapter.targets
            },
        }
        if (reports := self._reports.get(adapter.library)) is not None:
            verdict = self._verdicts.get((adapter.library, CALLBACK), "not imported")
            facts["targets"][f"{adapter.library}.{CALLBACK}"] = verdict
            facts["its_own_figures"] = dict(reports.opinions)
        elif opinions := next((seam.opinions for seam in self._seams.values() if seam.adapter is adapter), None):
            facts["its_own_figures"] = dict(opinions)
        return facts

    def import_clients(self, progress: Callable[[str], None]) -> dict[str, str]:
        """Import each installed client and every module with a target of it; return those that failed, and why.

        A module that a version does not have makes its targets ``absent``.
        """
        failed: dict[str, str] = {}
        for name, seam in sorted(self._seams.items()):
            library = seam.adapter.library
            if (release := version_of(library)) is None:
                continue
            progress(f"importing {library} {release}")
            try:
                importlib.import_module(library)
            except Exception as error:  # noqa: BLE001  # a broken client is what the report is for
                failed[name] = f"{type(error).__name__}: {error}"
                continue
            for target in seam.adapter.targets:
                try:
                    importlib.import_module(target.module)
                except ModuleNotFoundError:
                    self._verdicts[target.module, target.attribute] = "absent"
                except Exception as error:  # noqa: BLE001  # one target must not stop the rest
                    self._verdicts[target.module, target.attribute] = _failed(error)
        return failed

    def _hook(self, seam: Seam) -> None:
        """Patch each module when it is imported, or now where it is."""
        by_module: dict[str, list[Target]] = {}
        for target in seam.adapter.targets:
            by_module.setdefault(target.module, []).append(target)
        for module, targets in by_module.items():
            wrapt.register_post_import_hook(_when_imported(self, seam, targets), module)
        wrapt.register_post_import_hook(_when_imported(self, seam, ()), seam.adapter.library)

    def patch(self, seam: Seam, targets: Iterable[Target], module: ModuleType) -> None:
        """Patch targets of a module that has just been imported; none for the library itself, which is looked over."""
        if seam not in self._seams.values():
            return
        if module.__name__ == seam.adapter.library:
            self._check_version(seam.adapter)
            self._go_inside(seam, module)
            self._register(seam.adapter, module)
        for target in targets:
            self._verdicts[target.module, target.attribute] = self._patch_one(seam, target, module)

    def _register(self, adapter: Adapter, module: ModuleType) -> None:
        """Have a library report its calls, where it does."""
        if adapter.callback is None:
            return
        reports = self._reports[adapter.library]
        try:
            callback = adapter.callback(reports)
            self._registered.append(_taking_back(module, adapter.callback_lists, callback))
            for name in adapter.callback_lists:
                getattr(module, name).append(callback)
        except Exception as error:  # noqa: BLE001  # a client must be importable in any case
            failures.report("patch", error)
            self._verdicts[adapter.library, CALLBACK] = _failed(error)
        else:
            reports.start()
            self._verdicts[adapter.library, CALLBACK] = "registered"

    def _patch_one(self, seam: Seam, target: Target, module: ModuleType) -> str:
        class_name, _, name = target.attribute.partition(".")
        try:
            owner = getattr(module, class_name)
            original: Any = cast("dict[str, Any]", vars(owner))[name]
        except (AttributeError, KeyError):
            return "absent"
        if any(patch.wrapper is original for patch in self._patches):
            return "patched"  # another name of a class that is
        try:
            if target.kind == "under_way":
                around = self._reports[seam.adapter.library].under_way
                self._set(owner, name, original, wrapt.FunctionWrapper(original, around))
            elif target.kind in _CHOKES and _is_wrapper(original):
                self._wrap_innermost(owner, name, original, seam.wrapper(target))
            else:
                self._set(owner, name, original, wrapt.FunctionWrapper(original, seam.wrapper(target)))
        except Exception as error:  # noqa: BLE001  # one target must not stop the rest, nor the import of a client
            failures.report("patch", error)
            return _failed(error)
        return "patched"

    def _set(self, owner: Any, name: str, original: Any, wrapper: Any) -> None:
        setattr(owner, name, wrapper)
        self._patches.append(Patch(owner, name, original, wrapper))

    def _go_inside(self, seam: Seam, module: ModuleType) -> None:
        """Get below a wrapper that somebody put on a client's class before us, with the original captured.

        Such a wrapper (OpenInference's) would never reach the base class that we patch; ours goes between it and the
        original, so that its span is current and recording when we look.
        """
        choke = {
            target.attribute.partition(".")[2]: target.kind for target in seam.adapter.targets if "call" in target.kind
        }
        for class_name in seam.adapter.client_classes:
            owner = getattr(module, class_name, None)
            for name in choke if owner is not None else ():
                wrapper = vars(owner).get(name)
                if wrapper is None:
                    continue
                kind = "acall" if class_name.startswith("Async") else "call"
                try:
                    self._wrap_innermost(owner, name, wrapper, getattr(seam, kind))
                except Exception as error:  # noqa: BLE001  # one target must not stop the rest
                    failures.report("patch", error)

    def _wrap_innermost(self, owner: Any, name: str, wrapper: Any, ours: Any) -> None:
        inner = wrapper
        while _is_wrapper(getattr(inner, "__wrapped__", None)):
            inner = inner.__wrapped__
        if any(patch.wrapper is inner for patch in self._patches):
            return  # it was put there after us, around ours
        if _is_wrapper(inner):
            owner, name, wrapper = inner, "__wrapped__", inner.__wrapped__
        self._set(owner, name, wrapper, wrapt.FunctionWrapper(wrapper, ours))

    def _check_version(self, adapter: Adapter) -> None:
        release = version_of(adapter.library)
        if release and not _tested(adapter, release) and adapter.library not in self._warned:
            self._warned.add(adapter.library)
            _logger.warning(
                "otel_tokenomics: %s %s was not tested (tested: %s); it is patched all the same, see status()",
                adapter.library, release, _range(adapter),
            )  # fmt: skip


def _when_imported(engine: Engine, seam: Seam, targets: Iterable[Target]) -> Callable[[ModuleType], None]:
    """Return the hook of one module: made here, since a closure made in a loop would see the last of it."""

    def patch(module: ModuleType) -> None:
        engine.patch(seam, targets, module)

    return patch


def _taking_back(module: ModuleType, names: Iterable[str], callback: object) -> Callable[[], None]:
    """Return what takes a callback out of a library's lists: those of then, for a program may set any of them anew."""

    def take_back() -> None:
        for listed in (getattr(module, name, []) for name in names):
            listed[:] = [one for one in listed if one is not callback]

    return take_back


def _restore(patch: Patch) -> None:
    """Set an attribute back; where somebody wrapped ours meanwhile, take ours out of the chain below it."""
    below = patch.name == "__wrapped__"
    current: Any = patch.owner.__wrapped__ if below else cast("dict[str, Any]", vars(patch.owner)).get(patch.name)
    if current is patch.wrapper:
        setattr(patch.owner, patch.name, patch.original)
        return
    while _is_wrapper(current):
        if current.__wrapped__ is patch.wrapper:
            current.__wrapped__ = patch.original
            return
        current = current.__wrapped__


def _is_wrapper(value: object) -> bool:
    return isinstance(value, wrapt.FunctionWrapper)


def _failed(error: Exception) -> str:
    """Return a verdict with its reason: what speaks here is Python or a client's module, never a call's content."""
    return f"failed: {type(error).__name__}: {error}"


def version_of(library: str) -> str | None:
    """Return the version of an installed library: its distribution bears its import name, dots and dashes aside.

    Where there are no metadata (a frozen program), the module says it, if it does.
    """
    try:
        return version(library)
    except PackageNotFoundError:
        return getattr(sys.modules.get(library), "__version__", None)


def _range(adapter: Adapter) -> str:
    return f">={adapter.tested[0]},<{adapter.tested[1]}"


def _tested(adapter: Adapter, release: str) -> bool:
    lowest, unseen = adapter.tested
    return _release(lowest) <= _release(release) < _release(unseen)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _estimator() -> Estimator:
    from otel_tokenomics import tokens

    tokens.load_in_background()
    return tokens.estimate_tokens


def allowed_libraries(rules: Iterable[str]) -> list[str]:
    """Return the adapters that the setting ``libraries`` allows: ``*``, names, and ``-name`` to exclude one."""
    known = [module.name for module in pkgutil.iter_modules(clients.__path__) if not module.name.startswith("_")]
    words = tuple(rules)
    excluded = {word[1:] for word in words if word.startswith("-")}
    named = {word for word in words if not word.startswith("-")}
    everything = "*" in named or not named
    return [name for name in known if name not in excluded and (everything or name in named)]
