"""A photo from the web: of a bearable size, within a bearable time."""

import time

MOST_BYTES = 2**28
"""Of a photo; one of 50 megapixels in 16 bits takes as much, unpacked."""
AS_LONG = 4
"""Times the seconds of silence that all of it may take, a redirect after the other."""


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

    start = time.monotonic()
    parts, total = [], 0
    # Nothing packed, which could be a thousand times as long unpacked.
    asked = {"Accept-Encoding": "identity"}
    with get_session().stream(
        "GET", url, headers=asked, timeout=timeout, follow_redirects=True
    ) as answer:
        answer.raise_for_status()
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ValueError("the server packs it, though it was asked not to")
        for part in answer.iter_raw():
            parts.append(part)
            total += len(part)
            if total > MOST_BYTES:
                raise ValueError(f"it has more than {MOST_BYTES} bytes")
            if timeout is not None and time.monotonic() - start > AS_LONG * timeout:
                raise TimeoutError(f"{total} bytes came in {AS_LONG * timeout:g} seconds")
    return b"".join(parts)
