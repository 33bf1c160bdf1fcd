"""The watchers of a build, on events as the scheduler sends them."""

import io
import re

import pytest

from astro_factory.cli.live_layout import layout, shorten
from astro_factory.cli.terminal import LiveTable, PlainLines, Totals

START = {"event": "start", "reason": "never built"}
STEP = {"event": "progress", "done": 3, "total": 8, "unit": "steps", "figures": {"loss": 0.5}}
RAN = {"event": "end", "outcome": "ran", "reason": "", "seconds": 2.0}
FAILED = {"event": "end", "outcome": "failed", "reason": "no such luck", "seconds": 0.0}
LOST = {"event": "end", "outcome": "skipped", "reason": "needs s1", "seconds": 0.0}
LONG = {"event": "end", "outcome": "ran", "reason": "", "seconds": 3600.0}


def plain(count: int) -> tuple[PlainLines, list[str]]:
    names = [f"s{number}" for number in range(count)]
    return PlainLines(names, Totals(count)), names


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


@pytest.mark.parametrize("count", [3, 1000])
def test_the_live_table_has_rows_for_what_runs(count):
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=140, height=40)
    names = [f"s{number}" for number in range(count)]
    with LiveTable(names, Totals(count), console) as watch:
        for name in names[:-1]:
            for event in (START, {"event": "phase", "name": "load"}, STEP, FAILED if name == "s1" else RAN):
                watch(name, event)
        watch("other", {"event": "end", "outcome": "hit", "reason": "", "seconds": 0.0})
        watch(names[-1], START)
        watch(names[-1], STEP)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    last = [line.split() for line in lines[-3:]]
    if count == 3:
        assert [row[0] for row in last] == ["s2", "s0", "s1"] and "3/8" in last[0] and last[1][2] == "ran"
        assert lines[-4].split()[:2] == ["all", "stages"] and "2/3" in lines[-4]
    else:
        assert len({line.split()[0] for line in lines if line.strip()} & set(names)) < 60, "no row for each of them"
        assert any(line.split()[:2] == ["s1", "failed"] for line in lines)
        assert "all stages" in lines[-2] and "999/1,000" in lines[-2] and "1 running, 998 ran, 1 failed" in lines[-2]
        assert last[-1][0] == "s999" and "3/8" in last[-1]


def test_how_long_a_stage_will_still_take(monkeypatch):
    from astro_factory.cli.terminal import _Row

    now = [100.0]
    monkeypatch.setattr("astro_factory.cli.terminal.time.monotonic", lambda: now[0])
    row = _Row()
    assert row.times() == ("", "")
    for seconds, event in [
        (100, START),
        (160, STEP | {"done": 50, "total": 100}),
        (190, STEP | {"done": 60, "total": 100}),
    ]:
        now[0] = float(seconds)
        row.take(event)
    assert row.times() == ("0:01:30", "0:02:00"), "forty steps at the ten in half a minute seen here"
    row.take(RAN)
    now[0] = 9999.0
    assert row.times() == ("0:01:30", "")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_live_table_fits_every_width(width):
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, height=40)
    names = ["trees", "a_stage_of_a_sweep[template=reflection/countdown.jinja,seed=12]"]
    with LiveTable(names, Totals(2), console) as watch:
        for name in names:
            watch(name, START)
            watch(name, STEP | {"done": 12_000, "total": 300_000, "unit": "trained tokens"})
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    assert all(len(line) <= width for line in lines)
    assert any(line.startswith("…") and line.split()[0].endswith("seed=12]") for line in lines)
    assert any("12,000/300,000" in line and "0:00:0" in line for line in lines)
    assert any("loss 0.5" in line for line in lines) == (width >= 120)


def test_columns_by_priority():
    assert list(layout(60, 14)) == ["name", "amount", "elapsed", "left"]
    assert list(layout(120, 14)) == ["name", "bar", "amount", "figures", "elapsed", "left"]
    for width in range(60, 240):
        widths = layout(width, 60)
        assert sum(widths.values()) + len(widths) - 1 <= width and {"name", "amount", "elapsed"} <= set(widths)
    assert [shorten("traces", 6), shorten("traces[seed=1]", 8)] == ["traces", "…seed=1]"]
