"""docs/evidence.md: current, complete, and its figures follow from the shipped samples."""

import json
import re
import shlex
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from astro_factory.evaluation.report_tables import headline_grids
from benchmarks.evidence import Export, contradicts, differs, figure_of, over_seeds, recomputed
from docs.evidence import PAGE, PICTURED, PICTURES, SAMPLES, claims, in_short, page_text
from docs.token_picture import picture

ROOT = Path(__file__).parents[2]
CLAIMS = claims()
RECOMPUTED = [claim for claim in CLAIMS if claim.figure]


@pytest.fixture(scope="module")
def exports():
    return {name: Export(name) for name in {name for claim in RECOMPUTED for name in claim.figure.exports}}


def test_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page_text(CLAIMS), "run `make evidence` and commit"


def test_ids_are_unique():
    assert not [name for name, count in Counter(claim.id for claim in CLAIMS).items() if count > 1]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_row_is_filled_or_marked_as_not_shown(claim):
    assert not contradicts(claim)
    if claim.value is None:
        assert claim.status == "not shown"
        assert claim.control
    else:
        assert claim.command
        assert claim.seeds
    if claim.status in ("holds", "null", "refuted"):
        assert claim.control
        assert claim.refuted_by


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if len(claim.each) > 1], ids=lambda claim: claim.id)
def test_the_seeds_have_the_mean(claim):
    assert len(claim.each) == len(claim.seeds)
    assert sum(claim.each) / len(claim.each) == pytest.approx(claim.value, abs=0.0011)


@pytest.mark.parametrize("claim", RECOMPUTED, ids=lambda claim: claim.id)
def test_a_figure_rests_on_one_export_for_each_seed(claim):
    assert len(claim.figure.exports) == len(claim.seeds)
    assert len(claim.each) == (len(claim.seeds) if len(claim.seeds) > 1 else 0)
    assert claim.bases <= len(claim.seeds)


@pytest.mark.parametrize("claim", RECOMPUTED, ids=lambda claim: claim.id)
def test_the_control_that_a_row_names_is_the_one_that_is_computed(claim):
    if claim.figure.kind in ("sample_and_check", "check_steps", "vote"):
        assert claim.figure.kind in claim.control


def build_of(words: Sequence[str]) -> tuple[str, str, str | None, frozenset[str]]:
    """Spec, stage, profile and settings of `astro-factory build`, without settings that change nothing or only leave
    arms of a report out."""
    options = ArgumentParser()
    options.add_argument("spec")
    options.add_argument("stage")
    options.add_argument("--set", action="append", default=[])
    options.add_argument("--profile")
    found = options.parse_args(words)
    changes = [text for text in found.set if not re.match(r"params\.(base|seed)=0$|stages\.\w+_report\.", text)]
    return found.spec, found.stage, found.profile, frozenset(changes)


@pytest.mark.parametrize("claim", RECOMPUTED, ids=lambda claim: claim.id)
def test_the_command_of_a_row_builds_one_of_its_exports(claim):
    built = []
    for name in claim.figure.exports:
        about = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
        options = [f"--set={text}" for text in about["set"]]
        options += [f"--profile={about['profile']}"] if "profile" in about else []
        built.append(build_of([*about["target"].split(":"), *options]))
    assert build_of(shlex.split(claim.command.rpartition("astro-factory build ")[2])) in built


def test_commands_name_files_that_exist():
    named = {path for claim in CLAIMS for path in re.findall(r"specs/\S+?\.yaml", claim.command)}
    assert named
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_every_difference_of_the_findings_has_a_row():
    text = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    printed = {float(number) for number in re.findall(r"([+-]0?\.\d{3}) \[", text)}
    known = [value for claim in CLAIMS for value in (claim.value, *claim.each) if value is not None]
    assert len(printed) > 30
    assert not [number for number in printed if min(abs(number - value) for value in known) > 0.00051]


