"""Fidelity of the tests' own hub: the unmodified client and the `hf` command do with it what they do with a real one.

The client reads its environment when it is imported, so each function whose name starts with `client_` runs in a
process of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_server import Hub

LARGE = bytes(range(256)) * (12 * 2**12)  # 12 MB


def run(hub: Hub, cache: Path, what: str, *arguments: Any, token: str | None = None, **variables: str) -> str:
    """Runs one of the functions below in a fresh process and gives what it printed."""
    command = [sys.executable, __file__, what, *map(str, arguments)]
    path = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": path, **hub.environment(cache, token), **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def hf(hub: Hub, cache: Path, *arguments: Any, token: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hf")), *map(str, arguments)]
    environment = {**os.environ, **hub.environment(cache, token)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def client_round_trip(folder: str) -> None:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    api, root = HfApi(), Path(folder)
    assert api.whoami()["name"] == "alice"
    assert api.create_repo("alice/gan").repo_id == "alice/gan"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("alice/gan")
    api.create_repo("alice/gan", exist_ok=True)

    first = api.upload_file(path_or_fileobj=b"# one\n", path_in_repo="README.md", repo_id="alice/gan").oid
    (root / "up" / "sub").mkdir(parents=True)
    (root / "up" / "config.json").write_text('{"family": "gan"}')
    (root / "up" / "sub" / "a.txt").write_text("a")
    (root / "up" / "model.safetensors").write_bytes(LARGE)
    second = api.upload_folder(repo_id="alice/gan", folder_path=root / "up").oid
    again = api.upload_folder(repo_id="alice/gan", folder_path=root / "up").oid
    assert again == second != first, "nothing changed, so there is no third commit"
    paths = {".gitattributes", "README.md", "config.json", "sub/a.txt", "model.safetensors"}
    assert set(api.list_repo_files("alice/gan")) == paths
    assert {entry.path for entry in api.list_repo_tree("alice/gan")} == {*paths - {"sub/a.txt"}, "sub"}
    assert {entry.path for entry in api.list_repo_tree("alice/gan", recursive=True)} == paths

    info = api.model_info("alice/gan", files_metadata=True)
    assert info.sha == second and info.siblings is not None
    large = next(entry for entry in info.siblings if entry.rfilename == "model.safetensors")
    assert large.lfs is not None and large.lfs.sha256 == hashlib.sha256(LARGE).hexdigest()
    described = api.get_paths_info("alice/gan", ["config.json", "missing", "model.safetensors"], revision=second)
    assert [(entry.path, entry.size) for entry in described if hasattr(entry, "size")] == [
        ("config.json", 17),
        ("model.safetensors", len(LARGE)),
    ]
    text = b'{"family": "gan"}'
    assert getattr(described[0], "blob_id", None) == hashlib.sha1(b"blob 17\0" + text).hexdigest()

    assert Path(hf_hub_download("alice/gan", "model.safetensors")).read_bytes() == LARGE
    everything = Path(snapshot_download("alice/gan"))
    assert (everything / "sub" / "a.txt").read_text() == "a"
    assert Path(hf_hub_download("alice/gan", "README.md", revision=first)).parent.name == first

    api.create_tag("alice/gan", tag="v1", revision=first)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag("alice/gan", tag="v1", revision=second)
    api.create_branch("alice/gan", branch="work", revision=first)
    api.upload_file(path_or_fileobj=b"w", path_in_repo="w.txt", repo_id="alice/gan", revision="work")
    refs = api.list_repo_refs("alice/gan")
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1": first}
    assert {branch.name for branch in refs.branches} == {"main", "work"}
    assert "w.txt" in api.list_repo_files("alice/gan", revision="work")
    assert "w.txt" not in api.list_repo_files("alice/gan", revision="v1")
    api.delete_tag("alice/gan", tag="v1")
    api.delete_branch("alice/gan", branch="work")
    assert [commit.commit_id for commit in api.list_repo_commits("alice/gan")][:2] == [second, first]
    api.delete_file("sub/a.txt", repo_id="alice/gan")
    api.auth_check("alice/gan")
    assert [model.id for model in api.list_models(author="alice")] == ["alice/gan"]
    api.delete_repo("alice/gan")
    assert not api.repo_exists("alice/gan")


def client_errors(commit: str) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors, hf_hub_download

    api = HfApi()
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info("alice/nothing")
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info("alice/gan", revision="nothing")
    with pytest.raises(errors.EntryNotFoundError):
        hf_hub_download("alice/gan", "nothing.json")
    with pytest.raises(errors.RevisionNotFoundError):
        hf_hub_download("alice/gan", "config.json", revision="0" * 40)
    with pytest.raises(errors.GatedRepoError):
        hf_hub_download("alice/gated", "config.json")
    with pytest.raises(errors.HfHubHTTPError, match="403"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="alice/gan")
    with pytest.raises(errors.HfHubHTTPError, match="403"):
        api.create_repo("alice/of-bob")
    api.create_repo("lab/gan")
    parent = api.model_info("lab/gan").sha
    for path in ("one", "two"):
        add = [CommitOperationAdd(path, path.encode())]
        if path == "one":
            api.create_commit("lab/gan", add, commit_message=path, parent_commit=parent)
        else:
            with pytest.raises(errors.HfHubHTTPError, match="412"):
                api.create_commit("lab/gan", add, commit_message=path, parent_commit=parent)
    gone = [CommitOperationDelete("nothing")]
    with pytest.raises(errors.EntryNotFoundError):
        api.create_commit("lab/gan", gone, commit_message="delete")


def client_private() -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError

    token = os.environ.get("HF_TOKEN")
    if token == "hf_alice":
        for name in ("secret.txt", "model.safetensors"):
            print(Path(hf_hub_download("alice/private", name)).stat().st_size)
        return
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("alice/private", "secret.txt")


def client_bad_token() -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi().whoami()


def client_download(name: str) -> None:
    from huggingface_hub import hf_hub_download

    try:
        print(hashlib.sha256(Path(hf_hub_download("alice/gan", name)).read_bytes()).hexdigest())
    except Exception as error:
        print(type(error).__name__)


def test_the_client_goes_its_whole_round(hub: Hub, tmp_path: Path) -> None:
    run(hub, tmp_path / "cache", "client_round_trip", tmp_path, token="hf_alice")
    stored = [request for request in hub.requests if request.server == "store"]
    assert {request.method for request in stored} == {"PUT", "POST", "GET"}
    assert all(request.authorization is None for request in stored if request.method != "POST"), (
        "the token left the hub"
    )


def test_errors_have_the_clients_own_types(hub: Hub, tmp_path: Path) -> None:
    commit = hub.put("alice/gan", {"config.json": b"{}"})
    hub.put("alice/gated", {"config.json": b"{}"}, gated=True)
    run(hub, tmp_path / "cache", "client_errors", commit, token="hf_bob")
    run(hub, tmp_path / "other", "client_bad_token", token="hf_wrong")


def test_a_private_repository_is_none_to_others(hub: Hub, tmp_path: Path) -> None:
    hub.put("alice/private", {"secret.txt": b"secret", "model.safetensors": b"12345"}, private=True)
    assert run(hub, tmp_path / "a", "client_private", token="hf_alice") == "6\n5"
    run(hub, tmp_path / "b", "client_private", token="hf_bob")
    run(hub, tmp_path / "c", "client_private")


def test_the_hf_command(hub: Hub, tmp_path: Path) -> None:
    cache, up = tmp_path / "cache", tmp_path / "up"
    up.mkdir()
    (up / "model.safetensors").write_bytes(LARGE)
    (up / "config.json").write_text("{}")
    assert "alice" in hf(hub, cache, "auth", "whoami", token="hf_alice").stdout
    for arguments in (
        ("repos", "create", "alice/cli", "--private"),
        ("upload", "alice/cli", up),
        ("upload", "alice/cli", up / "config.json", "other.json"),
        ("repos", "tag", "create", "alice/cli", "v1"),
        ("download", "alice/cli", "--revision", "v1", "--local-dir", tmp_path / "down"),
    ):
        done = hf(hub, cache, *arguments, token="hf_alice")
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    assert (tmp_path / "down" / "model.safetensors").read_bytes() == LARGE
    assert (tmp_path / "down" / "other.json").read_text() == "{}"
    assert hf(hub, tmp_path / "none", "download", "alice/cli", token="hf_bob").returncode != 0


def test_what_is_kept_survives_a_restart(hub: Hub, tmp_path: Path) -> None:
    commit = hub.put("alice/gan", {"model.safetensors": b"weights"}, tag="v1")
    hub.stop()
    with Hub(tmp_path / "hub") as again:
        assert again.content("alice/gan", "model.safetensors", "v1") == b"weights"
        assert again.repos["alice/gan"].resolve("main") == commit


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": "cut", "offset": 1000, "times": 1}, "whole"),  # the client asks for the rest
        ({"kind": "flip", "offset": 1000, "times": 1}, "other"),  # it does not look at the content
        ({"kind": "status", "status": 404, "times": None}, "error"),
        ({"kind": "slow", "seconds": 0.2, "times": 1}, "whole"),
    ],
)
def test_faults_reach_the_client(hub: Hub, tmp_path: Path, fault: dict[str, Any], outcome: str) -> None:
    content = LARGE[:100_000]
    hub.put("alice/gan", {"model.safetensors": content})
    placed = hub.fault(path="/objects/*", server="store", method="GET", **fault)
    printed = run(hub, tmp_path / "cache", "client_download", "model.safetensors")
    right = hashlib.sha256(content).hexdigest()
    assert placed.hits >= 1
    assert {"whole": printed == right, "other": len(printed) == 64 and printed != right, "error": "Error" in printed}[
        outcome
    ]
    assert hub.transfers("model.safetensors") == {"cut": 2, "status": 0}.get(fault["kind"], 1)


def test_down_and_a_race(hub: Hub, tmp_path: Path) -> None:
    hub.put("alice/gan", {"a.txt": b"a"})
    hub.fault("down", path="*/resolve/*", times=None)
    assert "Error" in run(hub, tmp_path / "cache", "client_download", "a.txt", HF_HUB_ETAG_TIMEOUT="1")
    hub.clear()
    hub.fault("stale", path="*/commit/*")
    before = hub.repos["alice/gan"].branches["main"]
    done = hf(hub, tmp_path / "cache", "upload", "alice/gan", __file__, "b.txt", token="hf_alice")
    assert done.returncode == 0, "an upload that names no parent is put on top"
    assert {"NOTE.md", "b.txt"} <= set(hub.listing("alice/gan")) and before != hub.repos["alice/gan"].branches["main"]


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
