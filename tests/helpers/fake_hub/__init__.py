"""A Hugging Face Hub on this machine, for tests: models, data sets and Spaces over HTTP.

It speaks the routes that huggingface_hub, transformers and datasets use: repositories, private
ones and tokens that may only read, commits with small and large (LFS) files, branches and tags,
whole and partial reads. It has no Xet storage, pull requests, gated repositories or data viewer.

A test takes the fixture `hub`, which also points the clients of its own process here:

    def test_push(hub):
        rows.push_to_hub("ada/faces", private=True)  # as ada, by hub.token
        assert "README.md" in hub.files("ada/faces", "dataset")
        hub.use(token=None, cache=tmp_path / "fresh")  # from here on as anybody
        hub.run("import huggingface_hub; ...", token=hub.read_token)  # a process of its own
        hub.fail_next("resolve/main", status=429, retry_after=1)  # hub.waits: what that cost
        hub.cut_next("parquet", after=100)
        hub.down()  # and hub.up()

A script starts one by `with Hub(folder) as hub:` and gives `hub.environment()` to its processes.
"""

from .local import Hub
from .store import Repository

__all__ = ["Hub", "Repository"]
