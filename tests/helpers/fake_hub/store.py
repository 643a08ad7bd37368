"""What a Hub keeps: repositories with commits, branches and tags. Data only, no network."""

import hashlib
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

LARGE_SUFFIXES = (
    *(".bin", ".h5", ".npy", ".npz", ".onnx", ".pt", ".safetensors"),
    *(".arrow", ".parquet", ".tar", ".zip"),
)
"""Files that are uploaded beside the commit (Git LFS), as a new .gitattributes says."""
LARGE_BYTES = 10 * 2**20
"""The Hub takes larger files by LFS whatever their name."""
FIRST_COMMIT = datetime(2026, 1, 1, tzinfo=UTC)
"""Every further commit is a minute later: the same pushes give the same dates."""


class HubError(Exception):
    """An answer that is an error: `code` is what clients tell errors of one status apart by."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Token:
    """Whose access token it is, and whether it may write."""

    user: str
    role: str = "write"
    organizations: tuple[str, ...] = ()

    def owns(self, repo_id: str) -> bool:
        return repo_id.split("/")[0] in (self.user, *self.organizations)


@dataclass(frozen=True)
class Blob:
    """A file's bytes; `large` ones are stored as LFS objects, known by their SHA-256."""

    data: bytes
    large: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What Git itself keeps of a large file."""
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}")
        return "\n".join((*lines, f"size {len(self.data)}", "")).encode()

    @cached_property
    def oid(self) -> str:
        """Git's object name."""
        kept = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.oid


@dataclass(frozen=True)
class Commit:
    """All files of a repository at one time."""

    oid: str
    parent: str | None
    title: str
    description: str
    author: str
    date: str
    files: dict[str, Blob]

    def under(self, folder: str) -> dict[str, Blob]:
        """The files in `folder` and below; all of them for the empty name."""
        prefix = f"{folder}/" if folder else ""
        return {path: blob for path, blob in self.files.items() if path.startswith(prefix)}

    def object_at(self, path: str) -> str | None:
        """The name of the file or folder at `path`, which changes with its content."""
        if path in self.files:
            return self.files[path].oid
        below = sorted((name, blob.oid) for name, blob in self.under(path).items())
        return hashlib.sha1(json.dumps(below).encode()).hexdigest() if below else None


@dataclass(frozen=True)
class Edit:
    """One file written, or with `blob` None a file or a whole folder deleted."""

    path: str
    blob: Blob | None = None
    folder: bool = False

    def apply(self, files: dict[str, Blob]) -> dict[str, Blob]:
        if self.blob is not None:
            return files | {self.path: self.blob}
        gone = self.path.rstrip("/")
        kept = {
            path: blob
            for path, blob in files.items()
            if not (path.startswith(f"{gone}/") if self.folder else path == gone)
        }
        if len(kept) == len(files):
            kind = "folder" if self.folder else "file"
            raise HubError(404, f"A {kind} with this name doesn't exist: {gone}", "EntryNotFound")
        return kept


