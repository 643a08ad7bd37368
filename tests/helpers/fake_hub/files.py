"""The Hub's routes for files: how they are uploaded, committed and read."""

import base64
import json
import re
from typing import Any

from . import views
from .cards import card_errors
from .repositories import page
from .routing import Answer, Request, reply, route
from .store import LARGE_BYTES, LARGE_SUFFIXES, Blob, Edit, HubError, Repository


@route("POST", "{api}/preupload/(?P<revision>[^/]+)")
def preupload(request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
    """Say which files are large, which belongs before the commit."""
    repository = _writable(request, repo_type, repo_id)
    commit = repository.resolve(revision)
    modes = []
    for file in request.json["files"]:
        binary = b"\0" in base64.b64decode(file["sample"])
        named = file["path"].endswith(LARGE_SUFFIXES)
        large = binary or named or file["size"] > LARGE_BYTES
        modes.append(views.upload_mode(file["path"], commit.files.get(file["path"]), large))
    return reply({"files": modes, "commitOid": commit.oid})


@route("POST", "{api}/commit/(?P<revision>[^/]+)")
def commit(request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
    """Change files: the body is one JSON object a line, a header and the edits in order."""
    repository = _writable(request, repo_type, repo_id)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    headers = [line["value"] for line in lines if line["key"] == "header"]
    if not headers or not headers[0].get("summary"):
        raise HubError(400, "A commit needs a summary")
    edits = [_edit(repository, **line) for line in lines if line["key"] != "header"]
    for edit in edits:
        if edit.path == "README.md" and edit.blob:
            _check_card(edit.blob, repo_type)
    made = repository.commit(
        edits,
        author=request.store.check_writer(repo_id, request.token).user,
        title=headers[0]["summary"],
        description=headers[0].get("description", ""),
        branch=revision,
        expected_parent=headers[0].get("parentCommit"),
    )
    url = f"{page(request, repo_type, repo_id)}/commit/{made.oid}"
    done = {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""}
    return reply(done)


@route("POST", r"{site}\.git/info/lfs/objects/batch")
def large_files(request: Request, repo_type: str, repo_id: str) -> Answer:
    """Where to upload large files, and how to have them checked; known ones need no upload."""
    repository = _writable(request, repo_type, repo_id)
    if request.json.get("operation") != "upload":
        raise HubError(400, "This Hub takes large files by LFS; they are read by their address")
    objects = []
    for file in request.json["objects"]:
        told = {"oid": file["oid"], "size": file["size"], "authenticated": True}
        if file["oid"] not in repository.objects:
            address = f"{page(request, repo_type, repo_id)}.git/info/lfs"
            upload, verify = f"{address}/objects/{file['oid']}", f"{address}/verify"
            told["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        objects.append(told)
    return reply({"transfer": "basic", "objects": objects})


@route("PUT", r"{site}\.git/info/lfs/objects/(?P<oid>[0-9a-f]{64})")
def upload(request: Request, repo_type: str, repo_id: str, oid: str) -> Answer:
    """Take a large file. Clients send no token here: on the Hub the address itself is signed."""
    blob = Blob(request.body, large=True)
    if blob.sha256 != oid:
        raise HubError(400, f"The file's SHA-256 is {blob.sha256}, not {oid}")
    repository = request.store.repositories.get((repo_type, repo_id))
    if repository is None:
        raise HubError(404, "Repository not found", "RepoNotFound")
    repository.objects[oid] = blob.data
    return reply({})


@route("POST", r"{site}\.git/info/lfs/verify")
def verify(request: Request, repo_type: str, repo_id: str) -> Answer:
    data = _writable(request, repo_type, repo_id).objects.get(request.json["oid"])
    if data is None or len(data) != request.json["size"]:
        raise HubError(404, f"{request.json['oid']} has not been uploaded whole")
    return reply({})


@route("GET", "{api}/xet-(?:read|write)-token/.+")
def xet(request: Request, repo_type: str, repo_id: str) -> Answer:
    raise HubError(404, "This Hub has no Xet storage: set HF_HUB_DISABLE_XET=1")


@route("GET HEAD", "{site}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def read(request: Request, repo_type: str, repo_id: str, revision: str, path: str) -> Answer:
    """A file's bytes, or the range of them that is asked for."""
    repository = request.store.find(repo_type, repo_id, request.token)
    commit = repository.resolve(revision)
    headers = {"X-Repo-Commit": commit.oid}
    blob = commit.files.get(path)
    if blob is None:
        # Clients remember by the commit's name that it has no such file.
        headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
        return reply({"error": "Entry not found"}, 404, **headers)
    headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
    headers |= {"Content-Type": "application/octet-stream"}
    if blob.large:
        headers |= {"X-Linked-Size": str(len(blob.data)), "X-Linked-ETag": f'"{blob.sha256}"'}
    return _ranged(request.headers.get("range", ""), blob.data, headers)


def _ranged(wanted: str, data: bytes, headers: dict[str, str]) -> Answer:
    """`data` or one range of it; a header that is no single range of bytes is ignored."""
    match = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", wanted.replace(" ", ""))
    if not match:
        return Answer(200, data, headers)
    first, last, length = (int(group) if group else None for group in match.groups())
    start = max(len(data) - length, 0) if length is not None else first or 0
    end = len(data) if last is None else min(last + 1, len(data))
    if start >= end:
        return Answer(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
    headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
    return Answer(206, data[start:end], headers)


def _edit(repository: Repository, key: str, value: dict[str, Any]) -> Edit:
    """One line of a commit."""
    path = value["path"]
    if key == "file":
        if value.get("encoding") == "base64":
            return Edit(path, Blob(base64.b64decode(value["content"])))
        return Edit(path, Blob(value["content"].encode()))
    if key == "lfsFile":
        if value["oid"] not in repository.objects:
            raise HubError(400, f"{path}: its content {value['oid']} has not been uploaded")
        return Edit(path, Blob(repository.objects[value["oid"]], large=True))
    if key in ("deletedFile", "deletedFolder"):
        return Edit(path, folder=key == "deletedFolder")
    raise HubError(400, f"{key} is no change that this Hub knows")


def _check_card(card: Blob, repo_type: str) -> None:
    try:
        errors = card_errors(card.data.decode(), repo_type)
    except UnicodeDecodeError:
        errors = ["README.md is not UTF-8"]
    if errors:
        raise HubError(400, "; ".join(errors))


def _writable(request: Request, repo_type: str, repo_id: str) -> Repository:
    if request.wants("create_pr"):
        raise HubError(403, "This Hub takes no pull requests: commit to a branch")
    return request.store.find_to_write(repo_type, repo_id, request.token)
