"""A model hub on loopback, for tests: what the client of huggingface-hub speaks, and faults on request.

Nothing but the standard library. Two ports of 127.0.0.1 are bound: the hub, and the store that large files are
redirected to (another origin, as in the world, so that a client that carries its token there is caught). Everything
lies in a data folder, so that a hub can be stopped and started again:

    objects/<sha256>                     every content once
    repos/<namespace>/<name>.json        commits (each a table of files), branches, tags, settings
    site/<path>                          plain files, served under /site/: what authors publish outside of any hub

In a test:

    with Hub(folder) as hub:
        hub.fault("flip", path="*/model.safetensors", offset=100)
        subprocess.run([...], env={**os.environ, **hub.environment(cache, token="hf_alice")})
        assert hub.transfers("model.safetensors") == 1

By hand: `python tests/hub_server.py FOLDER` serves until it is interrupted.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import hashlib
import http.server
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USERS = {"hf_alice": "alice", "hf_bob": "bob"}  # token -> user
ORGANISATIONS = {"lab": ("alice", "bob")}  # namespaces that several users may write to
LARGE = 10 * 2**20  # bytes; larger files always go the way of large files
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"
Headers = dict[str, str]
HOSTILE = ("answer", "endless", "drip", "mute")


@dataclass
class Request:
    """One request as it was answered."""

    server: str  # hub or store
    method: str
    path: str  # with its query, as it was sent
    authorization: str | None
    status: int = 0
    sent: int = 0  # bytes of the body


@dataclass
class Fault:
    """One thing to do wrong, to requests that match."""

    kind: str
    path: str
    method: str
    server: str
    times: int | None
    offset: int = 0
    status: int = 503
    seconds: float = 0.0
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    hits: int = 0


@dataclass
class Repo:
    """One repository: commits are tables path -> {size, oid, sha256, lfs}."""

    name: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        for prefix, table in (("refs/heads/", self.branches), ("refs/tags/", self.tags)):
            if revision.startswith(prefix) and revision.removeprefix(prefix) in table:
                return table[revision.removeprefix(prefix)]
        if revision in self.commits:
            return revision
        return self.branches.get(revision) or self.tags.get(revision)

    def files(self, commit: str) -> dict[str, dict[str, Any]]:
        table: dict[str, dict[str, Any]] = self.commits[commit]["files"]
        return table


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Hub:
    """The hub. Use it as a context manager, or call `start` and `stop`.

    Args:
        root: the data folder; made when it does not exist.
        port: of the hub; 0 takes a free one.
    """

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.repos: dict[str, Repo] = {}
        self._ports = [port, 0]
        self._servers: list[_Server] = []
        for folder in ("objects", "repos", "site"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for path in (root / "repos").rglob("*.json"):
            repo = Repo(**json.loads(path.read_text(encoding="utf-8")))
            self.repos[repo.name] = repo

    def start(self) -> Hub:
        self._servers = [
            _Server(("127.0.0.1", port), _Handler, self, name)
            for port, name in zip(self._ports, ("hub", "store"), strict=True)
        ]
        self._ports = [server.server_address[1] for server in self._servers]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Closes both ports; a later `start` takes the same ones."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.drop_connections()
        self._servers = []

    def __enter__(self) -> Hub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def store(self) -> str:
        # Another host name as well: releases of the client differ in whether another port is another origin.
        return f"http://localhost:{self._ports[1]}"

    def environment(self, cache: Path, token: str | None = None) -> dict[str, str]:
        """Variables for a process that is to use this hub with a cache of its own."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "GANZOO_CACHE": str(cache / "ganzoo"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return variables if token is None else {**variables, "HF_TOKEN": token}

    # What a test says and asks

    def fault(
        self,
        kind: str,
        path: str = "*",
        method: str = "*",
        server: str = "*",
        times: int | None = 1,
        **values: Any,
    ) -> Fault:
        """Does a thing wrong to the next `times` requests (None: to all) whose path, without its query, matches.

        Kinds: `cut` (the body breaks off after `offset` bytes), `flip` (one bit of the byte at `offset` is turned),
        `status` (answers `status`), `slow` (waits `seconds` in the middle of the body),
        `down` (closes the connection without an answer), `stale` (another commit lands just before this one); and of
        hostile hubs `headers` (adds `headers` to the answer), `answer` (sends `body` with `headers`), `endless` (sends
        `body` again and again), `drip` (then sends a byte every `seconds`), `mute` (drips its very headers).
        """
        if kind not in ("cut", "flip", "status", "slow", "down", "stale", "headers", *HOSTILE):
            raise ValueError(f"no fault {kind!r}")
        fault = Fault(kind, path, method, server, times, **values)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forgets faults and requests."""
        with self.lock:
            self.faults.clear()
            self.requests.clear()

    def transfers(self, name: str) -> int:
        """How often a body of this file (its path's end) was sent, from any byte on, whole or cut."""
        sha = {
            entry["sha256"]
            for repo in self.repos.values()
            for c in repo.commits
            for n, entry in repo.files(c).items()
            if n == name
        }
        with self.lock:
            return sum(
                1
                for request in self.requests
                if request.method == "GET"
                and request.sent > 0
                and request.status in (200, 206)
                and _same_file(request, name, sha)
            )

    def put(
        self,
        name: str,
        files: dict[str, bytes],
        *,
        branch: str = "main",
        tag: str | None = None,
        private: bool = False,
        gated: bool = False,
        replace: bool = False,
    ) -> str:
        """Puts files into a repository directly, under any name whatever, and gives the commit."""
        with self.lock:
            repo = self.repos.get(name) or self._create(name, private=private)
            repo.private, repo.gated = private, gated
            parent = repo.branches.get(branch, repo.branches["main"])
            table = {} if replace else dict(repo.files(parent))
            for path, content in files.items():
                table[path] = self.keep(content, large=_is_large(path, len(content)))
            commit = self._commit(repo, branch, table, "put by a test", "hub")
            if tag is not None:
                repo.tags[tag] = commit
            self._save(repo)
            return commit

    def content(self, name: str, path: str, revision: str = "main") -> bytes:
        """A file of a repository."""
        repo = self.repos[name]
        commit = repo.resolve(revision)
        assert commit is not None, revision
        return self.object(repo.files(commit)[path]["sha256"]).read_bytes()

    def listing(self, name: str, revision: str = "main") -> list[str]:
        """The paths of a repository."""
        commit = self.repos[name].resolve(revision)
        assert commit is not None, revision
        return sorted(self.repos[name].files(commit))

    def publish(self, path: str, content: bytes) -> str:
        """Puts a plain file on the site of the authors and gives its address."""
        target = self.root / "site" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return f"{self.store}/site/{urllib.parse.quote(path)}"

    # The state

    def object(self, sha256: str) -> Path:
        return self.root / "objects" / sha256

    def keep(self, content: bytes, large: bool) -> dict[str, Any]:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.object(sha256).exists():
            _write(self.object(sha256), content)
        if large:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
            return {"size": len(content), "oid": _git_blob(pointer), "sha256": sha256, "lfs": len(pointer)}
        return {"size": len(content), "oid": _git_blob(content), "sha256": sha256, "lfs": None}

    def _create(self, name: str, private: bool) -> Repo:
        repo = Repo(name, private=private)
        self.repos[name] = repo
        self._commit(repo, "main", {".gitattributes": self.keep(ATTRIBUTES, large=False)}, "initial commit", "hub")
        self._save(repo)
        return repo

    def _commit(
        self, repo: Repo, branch: str, table: dict[str, Any], title: str, author: str, message: str = ""
    ) -> str:
        parent = repo.branches.get(branch)
        body = {
            "files": table,
            "parent": parent,
            "title": title,
            "message": message,
            "author": author,
            "time": time.time(),
        }
        commit = hashlib.sha1(json.dumps([repo.name, body], sort_keys=True).encode()).hexdigest()
        repo.commits[commit] = body
        repo.branches[branch] = commit
        return commit

    def _save(self, repo: Repo) -> None:
        path = self.root / "repos" / f"{repo.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, json.dumps(vars(repo)).encode())


def _write(path: Path, content: bytes) -> None:
    handle, part = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(part, path)


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _is_large(path: str, size: int) -> bool:
    return size > LARGE or path.endswith((".safetensors", ".bin"))


def _same_file(request: Request, name: str, hashes: set[str]) -> bool:
    path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path)
    return path.endswith("/" + name) or (request.server == "store" and path.rpartition("/")[2] in hashes)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: Any, hub: Hub, name: str) -> None:
        super().__init__(address, handler)
        self.hub, self.name = hub, name
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], ConnectionError):  # clients are killed in tests
            return
        super().handle_error(request, client_address)


