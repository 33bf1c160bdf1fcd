"""docs/evidence.md, written from docs/evidence.json: every published claim with its figure, its control and its status.

`make evidence` recomputes the figures that rest on shipped samples, then writes the page.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from docs.markdown import table

DOCS = Path(__file__).parent
FILE, PAGE = DOCS / "evidence.json", DOCS / "evidence.md"
PICTURED = "quickstart_seed0"
PICTURES = {
    DOCS / "images" / "tokens.svg": PICTURED,
    DOCS / "images" / "tokens_recipe.svg": "mixed_0",
}
"""Each picture and the export whose curves it shows."""
SAMPLES = DOCS / "samples"
"""Compact exports of evaluations, from which figures are recomputed."""

Status = Literal["holds", "null", "refuted", "measured", "not shown"]
_STATUSES: dict[Status, str] = {
    "holds": "the interval excludes 0 on the side of the claim, or, where no interval was published, three seeds agree",
    "null": "the interval includes 0: no difference is shown, and one smaller than the interval is not excluded",
    "refuted": "the control wins, and the interval excludes 0",
    "measured": "a figure without a comparison",
    "not shown": "not measured, or measured in a way that could not have refuted the claim",
}


_IN_SHORT_HEAD = (
    "One response of the model that backtracks, minus",
    "the direct arm, as many training tokens",
    "its vote",
    "the base sampled until a check accepts",
    "the same with a check of its steps",
)
_IN_SHORT = {
    "Quickstart, after fine-tuning": ("matched.sft", "matched.vote", "matched.base-check", "matched.base-steps"),
    "Quickstart, after RL": ("matched.rl", "matched.rl-vote", "seeds.check", "seeds.steps"),
    "Its traces on clean bases": ("clean.direct", "clean.vote", "clean.check", "clean.steps"),
    "On a base that never practised the check": (
        "unchecked.direct",
        "unchecked.vote",
        "unchecked.check",
        "unchecked.steps",
    ),
    "With 0.3 million parameters": ("small.direct", "small.vote", "small.check", "small.steps"),
    "Best recipe, clean bases": ("recipe0.direct", "recipe0.vote", "recipe.check", "recipe.steps"),
    "Best recipe with direct solutions beside it": ("", "", "mixed.check", "mixed.steps"),
    "Number guessing": (
        "guess.bases-direct",
        "guess.bases-vote",
        "guess-retrained.check",
        "guess-retrained.steps",
    ),
    "Number guessing, values side by side": (
        "guess-pairs.short-direct",
        "guess-pairs.short-vote",
        "guess-pairs.short-check",
        "guess-pairs.short-steps",
    ),
    "Number guessing, one condition after the other": (
        "guess-turn.direct",
        "guess-turn.vote",
        "guess-turn.check",
        "guess-turn.steps",
    ),
    "Mastermind": (
        "mastermind-compared.direct",
        "mastermind-compared.vote",
        "mastermind-compared.check",
        "mastermind-compared.steps",
    ),
    "Sorting": ("sorting.direct", "sorting.vote", "sorting.check", "sorting.steps"),
    "Kinship": ("kinship.direct", "kinship.vote", "", ""),
    "SmolLM2 on GSM8K": ("smollm.astro", "", "", ""),
}
"""Each setting with the ids of its rows, in the order of the head; empty where nothing was measured."""


class Figure(BaseModel):
    """How a claim's value is computed from an export in docs/samples."""

    model_config = ConfigDict(extra="forbid")

    samples: str
    """Name of the export."""
    kind: Literal["arm", "paired", "vote", "oracle", "sample_and_check", "check_steps", "at_limit"]
    """Which part of the report: a metric of an arm, a paired difference, a control at equal tokens, or sampling until
    the check accepts under a budget."""
    arm: str
    baseline: str = ""
    metric: str = ""
    limit: float = 0
    """Budget in tokens, for `at_limit`."""
    others: list[str] = Field(default_factory=list)
    """Exports of other seeds. The figure, a `paired` pass@1, `vote`, `sample_and_check` or `check_steps`, is then the
    mean over all of them, with an interval over seeds and clusters."""

    @property
    def exports(self) -> list[str]:
        """Every export that the figure rests on."""
        return [self.samples, *self.others]


