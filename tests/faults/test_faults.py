"""Random faults over a fast spec: nothing finished is lost, nothing torn is believed, the message says what to do.

Every fault has a seed, which a failure prints. ASTRO_FAULTS sets the number of faults and ASTRO_FAULT_SEED the first
seed: `ASTRO_FAULTS=1 ASTRO_FAULT_SEED=7 pytest tests/faults -m nightly` repeats one.
"""

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from astro_factory.stages import KINDS
from tests.faults.faults import AS_ROOT, FAULTS, Place, may_mount, through
from tests.faults.scene import Expected, Scene, check_message, check_rule
from tests.hub.server import HubServer
from tests.runtime.bench import TEST_KINDS

COUNT = int(os.environ.get("ASTRO_FAULTS", "1000"))
FIRST_SEED = int(os.environ.get("ASTRO_FAULT_SEED", "0"))


@dataclass(frozen=True)
class World:
    """What all faults share: built once, changed by none."""

    folder: Path
    base: Path
    expected: Expected
    hub: HubServer
    sizes: dict[str, int]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="faults-"))  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, HubServer() as hub:
        for kind, module in TEST_KINDS.items():
            patch.setitem(KINDS["stages"], kind, module)
        for name in ("ASTRO_STORE", "ASTRO_CACHE"):
            patch.delenv(name, raising=False)
        scene = Scene(folder / "undisturbed")
        clock = time.monotonic()
        ended = scene.build()
        assert ended.code == 0, ended
        expected = Expected(scene.results(), scene.blobs(), scene.published(), time.monotonic() - clock)
        base, sizes = scene.store.root, {}
        hub.create("org/cache")
        for name, arguments in {
            "publish": ("publish", "spec.yaml", "--store", "store"),
            "pull": ("pull", "org/data", "pulled"),
            "push": ("push", "spec.yaml", "hf://datasets/org/cache/store", "--store", "store"),
            "hub:org/data": ("build", "spec.yaml", "--no-publish", "--store", "new-1", "--cache", "hub:org/data"),
            "hf://datasets/org/cache/store": (
                "build", "spec.yaml", "--no-publish", "--store", "new-2", "--cache", "hf://datasets/org/cache/store",
            ),
        }.items():  # fmt: skip
            sharing = Scene(folder / name.replace("/", "-"), repo="org/data")
            sharing.take(base)
            with through(sharing, hub) as (environment, proxy):
                done = sharing.run(*arguments, environment=environment)
                assert done.code == 0, done
                sizes[name] = proxy.count
        try:
            yield World(folder, base, expected, hub, sizes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def inflict(world: World, seed: int, name: str) -> None:
    """One fault on a store in which a random part is finished, and the rule."""
    rng = random.Random(seed)
    folder = world.folder / str(seed)
    scene = Scene(folder)
    place = Place(scene, rng, world.expected, world.base, world.hub, world.sizes)
    if rng.random() < 0.5:
        scene.take(world.base)
        for result in world.expected.results.values():
            if rng.random() < 0.4:
                scene.store.result_path(result.key).unlink()
    before = scene.results()
    for ended in FAULTS[name](place):
        check_message(ended)
    check_rule(scene, world.expected, before)
    shutil.rmtree(folder)


def run_faults(world: World, count: int, names: list[str]) -> None:
    done, failures = Counter(), []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        name = names[seed % len(names)]
        try:
            inflict(world, seed, name)
        except Exception as error:
            failures.append(f"seed {seed} {name}: {type(error).__name__} {error}")
        done[name] += 1
    print(f"{count} faults from seed {FIRST_SEED}:", dict(done), f"{len(failures)} failures")
    assert not failures, "\n\n".join(failures)


def available() -> list[str]:
    return [name for name in FAULTS if name not in AS_ROOT or may_mount()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_fault_of_each_kind(world):
    run_faults(world, len(available()), available())


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_random_faults(world):
    run_faults(world, COUNT, available())
