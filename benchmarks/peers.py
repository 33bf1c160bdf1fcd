"""One graph of trivial stages in the form of each build tool, for `benchmarks.build`.

A stage writes the SHA-256 of its own text and of its inputs' digests. Each tool gets the form that suits it best: DVC
and Snakemake a shell line per stage, which saves them a Python process, redun and ours a Python function.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from astro_factory.store import Store

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers/bin"


class Stage(NamedTuple):
    name: str
    text: str
    reads: tuple[str, ...]


def graph(count: int) -> list[Stage]:
    """A chain of a tenth of the stages, a fan of the others that read its links, and one that reads the whole fan."""
    chain = max(3, count // 10)
    stages = [Stage(f"c{i}", f"c{i}", (f"c{i - 1}",) if i else ()) for i in range(chain)]
    stages += [Stage(f"f{i}", f"f{i}", (f"c{i % chain}",)) for i in range(count - chain - 1)]
    return [*stages, Stage("join", "join", tuple(stage.name for stage in stages[chain:]))]


def changed(stages: Sequence[Stage]) -> list[Stage]:
    """The graph with another text in one stage of the fan, which only the last one reads."""
    return [stage._replace(text="changed") if stage.name == "f0" else stage for stage in stages]


def expected(stages: Sequence[Stage]) -> str:
    """What the last stage of a graph writes."""
    digests: dict[str, str] = {}
    for stage in stages:
        text = f"{stage.text}\n" + "".join(digests[name] for name in stage.reads)
        digests[stage.name] = f"{hashlib.sha256(text.encode()).hexdigest()}  -\n"
    return digests["join"]


def _shell(text: str, inputs: str, output: str) -> str:
    return f"(echo {text}; cat /dev/null {inputs}) | sha256sum > {output}"


def _write_ours(folder: Path, stages: Sequence[Stage]) -> None:
    lines = (f"  {s.name}: {{kind: trivial, text: {s.text}, reads: [{', '.join(s.reads)}]}}\n" for s in stages)
    (folder / "spec.yaml").write_text(f"factory: 1\nname: bench\nstages:\n{''.join(lines)}")


def _read_ours(folder: Path) -> str:
    store = Store(folder / ".astro")
    return (store.output(store.result(store.heads("bench")["join"])) / "digest").read_text()


def _write_dvc(folder: Path, stages: Sequence[Stage]) -> None:
    (folder / "out").mkdir(exist_ok=True)
    entries = {}
    for stage in stages:
        inputs, output = [f"out/{name}" for name in stage.reads], f"out/{stage.name}"
        entries[stage.name] = {"cmd": _shell(stage.text, " ".join(inputs), output), "deps": inputs, "outs": [output]}
    (folder / "dvc.yaml").write_text(json.dumps({"stages": entries}))


def _write_snakemake(folder: Path, stages: Sequence[Stage]) -> None:
    (folder / "stages.json").write_text(json.dumps({s.name: {"text": s.text, "reads": s.reads} for s in stages}))
    command = _shell("{params.text}", "{input}", "{output}")
    (folder / "Snakefile").write_text(f"""
import json
STAGES = json.load(open("stages.json"))
rule all:
    input: "out/join"
rule stage:
    input: lambda wildcards: ["out/" + name for name in STAGES[wildcards.name]["reads"]]
    output: "out/{{name}}"
    params: text=lambda wildcards: STAGES[wildcards.name]["text"]
    shell: "{command}"
""")


def _write_redun(folder: Path, stages: Sequence[Stage]) -> None:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "stages.json").write_text(json.dumps(stages))
    (folder / "workflow.py").write_text("""
import hashlib
import json
from redun import File, task

redun_namespace = "bench"

@task()
def stage(name: str, text: str, inputs: list) -> File:
    text = text + "\\n" + "".join(file.read() for file in inputs)
    file = File("out/" + name)
    file.write(hashlib.sha256(text.encode()).hexdigest() + "  -\\n")
    return file

@task(cache=False)
def main() -> File:
    made = {}
    for name, text, reads in json.load(open("stages.json")):
        made[name] = stage(name, text, [made[read] for read in reads])
    return made["join"]
""")


def _read_out(folder: Path) -> str:
    return (folder / "out/join").read_text()


@dataclass(frozen=True)
class Tool:
    """How a tool gets a graph, runs it, and returns its output."""

    write: Callable[[Path, Sequence[Stage]], None]
    command: tuple[str, ...]
    read: Callable[[Path], str] = _read_out
    prepare: tuple[str, ...] = ()
    """Run once in a new folder, outside the clock."""

    def there(self) -> bool:
        return Path(self.command[0]).exists()


CORES = str(os.cpu_count())
TOOLS = {
    "astro-factory": Tool(
        _write_ours, (sys.executable, "-m", "benchmarks.trivial", "build", "spec.yaml", "--json"), _read_ours
    ),
    "dvc": Tool(_write_dvc, (str(PEERS / "dvc"), "repro", "--quiet"), prepare=(str(PEERS / "dvc"), "init", "--no-scm")),
    "snakemake": Tool(_write_snakemake, (str(PEERS / "snakemake"), "--cores", CORES, "--quiet", "all")),
    "redun": Tool(_write_redun, (str(PEERS / "redun"), "run", "workflow.py", "main")),
}
