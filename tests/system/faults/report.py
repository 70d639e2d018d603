"""The figures of a run: printed as they come, and written into the page between its markers."""

import platform
import re
import time
from pathlib import Path

import psutil

from tests.system.faults.observation import Row

PAGE = Path(__file__).parents[3] / "docs" / "reliability.md"
HEAD = "| fault | times | requests meanwhile | of them 503 | closed or refused | slowest reply or end | good again after its end | holds |"


class Report:
    """What was found. With `page`, each finding is written there at once, so that a run that is ended leaves what it found."""

    def __init__(self, page: Path | None, what: str) -> None:
        self._page = page
        self._began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        self._what = what
        self._rows: list[Row] = []
        self._figures: list[tuple[str, str, bool]] = []
        self._load = psutil.getloadavg()[0]

    @property
    def holds(self) -> bool:
        """Return whether every finding holds."""
        return all(row.holds for row in self._rows) and all(holds for *_, holds in self._figures)

    def row(self, row: Row) -> None:
        """A fault is over."""
        self._rows.append(row)
        self._say(_line(row), row.complaints)

    def figure(self, name: str, text: str, *, holds: bool) -> None:
        """Something else was measured."""
        self._figures.append((name, text, holds))
        self._say(f"{name}: {text}" + ("" if holds else " - DOES NOT HOLD"), [])

    def _say(self, line: str, complaints: list[str]) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
        for complaint in dict.fromkeys(complaints):
            print(f"    {complaint}", flush=True)
        if self._page:
            self._write(self._page)

    def _write(self, page: Path) -> None:
        text = page.read_text(encoding="utf-8")
        block = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)
        page.write_text(block.sub(lambda found: found[1] + self.text() + found[2], text), encoding="utf-8")

    def text(self) -> str:
        """Everything so far, in Markdown."""
        memory = psutil.virtual_memory().total / 2**30
        machine = f"{psutil.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
        lines = [f"{self._began}. {machine}; load of the machine before: {self._load:.1f}. {self._what}", ""]
        lines += [HEAD, "|---|---|---|---|---|---|---|---|", *map(_line, self._rows), ""]
        lines += [
            f"- **{name}**: {text}. {'Holds' if holds else '**Does not hold**'}." for name, text, holds in self._figures
        ]
        broken = [f"- {row.name}: {text}" for row in self._rows for text in dict.fromkeys(row.complaints)]
        if broken:
            lines += ["", "What does not hold, of the faults:", "", *broken]
        return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    closed = row.outcomes["closed"] + row.outcomes["refused"]
    cells = [
        f"{row.name}: {row.what}",
        str(row.times),
        str(row.requests),
        str(row.outcomes[503]),
        str(closed),
        f"{row.longest:.1f} s",
        f"{max(0.0, row.back):.1f} s",
        "yes" if row.holds else "**no**",
    ]
    return f"| {' | '.join(cells)} |"
