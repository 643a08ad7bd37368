"""The Hub's routes that make, change and describe repositories."""

from urllib.parse import urlencode

from . import views
from .cards import card_errors
from .routing import Answer, Request, reply, route
from .store import HubError, Repository

ENTRIES, EXPANDED_ENTRIES = 1000, 50
"""Most entries of one page of a tree, as on the Hub."""


@route("GET", "/api/whoami-v2")
def whoami(request: Request) -> Answer:
    if request.token is None:
        raise HubError(401, "Invalid username or password.")
    return reply(views.user(request.token))


@route("POST", "/api/repos/create")
def create(request: Request) -> Answer:
    repo_type, repo_id = _named(request)
    wanted = request.json
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    repository = Repository(repo_type, repo_id, private, wanted.get("sdk"))
    if repo_type == "space" and not repository.sdk:
        raise HubError(400, "sdk is required for a Space")
    found = {"url": page(request, repo_type, repo_id), "name": repo_id, "id": repo_id}
    try:
        request.store.create(repository, request.token)
    except HubError as error:
        if error.status != 409:
            raise
        # Clients that do not mind an existing repository read its address from the refusal.
        return reply(found | {"error": error.message}, 409)
    return reply(found)


@route("DELETE", "/api/repos/delete")
def delete(request: Request) -> Answer:
    repository = request.store.find_to_write(*_named(request), request.token)
    del request.store.repositories[repository.repo_type, repository.repo_id]
    return reply({})


@route("POST", "/api/repos/move")
def move(request: Request) -> Answer:
    wanted = request.json
    names = wanted.get("type") or "model", wanted["fromRepo"], wanted["toRepo"]
    request.store.move(*names, request.token)
    return reply({})


@route("PUT", "{api}/settings")
def settings(request: Request, repo_type: str, repo_id: str) -> Answer:
    repository = request.store.find_to_write(repo_type, repo_id, request.token)
    if unknown := request.json.keys() - {"visibility"}:
        raise HubError(400, f"This Hub does not keep the settings {sorted(unknown)}")
    repository.private = request.json["visibility"] == "private"
    return reply({"private": repository.private})


@route("POST", "/api/validate-yaml")
def validate_card(request: Request) -> Answer:
    readme = request.json["content"]
    warnings = [] if readme.startswith("---") else ["empty or missing yaml metadata in repo card"]
    errors = card_errors(readme, request.json.get("repoType", "model"))
    content = {
        name: [{"message": message} for message in messages]
        for name, messages in (("errors", errors), ("warnings", warnings))
    }
    return reply(content, 400 if errors else 200)


@route("GET", "{api}/auth-check")
def check_access(request: Request, repo_type: str, repo_id: str) -> Answer:
    request.store.find(repo_type, repo_id, request.token)
    return reply({})


@route("GET", "{api}(?:/revision/(?P<revision>[^/]+))?")
def information(request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
    repository = request.store.find(repo_type, repo_id, request.token)
    commit = repository.resolve(revision or "main")
    return reply(views.information(repository, commit, request.wants("blobs")))


@route("GET", "{api}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(request: Request, repo_type: str, repo_id: str, revision: str, folder: str) -> Answer:
    repository = request.store.find(repo_type, repo_id, request.token)
    commit = repository.resolve(revision)
    expand = request.wants("expand")
    folder = folder.rstrip("/")
    entries = views.tree(repository, commit, folder, request.wants("recursive"), expand)
    if folder and not entries:
        raise HubError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    return _one_page(request, entries, EXPANDED_ENTRIES if expand else ENTRIES)


@route("POST", "{api}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
    repository = request.store.find(repo_type, repo_id, request.token)
    commit = repository.resolve(revision)
    expand = str(request.form.get("expand", [""])[0]).lower() == "true"
    paths = [path.strip("/") for path in request.form.get("paths", [])]
    known = [path for path in paths if path and commit.object_at(path)]
    return reply([views.entry(repository, commit, path, expand) for path in known])


@route("GET", "{api}/commits/(?P<revision>[^/]+)")
def commits(request: Request, repo_type: str, repo_id: str, revision: str) -> Answer:
    repository = request.store.find(repo_type, repo_id, request.token)
    log = [views.log_entry(commit) for commit in repository.history(revision)]
    return _one_page(request, log, ENTRIES)


@route("GET", "{api}/refs")
def references(request: Request, repo_type: str, repo_id: str) -> Answer:
    return reply(views.references(request.store.find(repo_type, repo_id, request.token)))


@route("POST DELETE", "{api}/branch/(?P<name>[^/]+)")
def branch(request: Request, repo_type: str, repo_id: str, name: str) -> Answer:
    repository = request.store.find_to_write(repo_type, repo_id, request.token)
    if request.method == "POST":
        repository.add_branch(name, request.json.get("startingPoint", "main"))
    else:
        repository.delete_branch(name)
    return reply({})


@route("POST DELETE", "{api}/tag/(?P<name>[^/]+)")
def tag(request: Request, repo_type: str, repo_id: str, name: str) -> Answer:
    """A POST names the revision in the path and the tag in the body, a DELETE the tag."""
    repository = request.store.find_to_write(repo_type, repo_id, request.token)
    if request.method == "POST":
        repository.add_tag(request.json["tag"], name)
    else:
        repository.delete_tag(name)
    return reply({})


def page(request: Request, repo_type: str, repo_id: str) -> str:
    """The address of a repository's page."""
    folder = "" if repo_type == "model" else f"{repo_type}s/"
    return f"{request.base}/{folder}{repo_id}"


def _named(request: Request) -> tuple[str, str]:
    """Type and id of the repository that a request's body names; the namespace may be left out."""
    wanted = request.json
    owner = wanted.get("organization") or (request.token.user if request.token else "")
    return wanted.get("type") or "model", f"{owner}/{wanted['name']}"


def _one_page(request: Request, entries: list[dict], most: int) -> Answer:
    """The page of `entries` that a request asks for, with a link to the next."""
    start = int(request.query.get("cursor", 0))
    told = reply(entries[start : start + most])
    if start + most < len(entries):
        query = urlencode(request.query | {"cursor": start + most})
        told.headers["Link"] = f'<{request.base}{request.path}?{query}>; rel="next"'
    return told