@pytest.mark.parametrize("page", ["README.md", "docs/findings.md"])
def test_every_interval_of_a_page_is_that_of_a_row(page):
    """The same difference has the same interval wherever it is printed, whichever arm stands first."""
    text = (ROOT / page).read_text(encoding="utf-8")
    number = r"([+-]?[01]?\.\d{3,4})"
    printed = re.findall(rf"{number} \[{number}, {number}\]", text)
    known = [(c.value, c.low, c.high) for c in CLAIMS if c.value is not None and c.low is not None]
    known += [(-value, -high, -low) for value, low, high in known]
    assert len(printed) > 25
    wrong = [
        found
        for found in printed
        if not any(all(abs(float(a) - b) <= 0.00051 for a, b in zip(found, row, strict=True)) for row in known)
    ]
    assert not wrong


def _tables(text: str) -> list[list[dict[str, str]]]:
    """The tables of a page: each row by the names of its columns."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]
    return [[dict(zip(header, row, strict=True)) for row in others] for header, _, *others in rows]


def test_seeds_means_and_differences_of_a_table_agree():
    """A figure of a run whose samples are not shipped stands in several places of its table."""
    score, seeds, difference = "pass@1[avg-of-8]", "seeds 0, 1, 2", "difference, 95%"
    tables, checked = _tables((ROOT / "docs/findings.md").read_text(encoding="utf-8")), 0
    for table in tables:
        baselines: dict[str, float] = {}
        for row in table:
            if "each seed" in row:
                row |= {score: row["difference"].split()[0], seeds: row["each seed"]}
            if seeds not in row:
                continue
            own = [float(value) for value in row[seeds].split()]
            assert sum(own) / 3 == pytest.approx(float(row[score]), abs=0.0011), row
            baseline = baselines.setdefault(row.get("arm", ""), float(row[score]))
            if row.get(difference):
                assert float(row[difference].split()[0]) == pytest.approx(float(row[score]) - baseline, abs=0.0016), row
            checked += 1
    assert checked > 40


def test_every_score_of_the_readme_stands_elsewhere(exports):
    """In a row, in the report that the README prints, or in the findings."""
    text, findings = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/findings.md"))
    known = [value for c in CLAIMS for value in (c.value, c.low, c.high, *c.each) if value is not None]
    known += [found.value for arm in exports[PICTURED].report.arms.values() for found in arm.values()]
    known += [float(number) for number in re.findall(r"(?<![\d.])0?\.\d{3}", findings)]
    printed = re.findall(r"(?<![\d.])[+-]?[01]\.\d{3}", text)
    assert len(printed) > 100
    assert not [one for one in printed if min(abs(abs(float(one)) - abs(value)) for value in known) > 0.00051]


def test_the_readme_shows_the_tables_of_the_report(exports):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [re.split(" {2,}", line.strip()) for line in text.splitlines()]
    arms, pairs = headline_grids(exports[PICTURED].report)
    assert [row for row in arms.rows if row not in lines] == []
    assert [row for row in pairs.rows if row not in lines and "check of its steps" not in row[0]] == []


def test_figures_follow_from_the_samples(exports):
    assert [
        claim.id for claim, new in zip(CLAIMS, recomputed(CLAIMS, exports), strict=True) if differs(claim, new)
    ] == []


@pytest.mark.parametrize("change", [{"kind": "arm"}, {"kind": "oracle"}, {"metric": "tokens[mean]"}])
def test_no_other_figure_over_seeds_passes_for_one_of_pass_at_1(exports, change):
    claim = next(claim for claim in CLAIMS if claim.figure and claim.figure.others and claim.figure.kind == "paired")
    changed = claim.model_copy(update={"figure": claim.figure.model_copy(update=change)})
    with pytest.raises(ValueError, match="no figure over seeds"):
        recomputed([changed], exports)


@pytest.mark.parametrize("kind", ["paired", "vote", "sample_and_check", "check_steps"])
def test_the_mean_over_a_single_seed_is_the_figure_of_its_report(exports, kind):
    name = "matched_sft_seed0"
    figure = next(c.figure for c in RECOMPUTED if c.figure.samples == name and c.figure.kind == kind)
    each, (value, *_) = over_seeds(figure, [exports[name]])
    assert [value] == pytest.approx(each)
    assert value == pytest.approx(figure_of(exports[name].report, figure)[0], abs=1e-6)


def test_a_loop_that_ran_out_of_samples_widens_the_interval_over_seeds_too(exports):
    """6 of 100 runs against `direct_rl` had budget left; were all of them right, the arm would lead by .06 less."""
    figure = next(c.figure for c in RECOMPUTED if c.id == "seed0.astro_rl-steps-direct_rl")
    _, (value, low, high) = over_seeds(figure, [exports[PICTURED]])
    assert low < value - 0.06 and high - value < 0.05


def test_verdicts_follow_from_the_texts(exports):
    assert {name: export.changed_verdicts() for name, export in exports.items()} == dict.fromkeys(exports, 0)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pictures_are_current(exports, path):
    assert path.read_text(encoding="utf-8") == picture(exports[PICTURES[path]].report), "run `make evidence` and commit"


def test_the_readme_shows_the_recomputed_figures(exports):
    """Each arm and each difference that the README prints, to three decimals, and the table of settings."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {claim.id: claim for claim in RECOMPUTED}
    arms = re.findall(r"^  (\w+) +(0\.\d{3}) \[(0\.\d{3}), (0\.\d{3})\]", text, re.MULTILINE)
    assert {f"seed0.{arm}" for arm, *_ in arms} == {f"seed0.{arm}" for arm in exports[PICTURED].report.arms}
    pairs = re.findall(r"^  (\w+) - (.+?) +([+-]0\.\d{3}) \[([+-]0\.\d{3}), ([+-]0\.\d{3})\]", text, re.MULTILINE)
    printed = {f"seed0.{arm}": numbers for arm, *numbers in arms}
    for arm, baseline, *numbers in pairs:
        other, _, control = baseline.partition("'s vote")
        sampled = re.fullmatch(r"sampling (\w+) (until the check accepts|with a check of its steps)", baseline)
        kind = "steps" if sampled and sampled[2].startswith("with") else "check"
        name = f"{arm}-{kind}-{sampled[1]}" if sampled else f"{arm}-vote-{other}" if control else f"{arm}-{other}"
        printed[f"seed0.{name}"] = numbers
    assert len(printed) == 19
    for name, numbers in printed.items():
        found = (named[name].value, named[name].low, named[name].high)
        assert [float(number) for number in numbers] == pytest.approx(found, abs=0.00051), name
    assert in_short(CLAIMS) in text, "copy the table of docs/evidence.md"


