"""The watchers of a build, on events as the scheduler sends them. The screen is read by a terminal emulator."""

import io

import pytest

from astro_factory.cli.live_layout import layout, shorten
from astro_factory.cli.live_table import LiveTable
from astro_factory.cli.terminal import PlainLines
from astro_factory.runtime.progress import BuildProgress

START = {"event": "start", "reason": "never built"}
STEP = {"event": "progress", "done": 3, "total": 8, "unit": "steps", "figures": {"loss": 0.5}}
RAN = {"event": "end", "outcome": "ran", "reason": "", "seconds": 2.0}
FAILED = {"event": "end", "outcome": "failed", "reason": "no such luck", "seconds": 0.0}
LOST = {"event": "end", "outcome": "skipped", "reason": "needs s1", "seconds": 0.0}
LONG = {"event": "end", "outcome": "ran", "reason": "", "seconds": 3600.0}
LOAD = {"event": "phase", "name": "load"}


def planned(*names: str, cores: int = 2, **seconds: float) -> dict:
    """A build of a chain of stages, with the estimated seconds of some of them."""
    stages = [
        {
            "name": name,
            "kind": "sft",
            "needs": list(names[max(0, place - 1) : place]),
            "seconds": seconds.get(name),
            "processors": 1,
            "processor": "cores",
        }
        for place, name in enumerate(names)
    ]
    return {"spec": "x", "path": "/x.yaml", "pid": 1, "capacity": {"cores": cores, "GPUs": 0}, "stages": stages}


def plain(count: int) -> tuple[PlainLines, list[str]]:
    names = [f"s{number}" for number in range(count)]
    return PlainLines(BuildProgress(planned(*names), 0)), names


class Terminal:
    """A terminal of some size with a live table in it, and a clock that the test sets."""

    def __init__(self, monkeypatch, width: int, height: int, build: dict):
        import pyte
        from rich.console import Console

        self.screen, self.out, self.now = pyte.Screen(width, height), io.StringIO(), 1000.0
        self.screen.set_mode(pyte.modes.LNM)  # the terminal's driver writes CR before LF
        self.stream = pyte.Stream(self.screen)
        self.console = Console(
            file=self.out, force_terminal=True, width=width, height=height, _environ={}, legacy_windows=False
        )
        monkeypatch.setattr("astro_factory.cli.live_table.time.time", lambda: self.now)
        self.table = LiveTable(BuildProgress(build, self.now), self.console)
        self.table._screen.auto_refresh = False
        self.watch = self.table.__enter__()

    def after(self, seconds: float, *events: tuple[str, dict]) -> "Terminal":
        self.now += seconds
        for name, event in events:
            self.watch(name, event)
        self.table._screen.refresh()
        return self

    def resize(self, width: int, height: int) -> None:
        self.lines()
        self.console.size = (width, height)
        self.screen.resize(height, width)

    def lines(self) -> list[str]:
        """What the screen shows, without the empty rest."""
        self.stream.feed(self.out.getvalue())
        self.out.truncate(0)
        self.out.seek(0)
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().splitlines()


def test_every_one_of_a_few_stages_is_told(capsys):
    watch, _ = plain(3)
    for name, event in [("s0", START), ("s0", STEP), ("s0", STEP), ("s0", RAN), ("s1", FAILED), ("s2", LOST)]:
        watch(name, event)
    watch("other", {"event": "end", "outcome": "hit", "reason": "", "seconds": 0.0})
    watch("s0", {"event": "log", "text": "5 rows"})
    watch("s0", {"event": "metric", "step": 1, "values": {}})
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["s0", "starts (never built)"],
        ["s0", "3/8 steps loss 0.5"],
        ["s0", "ran in 2.0 s"],
        ["s1", "failed"],
        ["s2", "skipped (needs s1)"],
        ["s0", "5 rows"],
    ]


