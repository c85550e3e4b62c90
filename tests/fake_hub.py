"""A small Hugging Face hub on 127.0.0.1, for tests: repositories are folders, every state of a folder is a commit.

It answers what huggingface_hub, transformers, timm, open_clip and `datasets.load_dataset` ask: information, trees,
paths and files (whole and by byte range) of models and datasets. Models are uploaded too: repositories and branches are
made, large files go by git LFS, and a commit changes the folder. A client is a process started with
HF_ENDPOINT=hub.url and an HF_HOME of its own, because libraries read both when they are imported (and with
HF_HUB_DISABLE_XET=1 where it uploads: the hub's newer storage is not imitated).
"""

import base64
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
API = re.compile(
    rf"/api/(?P<kind>model|dataset)s/{REPO}(?:/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+)/?(?P<path>.*))?"
)
WRITE = re.compile(rf"/api/models/{REPO}/(?P<what>preupload|commit|branch)/(?P<revision>.+)")
BATCH = re.compile(rf"/{REPO}\.git/info/lfs/objects/batch")
FILE = re.compile(rf"/(?P<kind>datasets/)?{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


class FakeHub:
    """Folders as repositories: `folders["model"]["some/name"]` and `folders["dataset"]["some/name"]`.

    `locked` names gated repositories: their information is public, their files are refused, as on the real hub.
    `requests` lists what was asked, as "METHOD /path". Who sends the `token` may write; new repositories are folders in
    `made`, the private ones of them in `private`; `branches[repository, name]` is a branch's folder.
    """

    def __init__(self, folders: dict[str, dict[str, Path]], made: Path | None = None) -> None:
        self.folders = folders
        self.locked: set[str] = set()
        self.requests: list[str] = []
        self.url = ""
        self.token = "hf_token"
        self.made = made
        self.private: set[str] = set()
        self.branches: dict[tuple[str, str], Path] = {}
        self.large: dict[str, bytes] = {}
        self._history: dict[str, dict[str, bytes]] = {}

    def commit(self, repo: str, kind: str = "model") -> str:
        """Return the commit of a folder as it is now; older commits keep being served."""
        return self._noted(Path(self.folders[kind][repo]), kind, repo)

    def _noted(self, root: Path, kind: str, repo: str) -> str:
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
        listing = [(name, hashlib.sha1(content).hexdigest()) for name, content in files.items()]
        commit = hashlib.sha1(repr((kind, repo, listing)).encode()).hexdigest()
        self._history[commit] = files
        return commit

    def files(self, kind: str, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the commit that a revision (main, branch or commit) stands for and its files; None: there is none."""
        commit = self.commit(repo, kind)
        commit = commit if revision == "main" else revision
        if (branch := self.branches.get((repo, revision))) is not None:
            commit = self._noted(branch, kind, repo)
        return (commit, self._history[commit]) if commit in self._history else None


@contextmanager
def serve(folders: dict[str, dict[str, Path]], made: Path | None = None) -> Iterator[FakeHub]:
    """Serve `folders` ({"model": {repository: folder}, "dataset": {...}}) while the context lasts."""
    hub = FakeHub(folders, made)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if path == "/":
            return self._send(200, b"hub")
        if self.command == "PUT" and path.startswith("/lfs/"):
            self.hub.large[path.removeprefix("/lfs/")] = body
            return self._send(200, b"")
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create" or WRITE.fullmatch(path) or BATCH.fullmatch(path):
            if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
                return self._error(403, "")
            return self._write(path, body)
        if asked := FILE.fullmatch(path):
            return self._file("dataset" if asked["kind"] else "model", asked["repo"], asked["revision"], asked["path"])
        if asked := API.fullmatch(path):
            return self._api(asked, body)
        return self._error(404, "")

    def _write(self, place: str, body: bytes) -> None:
        if place == "/api/repos/create":
            return self._create(json.loads(body))
        if BATCH.fullmatch(place):
            objects = json.loads(body)["objects"]
            for wanted in objects:
                wanted["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}
            return self._json({"transfer": "basic", "objects": objects})
        assert (asked := WRITE.fullmatch(place))
        repo, revision = asked["repo"], asked["revision"]
        if repo not in self.hub.folders["model"]:
            return self._error(404, "RepoNotFound")
        root = Path(self.hub.folders["model"][repo])
        if asked["what"] == "branch":
            folder = root.with_name(f"{root.name}@{revision}")
            shutil.copytree(root, folder)
            self.hub.branches[repo, revision] = folder
            return self._send(200, b"")
        if asked["what"] == "preupload":
            files = json.loads(body)["files"]
            for file in files:
                mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
                file.update(uploadMode=mode, shouldIgnore=False)
            return self._json({"files": files})
        folder = root if revision == "main" else self.hub.branches[repo, revision]
        for line in map(json.loads, body.splitlines()):
            if line["key"] in ("file", "lfsFile"):
                value, large = line["value"], line["key"] == "lfsFile"
                path = folder / value["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.hub.large[value["oid"]] if large else base64.b64decode(value["content"]))
        assert (found := self.hub.files("model", repo, revision))
        url = f"{self.hub.url}/{repo}/commit/{found[0]}"
        return self._json({"success": True, "commitOid": found[0], "commitUrl": url, "hookOutput": ""})

    def _create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        known = repo in self.hub.folders["model"]
        if not known:
            assert self.hub.made
            self.hub.folders["model"][repo] = self.hub.made / repo
            (self.hub.made / repo).mkdir(parents=True)
            if asked.get("visibility") == "private" or asked.get("private"):
                self.hub.private.add(repo)
        text = json.dumps({"url": f"{self.hub.url}/{repo}"} | ({"error": "You already created this"} if known else {}))
        self._send(409 if known else 200, text.encode(), {"Content-Type": "application/json"})

    def _api(self, asked: re.Match[str], body: bytes) -> None:
        kind, repo, what = asked["kind"], asked["repo"], asked["what"]
        if repo not in self.hub.folders.get(kind, {}):
            return self._error(404, "RepoNotFound")
        found = self.hub.files(kind, repo, asked["revision"] or "main")
        if found is None:
            return self._error(404, "RevisionNotFound")
        commit, files = found
        if what in (None, "revision"):
            siblings = [{"rfilename": name} for name in files]
            return self._json(
                {"id": repo, "sha": commit, "siblings": siblings, "private": repo in self.hub.private, "tags": []}
            )
        entries = _tree(files)
        if what == "paths-info":
            asked_for = parse_qs(body.decode()).get("paths", [])
            if self.headers.get("Content-Type", "").startswith("application/json"):
                asked_for = json.loads(body)["paths"]
            return self._json([entries[path] for path in asked_for if path in entries])
        folder = asked["path"].strip("/")
        if folder and entries.get(folder, {}).get("type") != "directory":
            return self._error(404, "EntryNotFound", commit)
        inside = {path: entry for path, entry in entries.items() if not folder or path.startswith(f"{folder}/")}
        if parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() != "true":
            depth = folder.count("/") + bool(folder)
            inside = {path: entry for path, entry in inside.items() if path.count("/") == depth}
        return self._json(list(inside.values()))

    def _file(self, kind: str, repo: str, revision: str, path: str) -> None:
        if repo not in self.hub.folders.get(kind, {}):
            return self._error(404, "RepoNotFound")
        if repo in self.hub.locked:
            return self._error(403, "GatedRepo")
        found = self.hub.files(kind, repo, revision)
        if found is None:
            return self._error(404, "RevisionNotFound")
        commit, files = found
        if path not in files:
            return self._error(404, "EntryNotFound", commit)
        content = files[path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if part is None:
            return self._send(200, content, {**headers, "Accept-Ranges": "bytes"})
        first, last = int(part[1]), min(int(part[2] or len(content) - 1), len(content) - 1)
        if first > last:
            return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        span = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return self._send(206, content[first : last + 1], {**headers, **span})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code, "X-Repo-Commit": commit}
        self._send(status, b"{}", {name: value for name, value in headers.items() if value})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tree(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return {path: entry} of all files and folders in the form of the hub's tree API."""
    entries: dict[str, dict[str, Any]] = {}
    for name, content in files.items():
        for folder in reversed(Path(name).parents[:-1]):
            entries[folder.as_posix()] = {"type": "directory", "path": folder.as_posix(), "oid": "0" * 40, "size": 0}
        oid = hashlib.sha1(content).hexdigest()
        entries[name] = {"type": "file", "path": name, "oid": oid, "size": len(content)}
    return entries
