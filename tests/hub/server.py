"""A Hub that lives in a test: it speaks the HTTP API of huggingface.co to the real client, in memory, on localhost.

It is strict where the real one is: an LFS object must have the digest it was announced with, a commit must name
objects that were uploaded and the parent it was planned against, a private repository looks missing to strangers.

    with HubServer() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment(tmp_path)})
        hub.fail("POST", "/commit/", status=500, after=True)      # the commit happens, the answer is an error
        assert [commit.message for commit in hub.repo("org/name").commits] == ["initial commit", ...]
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WRITER, READER, STRANGER = "hf_writer", "hf_reader", "hf_stranger"
"""Tokens the server knows: may write in `org`, may read it, belongs to nobody there."""

CUT = 0
LFS_SUFFIXES = (".parquet", ".safetensors", ".bin")
FILE_MODE_LIMIT = 10 << 20


@dataclass(frozen=True)
class Stored:
    """A file of a commit."""

    data: bytes
    lfs: bool

    @property
    def oid(self) -> str:
        """The git blob id: of the pointer's stand-in for an LFS file, of the content otherwise."""
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def entry(self, path: str) -> dict:
        entry = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str
    message: str
    files: dict[str, Stored]


@dataclass
class Repo:
    """One repository; only the branch `main`, and commits by their id."""

    kind: str
    id: str
    private: bool
    gated: bool = False
    """Described to all, but only WRITER was let in to its files."""
    commits: list[Commit] = field(default_factory=list)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def add(self, message: str, files: dict[str, Stored]) -> Commit:
        parent = self.head.oid if self.commits else ""
        seed = json.dumps([parent, message, len(self.commits), sorted((p, f.oid) for p, f in files.items())])
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), parent, message, files)
        self.commits.append(commit)
        return commit

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.head
        return next((commit for commit in self.commits if commit.oid == revision), None)


@dataclass
class Fault:
    """What goes wrong, and how often: an error `status` for an answer, CUT for a broken line, or only an `action`."""

    method: str
    path: str
    status: int | None
    times: int = 1
    after: bool = False
    """The request is carried out first; only its answer is lost."""
    headers: dict[str, str] = field(default_factory=dict)
    action: Callable[[], object] | None = None
    """Called before the request is looked at: a rival's commit, say."""


class HubServer:
    """Use as a context manager; `url` is the endpoint."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.buckets: dict[str, dict[str, bytes]] = {}
        """Files by path of each bucket; written here, because the real ones take files through Xet alone."""
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        """`METHOD /path` of each request, in order."""
        self.lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def environment(self, home: Path, token: str = WRITER) -> dict[str, str]:
        """What a process needs to take this server for the Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def repo(self, repo_id: str, kind: str = "dataset") -> Repo:
        return self.repos[kind, repo_id]

    def create(
        self, repo_id: str, kind: str = "dataset", private: bool = False, gated: bool = False, **files: bytes
    ) -> Repo:
        """A repository as the Hub makes it, with one first commit; `files` by path (`**{"README.md": b"..."}`)."""
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, private, gated)
        contents = {".gitattributes": b"*.parquet filter=lfs\n", **files}
        repo.add("initial commit", {path: Stored(data, _is_lfs(path, len(data))) for path, data in contents.items()})
        return repo

    def fail(self, method: str, path: str, status: int | None = CUT, times: int = 1, **more) -> None:
        """The next `times` requests whose path contains `path` go wrong; with status None only `action` is called."""
        self.faults.append(Fault(method, path, status, times, **more))

    def count(self, method: str, path: str) -> int:
        """How many requests of this kind came in."""
        return sum(line.startswith(method) and path in line for line in self.requests)


@contextmanager
def local_hub(monkeypatch) -> Iterator[HubServer]:
    """A server that this process takes for the Hub, with a token that may write to `org`.

    The client read HF_HUB_DISABLE_XET when it was imported, so Xet is switched off where it looks at each upload.
    """
    from huggingface_hub import constants

    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server


def _is_lfs(path: str, size: int) -> bool:
    return path.endswith(LFS_SUFFIXES) or size > FILE_MODE_LIMIT


_API = re.compile(r"/api/(?P<kind>dataset|model)s/(?P<id>[^/]+/[^/]+)(?:/(?P<verb>[a-z-]+)(?:/(?P<rest>.+))?)?$")
_RESOLVE = re.compile(r"/(?P<prefix>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)$")
_BUCKET = re.compile(r"/(?P<api>api/)?buckets/(?P<id>[^/]+/[^/]+)(?:/(?P<verb>[a-z-]+)(?:/(?P<path>.+))?)?$")
_LFS_BATCH = re.compile(r"/(?P<prefix>datasets/)?(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch$")


