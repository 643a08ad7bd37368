"""A photo from the web: of a bearable size, within a bearable time."""

import math
import time
from contextlib import closing
from typing import Any

MOST_BYTES = 2**28
"""Of a photo; one of 50 megapixels in 16 bits takes as much, unpacked."""
AS_LONG = 4
"""Times the seconds of silence that all of it may take, a redirect after the other."""
MOST_REDIRECTS = 10


def download(url: str, timeout: float | None) -> bytes:
    """What lies at an address.

    Args:
        url: of a server that may be anybody's.
        timeout: seconds that it may stay silent; it may take `AS_LONG` times as long for all. None
            waits forever.

    Raises:
        Exception: of the HTTP library in use, an OSError where it takes too long, and a ValueError
            where it has too many bytes.
    """
    # Here, since it is not needed for anything else: whoever has the files does without it.
    from huggingface_hub import get_session

    end = math.inf if timeout is None else time.monotonic() + AS_LONG * timeout
    client = get_session()
    # Nothing packed, which could be a thousand times as long unpacked.
    asked = {"Accept-Encoding": "identity"}
    request = client.build_request("GET", url, headers=asked, timeout=timeout)
    for _ in range(MOST_REDIRECTS + 1):
        with closing(client.send(request, stream=True, follow_redirects=False)) as answer:
            if answer.next_request is None:
                answer.raise_for_status()
                return _content(answer, end)
            request = answer.next_request
        if time.monotonic() > end:
            raise TimeoutError("it redirects for too long")
    raise ValueError(f"it redirects more than {MOST_REDIRECTS} times")


def _content(answer: Any, end: float) -> bytes:
    """An answer's body, which has to be there by `end`, a time of `time.monotonic`."""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ValueError("the server packs it, though it was asked not to")
    parts, total = [], 0
    for part in answer.iter_raw():
        parts.append(part)
        total += len(part)
        if total > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        if time.monotonic() > end:
            raise TimeoutError(f"only {total} bytes came in time")
    return b"".join(parts)
