"""What was measured, for people: the results file, the tables of docs/benchmarks.md, and the plot."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from prepare import FURTHER, HERE, PYTHON, execute
from servers import TITLES

RESULTS = "results.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = "benchmarks.svg"
PACKAGES = ("connexion", "gunicorn", "flask", "sqlalchemy", "psycopg2-binary", "pyjwt", "orjson")


def machine(url: str) -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    theirs = [line.strip() for line in (HERE / "requirements.txt").read_text().splitlines()]
    kept = ("fastapi=", "sqlmodel=", "uvicorn=", "uvloop=", "psycopg=", "pydantic=")
    kept += ("litestar=", "msgspec=", "asyncpg=", "granian=")
    node = json.loads((HERE / "fastify" / "package.json").read_text())["dependencies"]
    settings = ("shared_buffers", "fsync", "synchronous_commit", "max_connections")
    describe = ["git", "describe", "--always", "--dirty"]
    revision = subprocess.run(describe, cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "revision": revision.stdout.strip() or None,
        "processor": cpu.group(1) if cpu else platform.machine(),
        "cores": len(psutil.Process().cpu_affinity()),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_before": round(psutil.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": execute(url, "SHOW server_version")[0][0],
        "settings": {name: execute(url, f"SHOW {name}")[0][0] for name in settings},
        "ours": {name: version(name) for name in PACKAGES},
        "theirs": dict(line.split("==") for line in theirs if line.startswith(kept)) | node,
    }


def keep(mode: str, told: dict[str, Any], place: Path | None) -> dict[str, Any]:
    """Puts a mode's results into the results file, beside those of the other modes."""
    folder = place or HERE
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RESULTS
    results: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    results[mode] = told
    file.write_text(json.dumps(_rounded(results), indent=1) + "\n")
    return results


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def errors(told: Any) -> int:
    """How many requests went wrong, anywhere in the results."""
    if isinstance(told, list):
        return sum(errors(one) for one in told)
    if not isinstance(told, dict):
        return 0
    return sum(
        value if name in ("errors", "refused", "broken") and isinstance(value, int | float) else errors(value)
        for name, value in told.items()
    )


def publish(results: dict[str, Any], place: Path | None) -> None:
    """Writes the tables between the page's markers, and the plot beside it. With `place`, both go there instead."""
    if place:
        (place / "tables.md").write_text(tables(results, list(results)))
    else:
        page = PAGE.read_text(encoding="utf-8")
        for mode in results:
            pattern = re.compile(rf"(<!-- {mode} -->\n).*?(<!-- end of {mode} -->)", re.DOTALL)
            table = tables(results, [mode])
            page = pattern.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", page)
        PAGE.write_text(page, encoding="utf-8")
    if "throughput" in results:
        source, target = (place or HERE) / RESULTS, (place or PAGE.parent) / PLOT
        subprocess.run([PYTHON, HERE / "plot.py", source, target], check=True)


def tables(results: dict[str, Any], modes: list[str]) -> str:
    """Markdown."""
    return "\n".join("\n".join([*_about(results[mode]), "", *_TABLES[mode](results[mode])]) + "\n" for mode in modes)


def _about(told: dict[str, Any]) -> list[str]:
    seen, options = told["machine"], told["options"]
    settings = ", ".join(f"{name} {value}" for name, value in seen["settings"].items())
    versions = ", ".join(f"{name} {number}" for name, number in {**seen["ours"], **seen["theirs"]}.items())
    return [
        f"Measured {told['when'][:10]} in {told['seconds']} s on {seen['cores']} cores of {seen['processor']}, "
        f"{seen['memory_gb']} GB, {seen['system']}, Python {seen['python']}; {options['workers']} workers each.",
        f"Revision {seen['revision']}. Load of the machine before: {seen['load_before']}.",
        f"PostgreSQL {seen['postgresql']} ({settings}).",
        f"Packages: {versions}.",
    ]


