"""Sampling with `backend: ray` on a cluster of one node on this machine; runs where Ray is installed."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from astro_factory.core import ray_folders
from astro_factory.core.context import StageContext
from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.ray_cluster import WAIT, Room, gpus_for
from astro_factory.engines.config import ScriptedConfig
from astro_factory.search.ray_actors import RayActors
from astro_factory.stages.generation import Batch, Generator, Sampling, conversation_about
from tests.ray_nodes import cluster_of, node
from tests.search.ray_functions import dies, full_store, visible_gpus
from tests.stages.test_generation import area_rewritten, model  # noqa: F401  (a fixture)
from tests.stages.test_practice import Recorded
from tests.stages.test_search import Items

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; `make test` installs it"),
    pytest.mark.timeout(1800),
    pytest.mark.slow,
]
GPUS = 3
"""Ray believes it; nothing here uses them."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with cluster_of(node(num_cpus=4, num_gpus=GPUS)):
        yield


def room(cpus: int, said: Callable[[str], None] = lambda _: None, gpus: int = 0) -> Room:
    return Room({"CPU": cpus, "GPU": gpus}, "an engine", said)


def test_ray_changes_no_rewording(cluster, tmp_path, model):  # noqa: F811
    here = area_rewritten(tmp_path / "here", model)
    assert area_rewritten(tmp_path / "ray", model, backend="ray", processes=2) == here
    with pytest.raises(UserError, match="E626"):
        unreachable = {"kind": "openai", "base_urls": ["http://127.0.0.1:9/v1"], "model": "m", "retries": 0}
        area_rewritten(tmp_path / "lost", model, backend="ray", engine=unreachable | {"max_model_len": 99})


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process of an actor in /proc")
@pytest.mark.parametrize(("problems", "actors"), [(500, 2), pytest.param(10_000, 4, marks=pytest.mark.nightly)])
def test_every_item_once_although_an_actor_is_killed(cluster, tmp_path, model, problems, actors):  # noqa: F811
    items = Items(tmp_path / "items")
    ctx = StageContext("sampled", {}, {}, tmp_path, tmp_path, items, Recorded())
    sampling = Sampling(model, "model", ScriptedConfig(kind="scripted", responses={"": ["yes ."]}), 1.0, 8)
    asked = [conversation_about(Problem(f"p{n}", f"{n} ?", "yes", "math"), 0, range(1)) for n in range(problems)]
    batches = [Batch(sampling, asked[start : start + 50]) for start in range(0, problems, 50)]
    killed = []

    def kill(done: int, total: int) -> None:
        if done > problems // 4 and not killed:
            killed.append(actor_pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    with Generator(ctx, actors, "ray") as generator:
        responses = [own for batch in generator.responses(batches, kill) for own in batch]
    assert [[sample["text"] for sample in own] for own in responses] == [["yes ."]] * problems
    assert killed and items.puts == problems


def actor_pids() -> list[int]:
    """The processes of actors that sample; Ray sets their titles."""
    titles = {path.parent: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    return sorted(int(folder.name) for folder, title in titles.items() if title.startswith(b"ray::_Caller"))


@pytest.mark.parametrize(
    ("workers", "each", "words"),
    [
        (1, 4, "a worker needs 4 GPUs on one node of the Ray cluster, and the largest of its nodes has 3; smaller"),
        (2, 2, "2 workers need 4 GPUs, and the Ray cluster has 3, 2 on one node for 1 of them; set `processes` to 1"),
    ],
)
def test_no_gpu_is_claimed_that_is_not_there(cluster, workers, each, words):
    assert gpus_for(GPUS, 1, True, "smaller", "fewer") == 1
    with pytest.raises(UserError) as caught:
        gpus_for(workers, each, False, "smaller", "set `processes` to {room}")
    assert caught.value.diagnostics[0].code == "E181" and words in str(caught.value)


def test_gpus_of_nodes_that_will_join_are_waited_for(cluster, monkeypatch):
    monkeypatch.setenv(WAIT, "1")
    assert gpus_for(1, 4, False, "smaller", "fewer") == 4
    said = []
    waiting = room(1, said.append, gpus=4)
    place = waiting.place()
    with pytest.raises(UserError, match="E641 the Ray cluster had no room for an engine within 1 s: it needs 1 CPU"):
        waiting.wait(place)
    place.close()
    assert said and all("waits up to 1 s for room" in line for line in said)


def test_an_engine_gets_its_gpus_on_one_node(cluster):
    actors = RayActors(room(1, gpus=2), 1, visible_gpus, lambda argument, made: None)
    [devices] = actors.run([None])
    actors.close()
    assert len(devices) == 2


@pytest.mark.parametrize(("function", "code"), [(full_store, "E642"), (dies, "E614")])
def test_what_ends_the_actors(cluster, function, code):
    actors = RayActors(room(1), 1, function, lambda argument, made: argument)
    with pytest.raises(UserError) as caught:
        list(actors.run(["one"]))
    actors.close()
    assert caught.value.diagnostics[0].code == code


def test_a_node_that_does_not_see_a_model_copies_it_once(cluster, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    (folder / "base").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "base" / "weights").write_bytes(bytes(range(256)) * 40)
    (folder / "empty").touch()
    monkeypatch.setenv(WAIT, "60")  # other nodes may join
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ray_folders, "_PIECE", 1000)
    shared = ray_folders.SharedFolders().share(folder, "d1")
    assert shared.here() == folder
    monkeypatch.setattr(ray_folders, "_files", lambda _: ())  # as on a node without it
    copy = shared.here()
    assert copy == tmp_path / "cache" / "astro-factory" / ray_folders.CACHE / "d1"
    for name, _ in shared.files:
        assert (copy / name).read_bytes() == (folder / name).read_bytes()
    (folder / "config.json").unlink()
    assert shared.here() == copy  # it is not copied again
    with pytest.raises(UserError, match="E643"):
        ray_folders.SharedFolder(folder, "d2", shared.files, shared.reader).here()
    assert not (copy.parent / "d2").exists()


def test_unused_copies_are_removed_before_a_new_one_is_made(cluster, tmp_path, monkeypatch):
    folder, cache = tmp_path / "model", tmp_path / "cache" / "astro-factory" / ray_folders.CACHE
    folder.mkdir()
    (folder / "weights").write_bytes(b"0" * 100)
    monkeypatch.setenv(WAIT, "60")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = [ray_folders.SharedFolders().share(folder, digest) for digest in ("old", "used", "next")]
    monkeypatch.setattr(ray_folders, "_files", lambda _: ())
    for shared in folders[:2]:
        os.utime(shared.here(), (0, 0))
    (cache / "new-killed").mkdir()
    os.utime(cache / "new-killed", (0, 0))
    folders[1].here()  # used again
    folders[2].here()
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == ["next", "used"]
