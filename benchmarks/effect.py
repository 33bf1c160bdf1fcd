"""The effect over seeds: builds a spec once per seed and pools the differences between arms over problems and seeds.

    python -m benchmarks.effect specs/quickstart.yaml --stage report --seeds 0 1 2 --store .astro --json

Differences are paired: the same problems, the same sampling seeds. The last line is JSON with the figures of each seed
and the pooled ones.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from astro_factory.core.tables import read_table
from astro_factory.evaluation.metrics import solved_at
from astro_factory.evaluation.seeds import mean_over_seeds
from astro_factory.plan import make_plan
from astro_factory.runtime import BuildOptions, build
from astro_factory.spec import compile_spec
from astro_factory.store import Store

Place = tuple[str, str, str]
"""Source, problem and cluster."""


def built(spec: Path, stage: str, seed: int, store: Store, profile: str | None, jobs: int | None) -> tuple[Path, float]:
    """Build a spec up to a stage with one seed; the folder of the stage's output and the seconds it took."""
    graph = compile_spec(spec, sets=[f"params.seed={seed}"], profile=profile)
    started = time.monotonic()
    done = build(make_plan(graph, store, targets=[stage]), store, _say, BuildOptions(jobs=jobs))
    if not done.ok:
        raise SystemExit("\n".join(f"{name}: {cause}" for name, cause in done.failures.items()))
    return store.output(done.results[stage]), time.monotonic() - started


def _say(name: str, event: dict[str, Any]) -> None:
    if event["event"] in ("start", "end"):
        print(f"{name} {event.get('outcome', 'starts')}", flush=True)


def pass_rates(folder: Path, samples: int) -> dict[str, dict[Place, float]]:
    """Arm to (source, problem, cluster) to the share of its first `samples` samples that are right."""
    rows = defaultdict(lambda: defaultdict(list))
    for row in read_table(folder / "samples.parquet"):
        if row["sample"] < samples:
            rows[row["arm"]][row["source"], row["problem"], row["cluster"]].append(row)
    return {arm: {key: solved_at(found, 1) for key, found in problems.items()} for arm, problems in rows.items()}


def differences(ours: dict[Place, float], theirs: dict[Place, float]) -> dict[Place, float]:
    """The difference of each problem that both have."""
    return {place: ours[place] - theirs[place] for place in ours if place in theirs}


def pooled(differences: list[dict[Place, float]]) -> dict[str, float]:
    """Mean over seeds of per-problem differences; its interval covers other seeds and other clusters of problems.

    With one seed it covers other problems alone. Raises `ValueError` where there are no differences.
    """
    rows = [(value, cluster, seed) for seed, own in enumerate(differences) for (*_, cluster), value in own.items()]
    if not rows:
        raise ValueError("the arms have no problem in common")
    found = mean_over_seeds(*zip(*rows, strict=True))
    return {"difference": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def compare(folders: list[Path]) -> dict[str, Any]:
    """Every seed's report in brief, and the pooled differences of its pairs."""
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in folders]
    samples = reports[0]["settings"]["samples"]
    rates = [pass_rates(folder, samples) for folder in folders]
    pairs = dict.fromkeys((entry["arm"], entry["baseline"]) for entry in reports[0]["paired"])
    arms = {
        arm: {metric: [report["arms"][arm][metric]["value"] for report in reports] for metric in metrics}
        for arm, metrics in reports[0]["arms"].items()
    }
    paired = []
    for arm, baseline in pairs:
        seeds = [differences(seed.get(arm, {}), seed.get(baseline, {})) for seed in rates]
        each = [round(fmean(seed.values()), 4) for seed in seeds if seed]
        paired.append({"arm": arm, "baseline": baseline, "seeds": each, **pooled(seeds)})
    names = ("arm", "baseline", "votes", "arm_value", "baseline_value", "difference", "sample_and_check")
    control = [
        {name: entry[name] for name in names if name in entry} for report in reports for entry in report["equal_tokens"]
    ]
    return {"problems": reports[0]["problems"], "arms": arms, "paired": paired, "equal_tokens": control}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("--stage", default="report")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path, default=Path(".astro"))
    parser.add_argument("--profile")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--json", action="store_true", help="accepted for uniformity: the last line is always JSON")
    options = parser.parse_args()
    store = Store(options.store.absolute())
    runs = [built(options.spec, options.stage, s, store, options.profile, options.jobs) for s in options.seeds]
    found = compare([folder for folder, _ in runs])
    for pair in found["paired"]:
        print(
            f"{pair['arm']} - {pair['baseline']}: {pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"
        )
    print(json.dumps({"seeds": options.seeds, "seconds": [round(seconds, 1) for _, seconds in runs], **found}))


if __name__ == "__main__":
    main()