class Claim(BaseModel):
    """One row of docs/evidence.json."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9_.-]+$")
    section: str
    claim: str
    value: float | None
    """A difference of pass@1 unless the claim states something else; None where nothing was measured."""
    low: float | None
    high: float | None
    """95 % interval; None where none was published."""
    seeds: list[int]
    each: list[float] = Field(default_factory=list)
    """The value of each seed."""
    bases: int
    """How many base models the value rests on."""
    control: str
    refuted_by: str
    command: str
    """Builds the samples of the claim; empty where no shipped spec does."""
    status: Status
    figure: Figure | None = None
    """None for a value whose samples are not shipped."""


def claims() -> list[Claim]:
    """The rows of docs/evidence.json."""
    return Evidence.model_validate_json(FILE.read_text(encoding="utf-8")).claims


class Evidence(BaseModel):
    """The content of docs/evidence.json."""

    model_config = ConfigDict(extra="forbid")

    claims: list[Claim]


def write(rows: list[Claim]) -> None:
    """Write the rows and their page."""
    FILE.write_text(Evidence(claims=rows).model_dump_json(indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_text(rows), encoding="utf-8")


def page_text(rows: list[Claim]) -> str:
    """The text of docs/evidence.md."""
    return "\n".join(part.strip() + "\n" for part in _page(rows))


def _page(rows: list[Claim]) -> Iterator[str]:
    counts = {status: sum(row.status == status for row in rows) for status in _STATUSES}
    shipped = sum(row.figure is not None for row in rows)
    yield "<!-- Written by `make evidence` from docs/evidence.json. -->"
    yield f"""\
# Evidence

Every claim of the [findings](findings.md) and of the README, with the strongest control that was run, what would
refute it, and the command. [evidence.json](evidence.json) holds the same rows for programs. {shipped} of the
{len(rows)} rows are recomputed by `make evidence` in seconds and without a model, from samples shipped in
`docs/samples`: verdicts anew from the texts of the responses, then the report. Beside each table of samples a JSON file
names the stage, its key, the digest of its whole `samples.parquet` and that of the table, so that no value changes
unnoticed. The other rows were measured by their command, and their samples are not shipped.

Values are differences of pass@1 with 95 % intervals unless the claim states something else. Over one seed, intervals
come from a bootstrap over clusters of puzzles; over three seeds, from Student's t over seeds and clusters. They are not
corrected for the number of rows. **A row rests on one base model, of 0.2 to two million
parameters, unless it says how many**, and on one set of test puzzles, with choices made on the same puzzles; on the
clean bases choices were made on other puzzles (`dev`)."""
    yield table(
        ("Status", "Rows", "Meaning"), [(name, str(counts[name]), meaning) for name, meaning in _STATUSES.items()]
    )
    yield f"""\
## In short

Differences of pass@1 with 95 % intervals: above 0 the model that backtracks is better. In the last three columns the
control has as many tokens as the response. One seed, unless a cell says more.

{in_short(rows)}"""
    yield """\
## Accuracy against tokens

![Share of puzzles solved against tokens per puzzle. One response of the direct arms solves about half with 40 tokens,
one response of astro_rl 0.76 with 149. Sampling the base until the check accepts solves 0.94 with 147
tokens.](images/tokens.svg)

The quickstart, seed 0. A solid line is one response of an arm, cut off at budgets of up to 320 tokens. A dashed line
samples the arm again until the domain's check accepts, with budgets of up to 960 tokens. The dotted line samples the
base with a check of its steps.

![On a clean base, one response of the best recipe solves 0.80 with 132 tokens. Sampling its base until the check
accepts solves 0.68 with 141, and 0.79 with 145 with a check of the steps.](images/tokens_recipe.svg)

The same for [the best recipe on a clean base](findings.md#search-in-the-model-against-search-around-it)."""
    for section in dict.fromkeys(row.section for row in rows):
        own = [row for row in rows if row.section == section]
        yield f"## {section}"
        if any(row.value is not None for row in own):
            yield table(
                ("Claim", "Value", "Seeds", "Control", "Refuted by", "Status"),
                [(row.claim, _value(row), _seeds(row), row.control, row.refuted_by, row.status) for row in own],
            )
        else:
            yield table(("Claim", "Control that is missing"), [(row.claim, row.control) for row in own])
        if commands := [command for command in dict.fromkeys(row.command for row in own) if command]:
            yield "\n".join(["```", *commands, "```"])


def in_short(rows: list[Claim]) -> str:
    """A table of the settings, each against the controls."""
    named = {row.id: row for row in rows}
    cells = [[_short(named[name]) if name else "-" for name in names] for names in _IN_SHORT.values()]
    return table(_IN_SHORT_HEAD, [(setting, *own) for setting, own in zip(_IN_SHORT, cells, strict=True)])


def _short(row: Claim) -> str:
    if row.bases > 1:
        return f"{_value(row)}, {row.bases} bases"
    return f"{_value(row)}, {len(row.seeds)} seeds" if len(row.seeds) > 1 else _value(row)


def _value(row: Claim) -> str:
    if row.value is None:
        return ""
    sign = "" if row.status == "measured" else "+"
    if row.low is None or row.high is None:
        return f"{row.value:{sign}.3f}"
    return f"{row.value:{sign}.3f} [{row.low:{sign}.3f}, {row.high:{sign}.3f}]"


def _seeds(row: Claim) -> str:
    seeds = ", ".join(map(str, row.seeds))
    return f"{seeds}: {' '.join(f'{value:+.3f}' for value in row.each)}" if row.each else seeds


def json_schema() -> dict[str, Any]:
    """The JSON Schema of docs/evidence.json."""
    return Evidence.model_json_schema()