class _Refused(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, code: str = "", message: str = "", body: dict | None = None):
        self.status, self.body = status, body or {"error": message}
        self.headers = {"X-Error-Code": code} if code else {}
        if message:
            self.headers["X-Error-Message"] = message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: HubServer

    def log_message(self, *_: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    # -- one request ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        self.route = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {self.route}")
            fault = self._fault()
        if fault and fault.action:
            fault.action()
        if fault and fault.status == CUT:
            return self._cut()
        self.body = self._read_body()
        try:
            if fault and fault.status and not fault.after:
                raise _Refused(fault.status, message="injected")
            with self.hub.lock:
                answer = self._answer()
            if fault and fault.after:
                raise _Refused(fault.status, message="injected")
            self._send(*answer)
        except _Refused as refusal:
            extra = fault.headers if fault else {}
            self._send(refusal.status, json.dumps(refusal.body).encode(), {**refusal.headers, **extra})

    def _fault(self) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and fault.method == self.command and fault.path in self.route:
                fault.times -= 1
                return fault
        return None

    def _cut(self) -> None:
        """Read a little of what is sent, then hang up, as a broken line does."""
        self.rfile.read(min(16, int(self.headers.get("Content-Length") or 0)))
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": "application/json", **(headers or {})}
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # -- who asks ------------------------------------------------------------------------------------------------

    def _token(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", WRITER, READER, STRANGER):
            raise _Refused(401, message="Invalid credentials in Authorization header")
        return token

    def _repo(self, kind: str, repo_id: str, write: bool = False) -> Repo:
        token, repo = self._token(), self.hub.repos.get((kind, repo_id))
        if repo is None or (repo.private and token in ("", STRANGER)):
            raise _Refused(404 if token else 401, "RepoNotFound", "Repository not found")
        if write and token != WRITER:
            raise _Refused(403 if token else 401, message="You don't have the rights to write here")
        return repo

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.at(revision)
        if commit is None:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # -- routes --------------------------------------------------------------------------------------------------

    def _answer(self) -> tuple:
        if self.route == "/api/whoami-v2":
            return self._whoami()
        if self.route == "/api/repos/create":
            return self._create()
        if self.route == "/api/validate-yaml":
            return self._validate_yaml()
        if self.route.startswith("/lfs/") and self.command == "PUT":
            return self._put_object()
        if match := _BUCKET.match(self.route):
            return self._bucket(match["id"], match["verb"] or "", match["path"] or "")
        if match := _LFS_BATCH.match(self.route):
            return self._lfs_batch(self._repo(_kind(match), match["id"], write=True))
        if match := _RESOLVE.match(self.route):
            return self._resolve(self._repo(_kind(match), match["id"]), match["rev"], match["path"])
        if match := _API.match(self.route):
            verb, rest = match["verb"] or "revision", match["rest"] or "main"
            repo = self._repo(match["kind"], match["id"], write=verb in ("preupload", "commit"))
            handler = getattr(self, "_api_" + verb.replace("-", "_"), None)
            if handler:
                return handler(repo, rest)
        raise _Refused(404, "EntryNotFound", f"no such route: {self.route}")

    def _whoami(self) -> tuple:
        token = self._token()
        if not token:
            raise _Refused(401, message="Invalid username or password.")
        orgs = [] if token == STRANGER else [{"name": "org", "roleInOrg": "write" if token == WRITER else "read"}]
        access = {"displayName": "test", "role": "read" if token == READER else "write"}
        auth = {"type": "access_token", "accessToken": access}
        return _json({"type": "user", "name": token.removeprefix("hf_"), "orgs": orgs, "auth": auth})

    def _create(self) -> tuple:
        wanted = json.loads(self.body)
        token = self._token()
        owner = wanted.get("organization") or token.removeprefix("hf_")
        if token != WRITER or owner not in ("org", "writer"):
            raise _Refused(403 if token else 401, message=f"You don't have the rights to create in {owner}")
        kind, repo_id = wanted.get("type") or "model", f"{owner}/{wanted['name']}"
        answer = {"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"}
        if (kind, repo_id) in self.hub.repos:
            raise _Refused(409, body=answer | {"error": "You already created this repository"})
        self.hub.create(repo_id, kind, wanted.get("visibility") == "private" or wanted.get("private") is True)
        return _json(answer)

    def _validate_yaml(self) -> tuple:
        content = json.loads(self.body)["content"]
        metadata = _front_matter(content)
        if metadata is None:
            raise _Refused(400, body={"errors": [{"message": "the metadata is not a mapping"}], "warnings": []})
        if metadata.get("license") == "no-such-licence":
            raise _Refused(400, body={"errors": [{"message": '"license" must be one of [...]'}], "warnings": []})
        return _json({"errors": [], "warnings": []})

    def _api_revision(self, repo: Repo, revision: str) -> tuple:
        commit = self._commit(repo, revision)
        readme = commit.files.get("README.md")
        return _json(
            {
                "id": repo.id,
                "sha": commit.oid,
                "private": repo.private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
                "cardData": _front_matter(readme.data.decode()) if readme else None,
            }
        )

    def _api_tree(self, repo: Repo, rest: str) -> tuple:
        revision, _, folder = rest.partition("/")
        prefix = folder.rstrip("/") + "/" if folder else ""
        files = {p: f for p, f in self._commit(repo, revision).files.items() if p.startswith(prefix)}
        if folder and not files:
            raise _Refused(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        folders = {
            str(parent)
            for path in files
            for parent in Path(path).parents
            if str(parent) != "." and str(parent).startswith(prefix)
        }
        rows = [{"type": "directory", "oid": _sha1(f), "size": 0, "path": f} for f in sorted(folders)]
        rows += [files[path].entry(path) for path in sorted(files)]
        if parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() != "true":
            rows = [row for row in rows if "/" not in row["path"].removeprefix(prefix)]
        return _json(rows)

    def _api_auth_check(self, repo: Repo, rest: str) -> tuple:
        if repo.gated and self._token() != WRITER:
            raise _Refused(403, "GatedRepo", "Access to this repository is restricted")
        if rest == "write":
            self._repo(repo.kind, repo.id, write=True)
        return 200, b"", {}

    def _api_paths_info(self, repo: Repo, revision: str) -> tuple:
        wanted = parse_qs(self.body.decode()).get("paths", [])
        files = self._commit(repo, revision).files
        return _json([files[path].entry(path) for path in wanted if path in files])

    def _api_preupload(self, repo: Repo, revision: str) -> tuple:
        head = self._commit(repo, revision).files
        answer = []
        for file in json.loads(self.body)["files"]:
            path, now = file["path"], head.get(file["path"])
            mode = "lfs" if _is_lfs(path, file["size"]) else "regular"
            oid = None if now is None else now.sha256 if now.lfs else now.oid
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return _json({"files": answer})

    def _lfs_batch(self, repo: Repo) -> tuple:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}}
            objects.append(entry)
        return _json({"transfer": "basic", "objects": objects})

    def _put_object(self) -> tuple:
        oid = self.route.removeprefix("/lfs/")
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, message="the content has another digest")
        self.hub.objects[oid] = self.body
        return 200, b"", {}

    def _api_commit(self, repo: Repo, revision: str) -> tuple:
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        parent = header.get("parentCommit")
        if parent and not repo.head.oid.startswith(parent):
            raise _Refused(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(repo.head.files)
        for line in lines:
            self._apply(files, line["key"], line["value"])
        commit = repo.add(header["summary"], files)
        return _json({"commitOid": commit.oid, "commitUrl": f"{self.hub.url}/{repo.id}/commit/{commit.oid}"})

    def _apply(self, files: dict[str, Stored], key: str, value: dict) -> None:
        if key == "file":
            files[value["path"]] = Stored(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            data = self.hub.objects.get(value["oid"])
            if data is None or len(data) != value["size"]:
                raise _Refused(400, message=f"LFS pointer to {value['path']} points to nothing")
            files[value["path"]] = Stored(data, lfs=True)
        elif key == "deletedFile" and files.pop(value["path"], None) is None:
            raise _Refused(404, "EntryNotFound", "A file with this name doesn't exist")

    def _bucket(self, bucket: str, verb: str, path: str) -> tuple:
        if not self._token() or bucket not in self.hub.buckets:
            raise _Refused(404, "RepoNotFound", "Bucket not found")
        files = self.hub.buckets[bucket]
        if verb == "resolve" and path in files:
            return 200, files[path], {"Content-Type": "application/octet-stream"}
        if verb == "tree":
            inside = (name for name in sorted(files) if not path or name == path or name.startswith(f"{path}/"))
            return _json([{"type": "file", "path": n, "size": len(files[n]), "xetHash": _sha1(n)} for n in inside])
        if verb:
            raise _Refused(404, "EntryNotFound", f"{path} does not exist")
        size = sum(map(len, files.values()))
        return _json({"id": bucket, "private": True, "createdAt": "2026-01-01T00:00:00.000Z", "size": size,
                      "totalFiles": len(files)})  # fmt: skip

    def _resolve(self, repo: Repo, revision: str, path: str) -> tuple:
        commit = self._commit(repo, revision)
        stored = commit.files.get(path)
        headers = {"X-Repo-Commit": commit.oid}
        self._api_auth_check(repo, "")
        if stored is None:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        etag = stored.sha256 if stored.lfs else stored.oid
        headers |= {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if stored.lfs:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(stored.data))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return 200, stored.data, headers | {"Content-Length": str(len(stored.data))}
        first, last = int(wanted[1]), min(int(wanted[2] or len(stored.data) - 1), len(stored.data) - 1)
        part = stored.data[first : last + 1]
        return 206, part, headers | {"Content-Range": f"bytes {first}-{last}/{len(stored.data)}"}


def _kind(match: re.Match) -> str:
    return "dataset" if match["prefix"] else "model"


def _json(value: object) -> tuple:
    return 200, json.dumps(value).encode(), {}


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def _front_matter(text: str) -> dict | None:
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if not match:
        return {}
    metadata = yaml.safe_load(match[1])
    return metadata if isinstance(metadata, dict) else None
