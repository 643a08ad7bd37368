"""A disk without room, for tests: no real one is filled."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(room):
    """No file of this process may grow beyond `room` bytes: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
