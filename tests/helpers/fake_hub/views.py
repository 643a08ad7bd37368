"""What a Hub tells about its repositories, in the JSON that its clients read."""

from typing import Any

from .cards import card_data
from .store import Blob, Commit, Repository, Token


def user(token: Token) -> dict[str, Any]:
    access = {"type": "access_token", "accessToken": {"displayName": "test", "role": token.role}}
    organizations = [{"type": "org", "name": name} for name in token.organizations]
    names = {"name": token.user, "fullname": token.user}
    return {"type": "user", "id": token.user, **names, "orgs": organizations, "auth": access}


def information(repository: Repository, commit: Commit, with_blobs: bool) -> dict[str, Any]:
    """A repository at a commit, with its card's metadata."""
    readme = commit.files.get("README.md")
    card = card_data(readme.data.decode()) if readme else {}
    siblings = [
        {"rfilename": path} | (_blob(blob, "blobId", "sha256") if with_blobs else {})
        for path, blob in sorted(commit.files.items())
    ]
    first = next(iter(repository.commits.values()))
    about = {
        "_id": first.oid[:24],
        "id": repository.repo_id,
        "author": repository.repo_id.split("/")[0],
        "sha": commit.oid,
        "createdAt": first.date,
        "lastModified": commit.date,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _as_list(card.get("tags")),
        "cardData": card,
        "siblings": siblings,
    }
    if repository.repo_type == "model":
        known = {"pipeline_tag", "library_name", "model-index"} & card.keys()
        about |= {"modelId": repository.repo_id} | {name: card[name] for name in known}
    if repository.repo_type == "space":
        about |= {"sdk": repository.sdk}
    return about


def tree(
    repository: Repository, commit: Commit, folder: str, recursive: bool, expand: bool
) -> list[dict[str, Any]]:
    """Files and folders in `folder`; of a file that file alone; empty where there is neither."""
    if folder in commit.files:
        return [entry(repository, commit, folder, expand)]
    start = len(folder) + 1 if folder else 0
    paths: set[str] = set()
    for path in commit.under(folder):
        parts = path[start:].split("/")
        depth = len(parts) if recursive else 1
        paths |= {path[:start] + "/".join(parts[:end]) for end in range(1, depth + 1)}
    return [entry(repository, commit, path, expand) for path in sorted(paths)]


def entry(repository: Repository, commit: Commit, path: str, expand: bool) -> dict[str, Any]:
    """One existing file or folder of a tree; `expand` adds the commit that last changed it."""
    if path in commit.files:
        about = {"type": "file", "path": path} | _blob(commit.files[path], "oid", "oid")
    else:
        about = {"type": "directory", "path": path, "oid": commit.object_at(path), "size": 0}
    if expand:
        change = repository.last_change(commit.oid, path)
        about["lastCommit"] = {"id": change.oid, "title": change.title, "date": change.date}
    return about


def references(repository: Repository) -> dict[str, Any]:
    def refs(kind: str, targets: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
            for name, oid in targets.items()
        ]

    branches, tags = refs("heads", repository.branches), refs("tags", repository.tags)
    return {"branches": branches, "tags": tags, "converts": [], "pullRequests": []}


def log_entry(commit: Commit) -> dict[str, Any]:
    about = {"id": commit.oid, "title": commit.title, "message": commit.description}
    return about | {"date": commit.date, "authors": [{"user": commit.author}]}


def upload_mode(path: str, blob: Blob | None, large: bool) -> dict[str, Any]:
    """How a file is to be uploaded, and what stands in its place now (`blob`)."""
    mode = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
    return mode | {"oid": blob.etag if blob else None}


def _blob(blob: Blob, name: str, large_name: str) -> dict[str, Any]:
    about: dict[str, Any] = {name: blob.oid, "size": len(blob.data)}
    if blob.large:
        large = {large_name: blob.sha256, "size": len(blob.data)}
        about["lfs"] = large | {"pointerSize": len(blob.pointer)}
    return about


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
