"""Run the collector's fuzz targets one after the other, and say how many inputs each tried.

`make fuzz` calls it. With --record the executions are added to the table of docs/reference/fuzzing.md, which counts
over all runs. A target that fails ends with what Go says: the input stands in testdata/fuzz of its package, to be kept
as a regression test beside the fix.
"""

import argparse
import datetime as dt
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLLECTOR = ROOT / "collector"
PAGE = ROOT / "docs/reference/fuzzing.md"
ROW = re.compile(r"^\| `(\S+ \w+)` \| ([\d,]+) \| (\S+) \| (.*) \|$", re.MULTILINE)


def targets() -> list[tuple[str, str]]:
    """Every fuzz target as its package and its name."""
    found = []
    for file in sorted(COLLECTOR.rglob("*_test.go")):
        package = file.parent.relative_to(COLLECTOR).as_posix()
        names = re.findall(r"^func (Fuzz\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
        found += [(package, name) for name in names]
    return found


def run(go: str, package: str, name: str, time: str) -> tuple[int, int]:
    """The exit code of one target and how many inputs it tried."""
    command = [go, "test", f"./{package}", "-run=^$", f"-fuzz=^{name}$", f"-fuzztime={time}", "-fuzzminimizetime=10x"]
    done = subprocess.run(command, cwd=COLLECTOR, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode, int(([*re.findall(r"execs: (\d+)", done.stdout)] or [0])[-1])


def record(target: str, executions: int) -> None:
    """Add executions to the row of a target, or give it one."""
    page = PAGE.read_text(encoding="utf-8")
    today = dt.datetime.now(dt.UTC).date().isoformat()
    rows = {row[1]: (int(row[2].replace(",", "")), row[4]) for row in ROW.finditer(page)}
    before, findings = rows.get(target, (0, "none"))
    line = f"| `{target}` | {before + executions:,} | {today} | {findings} |"
    if target in rows:
        page = re.sub(rf"^\| `{re.escape(target)}` \|.*$", lambda _: line, page, flags=re.MULTILINE)
    else:
        page = page.replace("\n\n<!-- end of the table -->", f"\n{line}\n\n<!-- end of the table -->")
    PAGE.write_text(page, encoding="utf-8")


def main() -> int:
    """Run the targets that were asked for; not 0 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go")
    parser.add_argument("--time", default="20s", help="for each target: a time, or executions such as 1000000x")
    parser.add_argument("--only", default="", help="part of the names of the targets that run")
    parser.add_argument("--record", action="store_true", help="add the executions to docs/reference/fuzzing.md")
    options = parser.parse_args()
    failed = 0
    for package, name in targets():
        target = f"{package} {name}"
        if options.only not in target:
            continue
        sys.stdout.write(f"==> fuzz {target}\n")
        sys.stdout.flush()
        code, executions = run(options.go, package, name, options.time)
        sys.stdout.write(f"    {executions:,} executions{', FAILED' if code else ''}\n")
        failed |= code
        if options.record:
            record(target, executions)
    return failed


if __name__ == "__main__":
    sys.exit(main())