class _Hangup(Exception):
    """Closes the connection without another word."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    seen: Request

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `Hub.requests` instead."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def _answer(self) -> None:
        self.seen = Request(self.server.name, self.command, self.path, self.headers.get("Authorization"))
        with self.hub.lock:
            self.hub.requests.append(self.seen)
        try:
            body = self._read_body()
            for fault in self._faults(*HOSTILE):
                return self._hostile(fault)
            for fault in self._faults("status", "down"):
                if fault.kind == "down":
                    raise _Hangup
                raise Refusal(fault.status, f"fault: {fault.status}")
            self._route(body)
        except Refusal as refusal:
            headers = {"X-Error-Message": str(refusal)}
            if refusal.code is not None:
                headers["X-Error-Code"] = refusal.code
            self._json({"error": str(refusal)}, refusal.status, headers)
        except _Hangup:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _hostile(self, fault: Fault) -> None:
        """Sends what no hub would, until the client has had enough."""
        self.seen.status, self.close_connection = 200, True
        head = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in fault.headers.items())
        with contextlib.suppress(OSError):
            if fault.kind == "mute":
                self.wfile.write(head + b"X-Slow: ")
            else:
                self.wfile.write(head + b"Connection: close\r\n\r\n" + fault.body)
            while fault.kind != "answer":
                time.sleep(fault.seconds)
                self.wfile.write(fault.body if fault.kind == "endless" else b"x")
                self.seen.sent += len(fault.body) if fault.kind == "endless" else 1

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _faults(self, *kinds: str) -> list[Fault]:
        """Takes the faults of these kinds that match this request."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        taken = []
        with self.hub.lock:
            for fault in self.hub.faults:
                if (
                    fault.kind in kinds
                    and (fault.times is None or fault.hits < fault.times)
                    and fnmatch.fnmatchcase(path, fault.path)
                    and fnmatch.fnmatchcase(self.command, fault.method)
                    and fnmatch.fnmatchcase(self.server.name, fault.server)
                ):
                    fault.hits += 1
                    taken.append(fault)
        return taken

    # Answers

    def _json(self, value: Any, status: int = 200, headers: Headers | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, body: bytes, status: int = 200, headers: Headers | None = None, *, ranges: bool = False) -> None:
        extra = dict(headers or {})
        if ranges:
            extra["Accept-Ranges"] = "bytes"
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if match is not None:
                start, total = int(match[1]), len(body)
                stop = min(int(match[2]) + 1, total) if match[2] else total
                if start >= total:
                    status, body = 416, b""
                    extra["Content-Range"] = f"bytes */{total}"
                else:
                    status, body = 206, body[start:stop]
                    extra["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self.seen.status = status
        self.send_response(status)
        for fault in self._faults("headers"):
            extra |= fault.headers
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, pause = len(body), 0.0
        if status in (200, 206) and body:
            for fault in self._faults("cut", "flip", "slow"):
                if fault.kind == "cut":
                    cut = min(cut, fault.offset % len(body))
                elif fault.kind == "slow":
                    pause = fault.seconds
                else:
                    at = fault.offset % len(body)
                    body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        half = cut // 2 if pause else cut
        self.wfile.write(body[:half])
        self.seen.sent += half
        if pause:
            self.wfile.flush()
            time.sleep(pause)
            self.wfile.write(body[half:cut])
            self.seen.sent += cut - half
        if cut < len(body):
            self.wfile.flush()
            raise _Hangup

    # Routes

    def _route(self, body: bytes) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(url.query)
        if self.server.name == "store":
            return self._store(url.path, body)
        parts = [urllib.parse.unquote(part) for part in url.path.strip("/").split("/")]
        if parts[0] == "api":
            return self._api(parts[1:], body)
        for at, part in enumerate(parts[:3]):
            if part == "resolve" and at > 0 and len(parts) > at + 2:
                return self._resolve("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
            if part.endswith(".git"):
                return self._large_batch("/".join([*parts[:at], part.removesuffix(".git")]), body)
        raise Refusal(404, "no such page")

    def _user(self) -> str | None:
        header = self.headers.get("Authorization")
        if header is None:
            return None
        user = USERS.get(header.removeprefix("Bearer "))
        if user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return user

    def _may_write(self, name: str) -> str:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        owner = name.split("/")[0]
        if user != owner and user not in ORGANISATIONS.get(owner, ()):
            raise Refusal(403, f"You don't have the rights to write to {name}")
        return user

    def _repo(self, name: str) -> Repo:
        """A repository that this user may see; a private one looks like none to others."""
        user = self._user()
        repo = self.hub.repos.get(name)
        owner = name.split("/")[0]
        if repo is None or (repo.private and user != owner and user not in ORGANISATIONS.get(owner, ())):
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def _revision(self, repo: Repo, revision: str) -> str:
        commit = repo.resolve(revision)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _api(self, parts: list[str], body: bytes) -> None:
        match parts:
            case ["whoami-v2"]:
                user = self._user()
                if user is None:
                    raise Refusal(401, "Invalid username or password.")
                orgs = [{"name": name} for name, members in ORGANISATIONS.items() if user in members]
                return self._json(
                    {"type": "user", "name": user, "fullname": user, "orgs": orgs, "auth": {"type": "access_token"}}
                )
            case ["validate-yaml"]:
                return self._json({"errors": [], "warnings": []})
            case ["repos", "create"]:
                return self._create_repo(json.loads(body))
            case ["repos", "delete"]:
                return self._delete_repo(json.loads(body))
            case ["models"]:
                return self._list_models()
            case ["models", *rest]:
                names = {
                    "revision",
                    "tree",
                    "paths-info",
                    "refs",
                    "commits",
                    "preupload",
                    "commit",
                    "branch",
                    "tag",
                    "auth-check",
                    "settings",
                }
                at = next((i for i, part in enumerate(rest[:3]) if i > 0 and part in names), len(rest))
                return self._model("/".join(rest[:at]), rest[at:], body)
        raise Refusal(404, "no such call")

    def _create_repo(self, value: dict[str, Any]) -> None:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        name = f"{value.get('organization') or user}/{value['name']}"
        self._may_write(name)
        with self.hub.lock:
            address = {"url": f"{self.hub.url}/{name}", "name": name}
            if name in self.hub.repos:
                return self._json({"error": "You already created this model repo", **address}, 409)
            private = bool(value.get("private")) or value.get("visibility") == "private"
            self.hub._create(name, private=private)
        return self._json(address)

    def _delete_repo(self, value: dict[str, Any]) -> None:
        name = f"{value.get('organization') or self._user()}/{value['name']}"
        self._may_write(name)
        self._repo(name)
        with self.hub.lock:
            del self.hub.repos[name]
            (self.hub.root / "repos" / f"{name}.json").unlink()
        self._json({})

    def _list_models(self) -> None:
        user = self._user()
        author, search = (self.query.get(key, [""])[0] for key in ("author", "search"))
        found = [
            self._info(repo, repo.branches["main"])
            for repo in self.hub.repos.values()
            if (not repo.private or repo.name.split("/")[0] == user)
            and repo.name.startswith(f"{author}/" if author else "")
            and search in repo.name
        ]
        self._json(found)

    def _info(self, repo: Repo, commit: str) -> dict[str, Any]:
        blobs = self.query.get("blobs", ["false"])[0].lower() == "true"
        siblings = []
        for path, entry in repo.files(commit).items():
            sibling: dict[str, Any] = {"rfilename": path}
            if blobs:
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if entry["lfs"] is not None:
                    sibling["lfs"] = {"sha256": entry["sha256"], "size": entry["size"], "pointerSize": entry["lfs"]}
            siblings.append(sibling)
        return {
            "_id": hashlib.md5(repo.name.encode()).hexdigest()[:24],
            "id": repo.name,
            "modelId": repo.name,
            "author": repo.name.split("/")[0],
            "sha": commit,
            "lastModified": _iso(repo.commits[commit]["time"]),
            "createdAt": _iso(min(entry["time"] for entry in repo.commits.values())),
            "private": repo.private,
            "gated": "manual" if repo.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
        }

    def _model(self, name: str, parts: list[str], body: bytes) -> None:
        repo = self._repo(name)
        match self.command, parts:
            case "GET", []:
                return self._json(self._info(repo, repo.branches["main"]))
            case "GET", ["revision", revision]:
                return self._json(self._info(repo, self._revision(repo, revision)))
            case "GET", ["tree", revision, *under]:
                return self._tree(repo, self._revision(repo, revision), "/".join(under))
            case "POST", ["paths-info", revision]:
                return self._paths_info(repo, self._revision(repo, revision), body)
            case "GET", ["refs"]:
                tables = (("branches", "heads", repo.branches), ("tags", "tags", repo.tags))
                refs: dict[str, Any] = {
                    key: [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in table.items()]
                    for key, kind, table in tables
                }
                return self._json({**refs, "converts": [], "pullRequests": []})
            case "GET", ["commits", revision]:
                return self._commits(repo, self._revision(repo, revision))
            case "GET", ["auth-check", *write]:
                if write:
                    self._may_write(name)
                return self._json({})
            case "POST", ["preupload", revision]:
                return self._preupload(repo, self._revision(repo, revision), json.loads(body))
            case "POST", ["commit", revision]:
                return self._receive_commit(repo, revision, body)
            case (("POST" | "DELETE"), [("branch" | "tag") as kind, ref]):
                return self._reference(repo, kind, ref, json.loads(body or b"{}"))
        raise Refusal(404, "no such call")

    def _tree(self, repo: Repo, commit: str, under: str) -> None:
        recursive = self.query.get("recursive", ["false"])[0].lower() == "true"
        prefix = f"{under}/" if under else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, entry in repo.files(commit).items():
            if not path.startswith(prefix):
                continue
            folder, *rest = path[len(prefix) :].split("/")
            if rest and not recursive:
                name = prefix + folder
                entries[name] = {
                    "type": "directory",
                    "oid": hashlib.sha1(name.encode()).hexdigest(),
                    "size": 0,
                    "path": name,
                }
            else:
                entries[path] = _described(path, entry)
        if under and not entries:
            raise Refusal(404, f"{under} does not exist", "EntryNotFound")
        self._json(list(entries.values()))

    def _paths_info(self, repo: Repo, commit: str, body: bytes) -> None:
        if self.headers.get("Content-Type", "").startswith("application/json"):
            paths = json.loads(body)["paths"]
        else:
            paths = urllib.parse.parse_qs(body.decode()).get("paths", [])
        table = repo.files(commit)
        self._json([_described(path, table[path]) for path in paths if path in table])

    def _commits(self, repo: Repo, commit: str | None) -> None:
        history = []
        while commit is not None:
            entry = repo.commits[commit]
            history.append(
                {
                    "id": commit,
                    "title": entry["title"],
                    "message": entry["message"],
                    "authors": [{"user": entry["author"]}],
                    "date": _iso(entry["time"]),
                }
            )
            commit = entry["parent"]
        self._json(history)

    def _preupload(self, repo: Repo, commit: str, value: dict[str, Any]) -> None:
        self._may_write(repo.name)
        table = repo.files(commit)
        answers = []
        for entry in value["files"]:
            mode = "lfs" if _is_large(entry["path"], entry["size"]) else "regular"
            answer = {"path": entry["path"], "uploadMode": mode, "shouldIgnore": False}
            if entry["path"] in table:
                known = table[entry["path"]]
                answer["oid"] = known["oid"] if known["lfs"] is None else known["sha256"]
            answers.append(answer)
        self._json({"files": answers})

    def _receive_commit(self, repo: Repo, branch: str, body: bytes) -> None:
        author = self._may_write(repo.name)
        lines = [json.loads(line) for line in body.decode().splitlines() if line]
        header = next(line["value"] for line in lines if line["key"] == "header")
        branch = branch.removeprefix("refs/heads/")
        with self.hub.lock:
            if branch not in repo.branches:
                raise Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            if self._faults("stale"):
                note = self.hub.keep(b"someone was faster\n", large=False)
                self.hub._commit(repo, branch, {**repo.files(repo.branches[branch]), "NOTE.md": note}, "faster", "bob")
            parent = repo.branches[branch]
            if header.get("parentCommit") not in (None, parent):
                raise Refusal(412, "A commit has happened since. Please refresh and try again.")
            table = dict(repo.files(parent))
            for line in lines:
                self._apply(table, line["key"], line["value"])
            commit = self.hub._commit(repo, branch, table, header["summary"], author, header.get("description", ""))
            self.hub._save(repo)
        self._json(
            {
                "success": True,
                "commitOid": commit,
                "commitUrl": f"{self.hub.url}/{repo.name}/commit/{commit}",
                "hookOutput": "",
            }
        )

    def _apply(self, table: dict[str, Any], key: str, value: dict[str, Any]) -> None:
        path = value.get("path", "")
        if key == "file":
            table[path] = self.hub.keep(base64.b64decode(value["content"]), large=False)
        elif key == "lfsFile":
            stored = self.hub.object(value["oid"])
            if not stored.is_file():
                raise Refusal(400, f"{path}: its content {value['oid']} was never uploaded")
            table[path] = self.hub.keep(stored.read_bytes(), large=True)
        elif key in ("deletedFile", "deletedFolder"):
            gone = [
                name
                for name in table
                if name == path or (key == "deletedFolder" and name.startswith(path.rstrip("/") + "/"))
            ]
            if not gone:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
            for name in gone:
                del table[name]

    def _reference(self, repo: Repo, kind: str, ref: str, value: dict[str, Any]) -> None:
        self._may_write(repo.name)
        table = repo.branches if kind == "branch" else repo.tags
        with self.hub.lock:
            if self.command == "DELETE":
                if ref not in table:
                    raise Refusal(404, f"Invalid rev id: {ref}", "RevisionNotFound")
                del table[ref]
            else:
                # The address names a branch that starts at startingPoint, but for a tag the place that it points to.
                name, start = (ref, value.get("startingPoint", "main")) if kind == "branch" else (value["tag"], ref)
                commit = self._revision(repo, start)
                if name in table:
                    raise Refusal(409, f"Reference already exists: {name}")
                table[name] = commit
            self.hub._save(repo)
        self._json({})

    def _large_batch(self, name: str, body: bytes) -> None:
        repo = self._repo(name)
        self._may_write(repo.name)
        objects = []
        for entry in json.loads(body)["objects"]:
            answer = {"oid": entry["oid"], "size": entry["size"]}
            if not self.hub.object(entry["oid"]).is_file():
                query = urllib.parse.urlencode({"size": entry["size"], "signature": "s"})
                answer["actions"] = {
                    "upload": {"href": f"{self.hub.store}/objects/{entry['oid']}?{query}", "header": {}},
                    "verify": {"href": f"{self.hub.store}/verify/{entry['oid']}", "header": {}},
                }
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects}, headers={"Content-Type": "application/vnd.git-lfs+json"})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        commit = self._revision(repo, revision)
        if repo.gated and self._user() != name.split("/")[0]:
            raise Refusal(403, "Access to this model is restricted", "GatedRepo")
        entry = repo.files(commit).get(path)
        headers = {"X-Repo-Commit": commit}
        if entry is None:
            self.seen.status = 404
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return self._json({"error": "Entry not found"}, 404, headers)
        headers |= {"ETag": f'"{entry["oid"]}"'}
        if entry["lfs"] is None:
            return self._send(self.hub.object(entry["sha256"]).read_bytes(), 200, headers, ranges=True)
        headers |= {
            "X-Linked-Etag": f'"{entry["sha256"]}"',
            "X-Linked-Size": str(entry["size"]),
            "Location": f"{self.hub.store}/objects/{entry['sha256']}?signature=s",
        }
        return self._send(b"", 302, headers)

    def _store(self, path: str, body: bytes) -> None:
        """The store of large files and the site of the authors; it wants no token and must never see one."""
        folder, _, name = urllib.parse.unquote(path).strip("/").partition("/")
        if folder == "site":
            root = (self.hub.root / "site").resolve()
            file = (root / name).resolve()
            if not file.is_relative_to(root) or not file.is_file():
                raise Refusal(404, "Not found")
            content = file.read_bytes()
            return self._send(content, 200, {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}, ranges=True)
        if not re.fullmatch("[0-9a-f]{64}", name):
            raise Refusal(404, "Not found")
        file = self.hub.object(name)
        if self.command == "PUT":
            if hashlib.sha256(body).hexdigest() != name or len(body) != int(self.query["size"][0]):
                raise Refusal(400, "The content does not have the hash that was announced")
            _write(file, body)
            return self._send(b"", 200, {"ETag": f'"{name}"'})
        if not file.is_file():
            raise Refusal(404, "Not found")
        if folder == "verify":
            value = json.loads(body)
            if file.stat().st_size != value["size"]:
                raise Refusal(400, "The stored content has another size")
            return self._json({})
        return self._send(file.read_bytes(), 200, {"ETag": f'"{name}"'}, ranges=True)


def _described(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
    if entry["lfs"] is not None:
        value["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": entry["lfs"]}
    return value


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


if __name__ == "__main__":
    with Hub(Path(sys.argv[1])) as running:
        print(f"export HF_ENDPOINT={running.url} HF_HUB_DISABLE_XET=1   # tokens: {', '.join(USERS)}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
