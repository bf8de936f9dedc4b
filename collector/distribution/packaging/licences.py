"""The licences of all that is linked into a binary, as one text to ship beside it.

Usage: ``licences.py GO BINARY >THIRD_PARTY_LICENSES``. Which modules are in, the binary says itself (``go version
-m``); their licence and notice files are in the module cache, from which it was built. Ends with an error where a
module brings no licence, or one that is not known here: that is for a person to read.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

OURS = "github.com/otel-tokenomics/otel-tokenomics/"
FILE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|PATENTS|UNLICENSE)([.-](?!go$).*)?$", re.IGNORECASE)
#: SPDX identifier -> what its text says, in one line. The first one that fits.
KINDS = {
    "Apache-2.0": re.compile(r"Apache License,? Version 2\.0", re.IGNORECASE),
    "MPL-2.0": re.compile(r"Mozilla Public License,? (Version|v\.) ?2\.0", re.IGNORECASE),
    "BSD-3-Clause": re.compile(r"Redistribution and use in source and binary forms.* nor (the )?names? "),
    "BSD-2-Clause": re.compile(r"Redistribution and use in source and binary forms"),
    "MIT": re.compile(r"Permission is hereby granted, free of charge, to any person obtaining a copy"),
    "ISC": re.compile(r"Permission to use, copy, modify, and/?(or)? distribute this software for any purpose"),
}


class Licences(NamedTuple):
    """What a binary's modules are licensed under: SPDX identifiers, and the text to ship."""

    kinds: frozenset[str]
    text: str


def modules(go: str, binary: Path) -> list[tuple[str, str]]:
    """Return (path, version) of each module that is linked into a binary and is not ours."""
    said = subprocess.run([go, "version", "-m", str(binary)], capture_output=True, text=True, check=True).stdout
    found: list[tuple[str, str]] = []
    for line in said.splitlines():
        words = line.split()
        if words[:1] == ["dep"]:
            found.append((words[1], words[2]))
        elif words[:1] == ["=>"] and not found[-1][0].startswith(OURS):
            found[-1] = (words[1], words[2])
    return [(path, version) for path, version in found if not path.startswith(OURS)]


def escaped(path: str) -> str:
    """Return a module path as the cache spells it: capitals are marked."""
    return re.sub(r"[A-Z]", lambda capital: "!" + capital[0].lower(), path)


def kind_of(texts: dict[str, str]) -> str:
    """Return the SPDX identifier of the first licence file that is known here, or nothing."""
    for name in sorted(texts):
        if not name.upper().startswith(("NOTICE", "PATENTS")):
            for kind, said in KINDS.items():
                if said.search(" ".join(texts[name].split())):
                    return kind
    return ""


def collect(go: str, binary: Path) -> Licences:
    """Return the licences of a binary.

    Raises:
        SystemExit: Modules without a licence, or with one that is not known, by name.
    """

    def ask(name: str) -> Path:
        return Path(subprocess.run([go, "env", name], capture_output=True, text=True, check=True).stdout.strip())

    root = ask("GOROOT")
    folders = {f"Go {(root / 'VERSION').read_text().split()[0].removeprefix('go')} (standard library)": root}
    cache = ask("GOMODCACHE")
    folders |= {f"{path} {version}": cache / f"{escaped(path)}@{version}" for path, version in modules(go, binary)}
    kinds: set[str] = set()
    wrong: list[str] = []
    # Equal texts stand once, under all the modules that bring them.
    bringers: dict[str, list[str]] = {}
    for module, folder in folders.items():
        files = [file for file in sorted(folder.iterdir()) if file.is_file() and FILE.fullmatch(file.name)]
        texts = {file.name: file.read_text(encoding="utf-8", errors="replace").strip() for file in files}
        kind = kind_of(texts)
        if not kind:
            wrong.append(f"{module}: {', '.join(texts) or 'no licence file'}")
        kinds.add(kind)
        for name, text in texts.items():
            bringers.setdefault(text, []).append(f"{module} ({kind}): {name}")
    if wrong:
        sys.exit("licences.py: no licence that is known here:\n  " + "\n  ".join(wrong))
    rule = "=" * 80
    parts = [f"{rule}\n" + "\n".join(sorted(names)) + f"\n{rule}\n\n{text}\n" for text, names in bringers.items()]
    head = f"otelcol-tokenomics is under the Apache License 2.0. These {len(folders)} modules are linked into it;\n"
    head += "the source of each is that version of the Go module of that name.\n"
    return Licences(frozenset(kinds), "\n".join([head, *sorted(parts)]))


if __name__ == "__main__":
    sys.stdout.write(collect(sys.argv[1], Path(sys.argv[2])).text)