@dataclass
class Repository:
    """A model, data set or Space with its whole history."""

    repo_type: str
    repo_id: str
    private: bool = False
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Uploaded large files by SHA-256, whether committed yet or not."""

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag or a (shortened) commit hash."""
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and re.fullmatch("[0-9a-f]{7,40}", revision):
            oid = next((known for known in self.commits if known.startswith(revision)), None)
        if oid is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str) -> Iterator[Commit]:
        """The commit of `revision` and those before it, newest first."""
        oid: str | None = self.resolve(revision).oid
        while oid is not None:
            yield self.commits[oid]
            oid = self.commits[oid].parent

    def last_change(self, revision: str, path: str) -> Commit:
        """The commit that gave the file or folder at `path` its present content."""
        newest, *older = self.history(revision)
        for commit in older:
            if commit.object_at(path) != newest.object_at(path):
                break
            newest = commit
        return newest

    def commit(
        self,
        edits: Iterable[Edit],
        author: str,
        title: str,
        description: str = "",
        branch: str = "main",
        expected_parent: str | None = None,
    ) -> Commit:
        """Add a commit to `branch`; with `expected_parent` only onto that one."""
        if self.commits and branch not in self.branches:
            raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        parent = self.branches.get(branch)
        if expected_parent and not (parent or "").startswith(expected_parent):
            raise HubError(412, f"A commit has happened since {expected_parent}: refresh, retry.")
        files = dict(self.commits[parent].files) if parent else {}
        for edit in edits:
            files = edit.apply(files)
        content = sorted((path, blob.oid) for path, blob in files.items())
        named = [self.repo_type, self.repo_id, len(self.commits), parent, title, content]
        oid = hashlib.sha1(json.dumps(named).encode()).hexdigest()
        date = (FIRST_COMMIT + timedelta(minutes=len(self.commits))).strftime("%FT%T.000Z")
        self.commits[oid] = Commit(oid, parent, title, description, author, date, files)
        self.branches[branch] = oid
        return self.commits[oid]

    def add_branch(self, name: str, start: str) -> None:
        if name in self.branches:
            raise HubError(409, f"Reference already exists: {name}")
        self.branches[name] = self.resolve(start).oid

    def add_tag(self, name: str, revision: str) -> None:
        if name in self.tags:
            raise HubError(409, f"Tag reference exists already: {name}")
        self.tags[name] = self.resolve(revision).oid

    def delete_branch(self, name: str) -> None:
        if name == "main":
            raise HubError(403, "Cannot delete the main branch")
        if self.branches.pop(name, None) is None:
            raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")

    def delete_tag(self, name: str) -> None:
        if self.tags.pop(name, None) is None:
            raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")


class Store:
    """All repositories and access tokens of one Hub."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.tokens: dict[str, Token] = {}
        self.lock = threading.RLock()

    def identify(self, authorization: str | None) -> Token | None:
        """Whose request it is by its Authorization header; None is anybody's."""
        if authorization is None:
            return None
        token = self.tokens.get(authorization.removeprefix("Bearer "))
        if token is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return token

    def find(self, repo_type: str, repo_id: str, token: Token | None) -> Repository:
        """A repository that `token` may read.

        The Hub hides private repositories: who may not see one is told that there is none, by 401
        without a token and by 404 with one.
        """
        repository = self.repositories.get((repo_type, repo_id))
        hidden = repository is not None and repository.private
        if repository is None or (hidden and not (token and token.owns(repo_id))):
            raise HubError(404 if token else 401, "Repository not found", "RepoNotFound")
        return repository

    def find_to_write(self, repo_type: str, repo_id: str, token: Token | None) -> Repository:
        """A repository that `token` may change."""
        repository = self.find(repo_type, repo_id, token)
        self.check_writer(repo_id, token)
        return repository

    def check_writer(self, repo_id: str, token: Token | None) -> Token:
        if token is None:
            raise HubError(401, "Invalid username or password.")
        if token.role != "write":
            raise HubError(403, "This token has read access only: use one with the role write")
        if not token.owns(repo_id):
            raise HubError(403, f"You don't have the rights to write to {repo_id}")
        return token

    def create(self, repository: Repository, token: Token | None) -> Repository:
        """Add a repository with the first commit that the Hub gives it."""
        author = self.check_writer(repository.repo_id, token).user
        key = (repository.repo_type, repository.repo_id)
        if key in self.repositories:
            raise HubError(409, f"You already created this {repository.repo_type} repo")
        rules = [f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES]
        edit = Edit(".gitattributes", Blob("".join(rules).encode()))
        repository.commit([edit], author, "initial commit")
        self.repositories[key] = repository
        return repository

    def move(self, repo_type: str, old: str, new: str, token: Token | None) -> Repository:
        repository = self.find_to_write(repo_type, old, token)
        self.check_writer(new, token)
        if (repo_type, new) in self.repositories:
            raise HubError(409, f"{new} exists already")
        repository.repo_id = new
        self.repositories[repo_type, new] = self.repositories.pop((repo_type, old))
        return repository
