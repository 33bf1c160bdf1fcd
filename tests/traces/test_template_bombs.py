"""Templates that try to exhaust memory, time or Python's stack. Each must be an ordinary error, found cheaply."""

import time
from pathlib import Path
from shutil import copytree

import pytest

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.core.shipped import shipped_folder
from astro_factory.core.workers import SharedWorker
from astro_factory.traces import template_worker
from astro_factory.traces.template_loader import compile_template


def block(text: str) -> str:
    return f"{{% block wrong %}}{text}{{% endblock %}}"


def doubled(start: str, growth: str, use: str) -> str:
    """Grows a nested value by doubling it 40 times, then uses it."""
    loop = f"{{% for i in range(40) %}}{{% set ns.x = {growth} %}}{{% endfor %}}"
    return block(f"{{% set ns = namespace(x={start}) %}}{loop}{use}")


def nested(use: str) -> str:
    return doubled("['ab']", "[ns.x, ns.x]", use)


def straight_line(use: str) -> str:
    """Doubles a nested list 40 times without a loop."""
    steps = "".join(f"{{% set a{i + 1} = [a{i}, a{i}] %}}" for i in range(40))
    return block("{% set a0 = ['ab'] %}" + steps + use)


def includes(width: int, depth: int) -> dict[str, str]:
    files = {f"l{i}": f'{{% include "l{i + 1}.jinja" %}}' * width for i in range(depth)}
    return files | {f"l{depth}": "lol", "mine": block('{% include "l0.jinja" %}')}


BOMBS: dict[str, str | dict[str, str]] = {
    # memory
    "join": block("{{ range(99999) | join('x' ~ range(9999) | join) }}"),
    "join of a long text": block("{% set x = range(4000) | join %}{{ range(99999) | join(x) }}"),
    "sum of lists": block("{{ [[1, 2]] | sum(start=[]) | length }}"),
    "sum doubling": doubled("[1]", "[ns.x, ns.x] | sum(start=[])", "{{ ns.x | length }}"),
    "zfill": block("{{ 'x'.encode().zfill(20000000000) }}"),
    "to_bytes": block("{{ (5).to_bytes(20000000000, 'big') | length }}"),
    "bytes *": block("{{ ('x'.encode() * 20000000000) | length }}"),
    "ljust": block("{{ 'x'.ljust(20000000000) }}"),
    "expandtabs": block("{{ '\t'.expandtabs(2000000000) }}"),
    "macro text": "{% macro m() %}" + "x" * 9000 + "{% endmacro %}" + block("{{ m() ~ m() ~ m() }}"),
    "text in a loop of a macro": "{% macro m() %}{% for i in range(9999) %}" + "x" * 9000 + "{% endfor %}{% endmacro %}"
    + block("{% set x = m() %}"),
    "set block": block("{% set x %}{% for i in range(9999) %}" + "y" * 9000 + "{% endfor %}{% endset %}"),
    "lists of texts": doubled("[]", "ns.x + [range(4000) | join]", "{{ ns.x | length }}"),
    # time
    "round": block("{{ 1 | round(30000000, 'ceil') }}"),
    "round down": block("{{ 1 | round(-30000000, 'floor') }}"),
    "nested list as text": nested("{{ ns.x | string | length }}"),
    "nested list compared": nested("{% if ns.x == ns.x + [1] %}{% endif %}"),
    "nested list in lower case": nested("{{ ns.x | lower | length }}"),
    "nested tuple as a key": doubled("('ab',)", "(ns.x, ns.x)", "{% set d = {ns.x: 1} %}"),
    "nested list and ~": nested("{{ (ns.x ~ '') | length }}"),
    "nested list, no loop": straight_line("{{ a40 | string | length }}"),
    "nested list is lower": nested("{% if ns.x is lower %}{% endif %}"),
    "nested dicts": doubled("{'a': 1}", "{'a': ns.x, 'b': ns.x}", "{{ ns.x | string | length }}"),
    "nested dict()": doubled("dict(a=1)", "dict(a=ns.x, b=ns.x)", "{{ ns.x | string | length }}"),
    "sorted in a loop": block("{% for i in range(9999) %}{% set x = range(9999) | sort %}{% endfor %}"),
    "compared in a loop": block(
        "{% set x = range(9999) | list %}{% set y = range(9999) | list %}"
        "{% for i in range(9999) %}{% if x == y and x == y and x == y %}{% endif %}{% endfor %}"
    ),
    "long body of a loop": block("{% for i in range(9999) %}" + "{% set x = i + 1 %}" * 800 + "{% endfor %}"),
    "filtered loop": block(
        "{% set x = range(9999) | list %}{% for i in range(9999) %}{% for j in x if j < 0 %}{% endfor %}{% endfor %}"
    ),
    "text in a range": block(
        "{% set x = range(99999) %}{% for i in range(9999) %}{% if 'a' in x %}{% endif %}{% endfor %}"
    ),
    "filters in a row": block(
        "{% for i in range(9) %}{{ range(9999)" + " | map('abs')" * 50 + " | list | length }}{% endfor %}"
    ),
    "attributes in a row": block(
        "{% set x = range(9999) | list %}{% for i in range(99) %}{{ x" + " | map(attribute='real')" * 50
        + " | list | length }}{% endfor %}"
    ),
    "slices": block("{% set x = range(9999) | list %}{% for i in range(9999) %}{% set y = x[1:] %}{% endfor %}"),
    "counting": block(
        "{% set x = range(9999) | list %}{% for i in range(9999) %}{% set y = x.count(-1) %}{% endfor %}"
    ),
    "tests of items": block("{% for i in range(99) %}{{ range(9999) | select('odd') | list | length }}{% endfor %}"),
    "recursive loop": block(
        "{% for i in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}"
    ),
    # includes
    "10 x 10 includes": includes(10, 10),
    "include recursion": {
        "mine": block('{% set ns = namespace(n=0) %}{% include "again.jinja" %}'),
        "again": '{% set ns.n = ns.n + 1 %}{% if ns.n < 99999 %}{% include "again.jinja" %}{% include "again.jinja" %}'
        "{% endif %}",
    },
    "a block that calls itself": block("{{ self.wrong() }}{{ self.wrong() }}"),
    "many files": {"mine": block('{% include "f0.jinja" %}')}
    | {f"f{i}": f'{{% include "f{i + 1}.jinja" %}}' for i in range(150)} | {"f150": ""},
    # Python's stack and parser
    "5,000 digits": block("{{ " + "9" * 5000 + " }}"),
    "400 digits": block("{{ " + "9" * 400 + " }}"),
    "parentheses": block("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"),
    "not": block("{{ " + "not " * 3000 + "1 }}"),
    "lists": block("{{ " + "[" * 3000 + "]" * 3000 + " | length }}"),
    "if": block("{% if 1 %}" * 3000 + "{% endif %}" * 3000),
    "for": block("{% for i in [1] %}" * 3000 + "{% endfor %}" * 3000),
    "25 nested loops": block("{% for i in [1] %}" * 25 + "{% endfor %}" * 25),
    "chained sum": block("{{ " + "1 + " * 5000 + "1 }}"),
    "chained attributes": block("{{ node" + ".facts" * 5000 + " }}"),
    "many tags": block("{{ 1 }}" * 6_000),
    "large file": block("x" * 300_000),
    "very large file": block("x" * 3_000_000),
}  # fmt: skip