def _spread(value: dict[str, float], digits: int = 0) -> str:
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}-{value['max']:.{digits}f})"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [" | ".join(["", *row, ""]).strip() for row in [head, ["---"] * len(head), *rows]]


def _throughput(told: dict[str, Any]) -> list[str]:
    options = told["options"]
    floor = f" The floor runs under {told['floor_server']}." if told["floor_server"] else ""
    lines = [
        f"{options['connections']} connections, {options['rounds']} rounds of {options['seconds']} s an operation. "
        f"Median, and least and most over the rounds in brackets.{floor}",
        "",
    ]
    rows = []
    for operation in next(iter(told["summary"].values())):
        if operation in ("rss", "pss"):
            continue
        for name, seen in told["summary"].items():
            one = seen[operation]
            times = [f"{one[share]['median']:.1f}" for share in ("p50", "p95", "p99")]
            spent = f"{one['cpu']['median']:.2f}"
            rows.append([operation, TITLES[name], _spread(one["rps"]), *times, spent, str(one["errors"])])
    head = ["operation", "server", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU s per 1000", "errors"]
    lines += [*_table(head, rows), "", *_ratios(told["ratios"])]
    memory = [[TITLES[name], _spread(seen["rss"]), _spread(seen["pss"])] for name, seen in told["summary"].items()]
    return [*lines, "", *_table(["memory after each turn, MB, largest worker", "RSS", "PSS"], memory)]


def _ratios(told: dict[str, Any]) -> list[str]:
    """The ratios of those servers that were measured."""
    heads = {
        "usual": "requests/s, to the better FastAPI",
        "autocommit": "the better FastAPI with autocommit",
        **{name: TITLES[name] for name in FURTHER},
        "floor": "the floor",
        "p99": "p99, to the lowest of FastAPI",
    }
    groups = [group for group in heads if any(group in seen for seen in told.values())]
    rows = []
    for operation, seen in told.items():
        columns = []
        for group in groups:
            to = seen[group].get("to", "").removesuffix("_autocommit")
            columns.append(f"{_spread(seen[group], 2)} {to}".strip())
        rows.append([operation, *columns])
    return _table(["ratio of ours", *(heads[group] for group in groups)], rows) if rows else []


def _peers(told: dict[str, Any]) -> list[str]:
    options = told["options"]
    rows = []
    for operation, servers in told["summary"].items():
        for name, seen in servers.items():
            times = [f"{seen[share]['median']:.1f}" for share in ("p50", "p95")]
            rows.append([operation, TITLES[name], _spread(seen["rps"]), *times, _spread(seen["cpu"], 2)])
    others = list(next(iter(told["ratios"].values()), {}))
    ratios = [[op, *(_spread(seen[name], 2) for name in others)] for op, seen in told["ratios"].items()]
    return [
        f"{options['connections']} connections, {options['rounds']} slices of {options['seconds']} s, all servers up. "
        "Median, and the middle half in brackets; a ratio is that of two slices of one round.",
        "",
        *_table(["ratio of ours, requests/s, to", *(TITLES[name] for name in others)], ratios),
        "",
        *_table(["operation", "server", "requests/s", "p50 ms", "p95 ms", "CPU s per 1000"], rows),
    ]


def _flat(told: dict[str, Any]) -> list[str]:
    rows = [
        [kind, f"{seen['few_ms']:.2f}", f"{seen['many_ms']:.2f}", f"{seen['ratio']:.2f}"]
        for kind, seen in told["operations"].items()
    ]
    repeats, total = told["options"]["repeats"], told["rows"]
    head = ["median, ms", f"{told['few']} tasks", f"{told['many']} tasks", "ratio"]
    about = f"{repeats} of each, one at a time, of one worker; about {total} tasks in the table."
    return [about, "", *_table(head, rows)]


def _lists(told: dict[str, Any]) -> list[str]:
    rows = []
    for query, seen in told["lists"].items():
        cells = [f"`{query}`", str(int(seen["total"]))]
        for few, many in [(seen.get(f"{place} few"), seen.get(f"{place} many")) for place in ("first", "deep")]:
            cells += [f"{few:.1f}", f"{many:.1f}", f"{many / few:.2f}"] if few and many else [""] * 3
        rows.append(cells)
    few, many = told["few"], told["many"]
    head = [
        "list",
        f"total of {many}",
        f"first page, {few}",
        str(many),
        "ratio",
        f"deep page, {few}",
        str(many),
        "ratio",
    ]
    scans = ", ".join(f"{count} of {name}" for name, count in told["scans"].items())
    about = f"Median ms of {told['options']['repeats']}, pages of 10, each with its `total`. Sequential scans: {scans}."
    return [about, "", *_table(head, rows)]


def _operations(told: dict[str, Any]) -> list[str]:
    few, many = told["few"], told["many"]
    head = ["operation"]
    for number in (few, many):
        head += [f"requests/s of {number}", "p50 ms", "p95 ms"]
    rows = []
    for kind, seen in told["operations"].items():
        cells = [f"`{kind}`" if "=" in kind else kind]
        for name in ("few", "many"):
            cells += [_spread(seen[name]["rps"]), *(f"{seen[name][share]['median']:.1f}" for share in ("p50", "p95"))]
        slow, fast = (seen[name]["p50"]["median"] for name in ("many", "few"))
        rows.append([*cells, f"{slow / fast:.2f}" if fast else "-"])
    options = told["options"]
    about = (
        f"{told['connections']} connections of one user, {options['rounds']} slices of {options['seconds']} s of each, "
        f"the user with {few} tasks and the one with {many} in turn. Median, and the middle half in brackets."
    )
    return [about, "", *_table([*head, "ratio of p50"], rows)]


def _one_user(told: dict[str, Any]) -> list[str]:
    rows = [
        [kind, _spread(seen["rps"]), f"{seen['p50']['median']:.1f}", f"{seen['p95']['median']:.1f}"]
        for kind, seen in told["ways"].items()
    ]
    options = told["options"]
    about = f"{options['rounds']} slices of {options['seconds']} s of each, in turn. Median, and the middle half in brackets."
    return [about, "", *_table(["one user creates", "tasks/s", "p50 ms of a request", "p95 ms"], rows)]


def _open_loop(told: dict[str, Any]) -> list[str]:
    rows = []
    for name, profiles in told["profiles"].items():
        for profile, streams in profiles.items():
            for kind, seen in streams.items():
                times = [f"{seen[share]:.1f}" for share in ("p50", "p95", "p99")]
                rows.append([profile, kind, TITLES[name], *times, str(seen["requests"]), str(seen["errors"])])
    rows.sort(key=lambda row: row[:2])
    return _table(["profile", "requests", "server", "p50 ms", "p95 ms", "p99 ms", "answered", "errors"], rows)


def _memory(told: dict[str, Any]) -> list[str]:
    rows = [
        [str(point["requests"]), f"{max(point['rss']):.1f}", f"{max(point['pss']):.1f}"] for point in told["points"]
    ]
    return [*_table(["requests", "RSS, MB, largest worker", "PSS"], rows), "", f"Errors: {told['errors']}."]


def _start(told: dict[str, Any]) -> list[str]:
    rows = [[TITLES[name], _spread(seen, 2)] for name, seen in told["seconds_to_first_answer"].items()]
    return _table(["server", "seconds to the first answer"], rows)


_TABLES = {
    "throughput": _throughput,
    "peers": _peers,
    "flat": _flat,
    "lists": _lists,
    "operations": _operations,
    "one_user": _one_user,
    "open_loop": _open_loop,
    "memory": _memory,
    "start": _start,
}

if __name__ == "__main__":
    publish(json.loads((HERE / RESULTS).read_text()), None)
    sys.stdout.write(f"{PAGE.name} and {PLOT} are made anew\n")
