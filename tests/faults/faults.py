"""The faults: each hurts the commands of a scene at a random moment or byte, and returns how they ended."""

import ctypes
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astro_factory.store.fsck import fsck
from tests.faults.network import Proxy, Way
from tests.faults.scene import Ended, Expected, Running, Scene, files_of
from tests.hub.server import HubServer

DAY_S = 86_400.0
ANOTHER_USER = 65_533
_PR_CAPBSET_DROP, _CAPABILITY_VERSION = 24, 0x20080522
_FILE_CAPABILITIES = (1, 2, 3)
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER (capabilities(7))."""
MASKS = (0o022, 0o002, 0o027, 0o077)


@dataclass
class Place:
    """What the faults of one run share."""

    scene: Scene
    rng: random.Random
    expected: Expected
    base: Path
    """A store in which everything is built."""
    hub: HubServer
    """Has the publication `org/data` and, at `org/cache`, the store."""
    sizes: dict[str, int]
    """The bytes that each command passes over an undisturbed connection."""

    def moment(self) -> float:
        """A time within an undisturbed build."""
        return self.rng.uniform(0, 1.1 * self.expected.seconds)


def kill_builder(place: Place) -> list[Ended]:
    build = start(place)
    time.sleep(place.moment())
    build.kill()
    return [build.wait()]


def kill_worker(place: Place) -> list[Ended]:
    """One of the processes that run stages."""
    build = start(place)
    time.sleep(place.moment())
    for child in build.children():
        try:
            os.kill(child, 9)
        except ProcessLookupError:
            continue
    return [build.wait()]


def kill_lock_owner(place: Place) -> list[Ended]:
    """Of two builds that share the work, one dies; the other one takes over what it had locked."""
    builds = [start(place), start(place)]
    time.sleep(place.moment())
    builds[0].kill()
    ended = [build.wait() for build in builds]
    assert ended[1].code == 0, ended[1]
    return ended


def full_disk(place: Place) -> list[Ended]:
    """The store is on a disk with room for a random number of bytes."""
    room = place.rng.randrange(4096, 150_000)
    store = place.scene.store.root
    outside = store.with_name("kept")
    if store.exists():
        store.rename(outside)
    store.mkdir()
    size = room + sum(map(len, files_of(outside).values())) + 4096 * len(list(outside.rglob("*")))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", store], check=True)
    try:
        if outside.exists():
            subprocess.run(["cp", "-a", f"{outside}/.", store], check=True)
        ended = place.scene.build()
        assert not fsck(place.scene.store).faults
        after = store.with_name("after")
        subprocess.run(["cp", "-a", store, after], check=True)
    finally:
        subprocess.run(["umount", store], check=True)
    store.rmdir()
    after.rename(store)
    return [ended]


def clock_goes_back(place: Place) -> list[Ended]:
    """The clock goes back, or forward, during a build; then the store is collected by the clock of today."""
    offset = place.rng.choice((-1, -1, 1)) * place.rng.uniform(1, 4000) * DAY_S
    clock = {"ASTRO_TEST_CLOCK": str(offset), "ASTRO_TEST_CLOCK_FROM": str(time.time() + place.moment())}
    ended = place.scene.build(environment=clock)
    assert ended.code == 0, ended
    for path in place.scene.store.root.rglob("*"):
        if path.is_file() and "blobs" not in path.parts and "outputs" not in path.parts and place.rng.random() < 0.3:
            moved = time.time() + place.rng.uniform(-1, 1) * 4000 * DAY_S
            os.utime(path, (moved, moved))
    clock["ASTRO_TEST_CLOCK_FROM"] = "0"
    return [ended, place.scene.run("gc", "--delete", "--store", "store", environment=clock)]


def read_only_store(place: Place) -> list[Ended]:
    """The store belongs to another user, who lets others read it."""
    give_away(place.scene.store.root)
    before = files_of(place.scene.store.root)
    ended = place.scene.build("--no-publish", before=without_privileges)
    assert files_of(place.scene.store.root) == before
    return [ended]


def two_users(place: Place) -> list[Ended]:
    """Two users with different masks use a store, one after the other."""
    place.scene.store.root.mkdir(exist_ok=True)
    place.scene.store.root.chmod(0o777)
    ended = []
    for arguments in (("a", "drill"), ("--no-publish",)):
        mask = place.rng.choice(MASKS)
        ended.append(place.scene.build(*arguments, before=lambda mask=mask: (os.umask(mask), without_privileges())))
        give_away(place.scene.store.root)
    return ended


def lost_while_publishing(place: Place) -> list[Ended]:
    """To the Hub: the repository has nothing, or the whole publication in one commit."""
    scene = Scene(place.scene.folder / "publishing", repo="org/mine")
    scene.take(place.base)
    with HubServer() as hub:
        with broken(place, hub, "publish") as environment:
            ended = scene.run("publish", "spec.yaml", "--store", "store", environment=environment)
        repo = hub.repos.get(("dataset", "org/mine"))
        assert repo is None or len(repo.commits) <= 2
        again = scene.run("publish", "spec.yaml", "--store", "store", environment=hub_environment(scene, hub))
        assert again.code == 0, again
        repo = hub.repo("org/mine")
        assert len(repo.commits) == 2, "one commit beside the first"
        files = {path: stored.data for path, stored in repo.head.files.items() if path != ".gitattributes"}
    assert {k: v for k, v in files.items() if k.endswith(".parquet")} == tables(place.expected.published)
    assert not fsck(scene.store).faults
    return [ended]


def lost_while_pulling(place: Place) -> list[Ended]:
    """The target is missing or whole; the next pull completes it."""
    scene = place.scene
    with broken(place, place.hub, "pull") as environment:
        ended = scene.run("pull", "org/data", "pulled", environment=environment)
    target = scene.folder / "pulled"
    whole = {path: file.data for path, file in place.hub.repo("org/data").head.files.items()}
    whole.pop(".gitattributes")
    assert not target.exists() or files_of(target) == whole, "a torn publication is believed"
    again = scene.run("pull", "org/data", "pulled", environment=hub_environment(scene, place.hub))
    assert again.code == 0 and files_of(target) == whole, again
    return [ended]


def lost_while_pushing(place: Place) -> list[Ended]:
    """The remote store has no result without its files; the next push completes it."""
    scene = place.scene
    if scene.store.root.exists():
        scene.store.root.rename(scene.folder / "aside")
    scene.take(place.base)
    with HubServer() as hub:
        hub.create("org/mine")
        url = "hf://datasets/org/mine/store"
        with broken(place, hub, "push") as environment:
            ended = scene.run("push", "spec.yaml", url, "--store", "store", environment=environment)
        files = hub.repo("org/mine").head.files
        results = [path for path in files if "/results/" in path]
        assert not results or len(files) - 1 > len(results), "a result without its files"
        again = scene.run("push", "spec.yaml", url, "--store", "store", environment=hub_environment(scene, hub))
        assert again.code == 0, again
        files = hub.repo("org/mine").head.files
        assert len([path for path in files if "/results/" in path]) == 4
    return [ended]


def lost_cache(place: Place) -> list[Ended]:
    """A cache that fails costs a warning and its stages run here."""
    cache = place.rng.choice(("hub:org/data", "hf://datasets/org/cache/store"))
    with broken(place, place.hub, cache) as environment:
        ended = place.scene.build("--cache", cache, environment=environment)
    assert ended.code == 0, ended
    return [ended]


Fault = Callable[[Place], list[Ended]]
FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_builder, kill_worker, kill_lock_owner, full_disk, clock_goes_back, read_only_store, two_users,
        lost_while_publishing, lost_while_pulling, lost_while_pushing, lost_cache,
    )
}  # fmt: skip
AS_ROOT = ("full_disk", "read_only_store", "two_users")
"""Faults that need the rights to mount a disk or to give files away."""


def start(place: Place) -> Running:
    return place.scene.start("build", "spec.yaml", "--store", "store")


def give_away(store: Path) -> None:
    """Make everything in a store belong to another user."""
    store.mkdir(exist_ok=True)
    for path in (store, *store.rglob("*")):
        os.chown(path, ANOTHER_USER, ANOTHER_USER, follow_symlinks=False)


def without_privileges() -> None:
    """Give up root's right to use the files of other users, also in the processes that this one starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _FILE_CAPABILITIES:
        assert libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for index in range(3):  # effective, permitted, inheritable
        sets[index] &= ~sum(1 << capability for capability in _FILE_CAPABILITIES)
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def hub_environment(scene: Scene, hub: HubServer, url: str = "") -> dict[str, str]:
    found = hub.environment(scene.folder / "home")
    return found | {"HF_ENDPOINT": url or hub.url, "ASTRO_TEST_SLEEP": "0.01"}


@contextmanager
def broken(place: Place, hub: HubServer, command: str) -> Iterator[dict[str, str]]:
    """The environment of a command whose connection breaks, or whose server is killed, at a random byte."""
    way: Way = place.rng.choice(("cut", "cut", "killed"))
    with through(place.scene, hub, way, place.rng.randrange(place.sizes[command])) as (environment, _):
        yield environment


@contextmanager
def through(scene: Scene, hub: HubServer, way: Way = "never", after: int = 0) -> Iterator[tuple[dict[str, str], Proxy]]:
    direct = hub.url
    with Proxy(int(direct.rpartition(":")[2]), way, after) as proxy:
        hub.url = proxy.url  # also in the addresses that it answers with
        try:
            yield hub_environment(scene, hub), proxy
        finally:
            hub.url = direct


def tables(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path.endswith(".parquet")}


def may_mount() -> bool:
    """Whether this process may mount a disk and give files away."""
    if os.geteuid():
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True