def test_of_many_stages_those_are_told_that_failed_or_took_long(capsys, monkeypatch):
    watch, names = plain(1000)
    for name in names:
        watch(name, START)
        watch(name, STEP)
        watch(name, {"s1": FAILED, "s2": LOST, "s3": LONG}.get(name, RAN))
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["s1", "failed"],
        ["s3", "ran in 3600.0 s"],
    ]
    monkeypatch.setattr("astro_factory.cli.terminal.time.monotonic", lambda: 1e12)
    watch("s4", {"event": "spent", "tokens": 1, "calls": 1})
    assert capsys.readouterr().out == "all stages     1,000/1,000 (0 running, 998 ran, 1 failed, 1 skipped)\n"


NAMES = ("problems", "trees", "a_stage_of_a_sweep[template=reflection/countdown.jinja,seed=12]", "report")


def busy(monkeypatch, width: int, height: int = 24) -> Terminal:
    """A build in which one stage has ended, two run, and one waits."""
    found = Terminal(monkeypatch, width, height, planned(*NAMES, report=60.0))
    found.after(0, (NAMES[0], START), (NAMES[1], START), (NAMES[2], START), (NAMES[2], LOAD))
    found.after(2, (NAMES[0], RAN), (NAMES[1], STEP | {"done": 1_000, "total": 300_000, "unit": "trained tokens"}))
    found.after(10, (NAMES[1], STEP | {"done": 21_000, "total": 300_000, "unit": "trained tokens"}))
    return found.after(0, (NAMES[1], {"event": "log", "text": "continues from step 1,000"}))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_live_table_fits_every_width(width, monkeypatch, golden):
    lines = busy(monkeypatch, width).lines()
    assert all(len(line) <= width for line in lines)
    first = [line.split()[0] for line in lines[1:]]
    assert first[:3] == ["elapsed", "all", "trees"] and first[4:] == ["problems", "report"]
    assert first[3].startswith("…") and first[3].endswith("seed=12]")
    golden("\n".join(lines))


def test_nothing_remains_of_the_old_table_when_the_size_changes(monkeypatch, golden):
    terminal = busy(monkeypatch, 120)
    for width, height in [(60, 24), (200, 24), (80, 5), (80, 24)]:
        terminal.resize(width, height)
        lines = terminal.after(1).lines()
        assert len(lines) == (7 if height > 5 else 4)
        assert sum(line.startswith("all stages") for line in lines) == 1
        golden("\n".join(lines))
    lines = terminal.after(1, *((name, RAN) for name in NAMES)).lines()
    assert len(lines) == 7 and lines[0] == "trees          continues from step 1,000"


def test_the_rows_of_many_stages_are_those_that_run(monkeypatch):
    names = [f"s{number}" for number in range(1000)]
    terminal = Terminal(monkeypatch, 140, 40, planned(*names))
    for name in names[:-1]:
        terminal.after(0, (name, START), (name, LOAD), (name, STEP), (name, FAILED if name == "s1" else RAN))
    terminal.after(0, ("other", RAN), (names[-1], START), (names[-1], STEP))
    lines = terminal.lines()
    assert lines[0].split() == ["s1", "failed"] and len(lines) == 4
    assert "all stages" in lines[2] and "999/1,000" in lines[2] and "1 running, 998 ran, 1 failed" in lines[2]
    assert lines[3].split()[0] == "s999" and "3/8" in lines[3]


def test_more_rows_than_lines(monkeypatch):
    names = [f"s{number}" for number in range(15)]
    terminal = Terminal(monkeypatch, 80, 8, planned(*names))
    lines = terminal.after(0, (names[-1], START)).lines()
    assert [line.split()[0] for line in lines] == ["elapsed", "all", "s14", "s0", "s1", "s2", "11"]
    assert lines[-1] == "11 more"


def test_columns_by_priority():
    assert list(layout(60, 14)) == ["name", "amount", "elapsed", "left"]
    assert list(layout(120, 14)) == ["name", "bar", "amount", "figures", "elapsed", "left"]
    for width in range(60, 240):
        widths = layout(width, 60)
        assert sum(widths.values()) + len(widths) - 1 <= width and {"name", "amount", "elapsed"} <= set(widths)
    assert [shorten("traces", 6), shorten("traces[seed=1]", 8)] == ["traces", "…seed=1]"]