def test_tables_are_those_that_were_exported(exports, tmp_path):
    assert [name for name, export in exports.items() if not export.is_whole()] == []
    for ending, more in ((".json", b""), (".parquet", b" ")):
        (tmp_path / f"{PICTURED}{ending}").write_bytes((SAMPLES / f"{PICTURED}{ending}").read_bytes() + more)
    assert not Export(PICTURED, tmp_path).is_whole()


def test_every_export_is_used(exports):
    assert {path.stem for path in SAMPLES.glob("*.parquet")} == set(exports)


def test_a_wrong_figure_and_a_wrong_status_are_found(exports):
    claim = next(claim for claim in RECOMPUTED if claim.status == "holds")
    value, low, high = figure_of(exports[claim.figure.samples].report, claim.figure)
    assert differs(claim, claim.model_copy(update={"value": value + 0.001}))
    assert differs(claim, claim.model_copy(update={"low": None}))
    assert contradicts(claim.model_copy(update={"status": "null"}))
    assert contradicts(claim.model_copy(update={"value": high + 0.001}))
    assert contradicts(claim.model_copy(update={"low": -high, "high": high}))
    assert low > 0


def test_a_wrong_seed_and_seeds_that_disagree_are_found():
    claim = next(claim for claim in RECOMPUTED if claim.each)
    assert differs(claim, claim.model_copy(update={"each": [claim.each[0] + 0.001, *claim.each[1:]]}))
    assert differs(claim, claim.model_copy(update={"each": claim.each[1:]}))
    unpublished = claim.model_copy(update={"low": None, "high": None, "status": "holds"})
    assert not contradicts(unpublished.model_copy(update={"each": [0.1, 0.2, 0.1]}))
    assert contradicts(unpublished.model_copy(update={"each": [0.1, -0.2, 0.1]}))
    assert contradicts(unpublished.model_copy(update={"each": [], "value": 0.2}))
    assert contradicts(unpublished.model_copy(update={"status": "refuted"}))