def check_bomb(folder: Path, bomb: str | dict[str, str]) -> list[Diagnostic]:
    files = {"mine": bomb} if isinstance(bomb, str) else bomb
    for name, text in files.items():
        (folder / f"{name}.jinja").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        compile_template("mine.jinja", [folder])
    return caught.value.diagnostics


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_an_ordinary_error(tmp_path, bomb, golden):
    """Caught by the sandbox, before the worker's limits of time and memory."""
    start = time.monotonic()
    found = check_bomb(tmp_path, bomb)
    assert time.monotonic() - start < 10
    assert {diagnostic.code for diagnostic in found} <= {"E303", "E305", "E311", "E312"}
    assert all("\n" not in diagnostic.cause for diagnostic in found)
    assert not any(diagnostic.cause.startswith("checking template") for diagnostic in found)
    golden("\n".join(f"{d.code} {d.cause}; {d.remedy}" for d in found))


def test_nothing_is_evaluated_before_rendering(tmp_path):
    text = block("{% if false %}{{ 1 | round(30000000, 'ceil') }}{{ 'x'.ljust(20000000000) }}{% endif %}")
    (tmp_path / "mine.jinja").write_text(text, encoding="utf-8")
    assert compile_template("mine.jinja", [tmp_path]).sources == {"mine.jinja": text}


@pytest.mark.parametrize("limit", ["_CPU_S", "_MEMORY_BYTES"])
def test_the_worker_ends_what_the_sandbox_lets_through(tmp_path, monkeypatch, limit, golden):
    """With a sandbox that has no limits of its own."""
    worker = SharedWorker(f"{__name__}:without_limits", memory_bytes=512 << 20, respawn=True)
    monkeypatch.setattr(template_worker, "_worker", worker)
    monkeypatch.setattr(template_worker, "_MEMORY_BYTES", 512 << 20)
    if limit == "_CPU_S":  # on a slow machine, less time would end the other case before its memory does
        monkeypatch.setattr(template_worker, "_CPU_S", 0.5)
    text = "{{ 1 + 1 }}" if limit == "_CPU_S" else "x"
    [found] = check_bomb(tmp_path, block(text))
    assert found.code == "E312"
    golden(f"{found.code} {found.cause}; {found.remedy}")


def test_only_shipped_templates_and_unchanged_copies_are_checked_in_this_process(tmp_path, monkeypatch):
    checked = []
    original = template_worker.load_and_check
    monkeypatch.setattr(template_worker, "load_and_check", lambda *args: checked.append(args[0]) or original(*args))
    shipped = shipped_folder("templates")
    copytree(shipped, tmp_path / "templates")
    for name in ("reflection/paper.jinja", "reflection/terse.jinja"):
        compile_template(name, [tmp_path / "templates", shipped])
    assert checked == []
    with (tmp_path / "templates/reflection/shared/words.jinja").open("a") as file:
        file.write("{# changed #}")
    compile_template("reflection/terse.jinja", [tmp_path / "templates", shipped])
    assert checked == ["reflection/terse.jinja"]


def without_limits(request: tuple) -> tuple:
    """Stands for a hole in the sandbox: runs on for plain text, takes memory for other templates."""
    entry, [folder], _ = request
    if "+" in (folder / entry).read_text():
        while True:
            pass
    held = []
    while True:
        held.append(bytearray(64 << 20))
