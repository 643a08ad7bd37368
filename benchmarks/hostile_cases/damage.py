"""How bytes and values are damaged."""

import atexit
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from . import Case, Try

DEEP = 10**5


STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**9, 2**63, -(2**70), 1e308, -1e-308, 0.5),
    *(math.nan, math.inf, -math.inf, "", "x", "7", "../../etc/passwd", "a\x00b", "\x1b[2J"),
    *("x" * 10**5, [], {}, [[]], [None], {"a": {}}, [1, 2, 3], ["x"] * 1000, [0] * 10**5),
    {"x" * 1000: 1},
]
"""Values where others belong."""


@cache
def scratch() -> str:
    """A folder for what is whole, gone at the end."""
    folder = tempfile.mkdtemp(prefix="kd-landmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def flipped(data: bytes, rng: Random, most: int = 20, within: int | None = None) -> bytes:
    """Some bits turned around, half of the time near the beginning."""
    changed = bytearray(data)
    end = len(data) if within is None else min(within, len(data))
    if rng.random() < 0.5:
        end = min(end, 400)
    for _ in range(rng.randint(1, most)):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: Random) -> bytes:
    """Without its end, or without a part in between."""
    first = rng.randrange(len(data))
    second = len(data) if rng.random() < 0.6 else rng.randrange(first, len(data))
    return data[:first] + data[second:]


def other_value(values: Any, rng: Random, strange: Any) -> Any:
    """A copy of JSON values with one of them, anywhere, replaced or removed."""
    values = json.loads(json.dumps(values))
    place = values
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
            place = place[key]
            continue
        if rng.random() < 0.1:
            del place[key]
        else:
            place[key] = strange
        return values


def strange_texts() -> dict[str, bytes]:
    """Files that are not JSON or YAML, or far too much of it."""
    return {
        "empty": b"",
        "zeros": bytes(1000),
        "no text": b"\xff\xfe\xfa" * 100,
        "spaces": b" " * (5 * 2**20),
        "deep list": b"[" * DEEP + b"]" * DEEP,
        "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        "digits": b'{"size": ' + b"9" * 5000 + b"}",
        "a list": b"[1, 2]",
        "a text": b'"x"',
        "a long text": b'"' + b"x" * 10**6 + b'"',
        "half": b'{"a": [1, 2',
        "HTML": b"<html><body>not found</body></html>",
    }


def written(
    look: Callable[[str], Any], name: str, content: Callable[..., bytes], *arguments: Any
) -> Try:
    """Look at a file of what `content` makes of arguments and chances; a folder, too, is given."""
    *rest, folder, rng = arguments
    path = Path(folder) / name
    path.write_bytes(content(*rest, rng))
    return partial(look, str(path))


def damaged_cases(
    look: Callable[[str], Any],
    name: str,
    kinds: Iterable[str],
    sound: Callable[[str], bytes],
    flips: int,
    cuts: int,
) -> list[Case]:
    """Whole files of each kind with bits flipped, and cut, so many times; and one that is missing.

    Args:
        look: what is tried, with the file's path.
        name: of the file.
        kinds: of files.
        sound: a whole one of a kind.
        flips: with bits flipped, of each kind.
        cuts: the same, cut.
    """

    def damaged(kind: str, damage: Callable[[bytes, Random], bytes], rng: Random) -> bytes:
        return damage(sound(kind), rng)

    found = [
        Case(f"{kind}: {what}, {number}", partial(written, look, name, damaged, kind, damage))
        for kind in kinds
        for what, damage, count in (("bits flipped", flipped, flips), ("cut", cut, cuts))
        for number in range(count)
    ]
    missing = Case("nothing there", lambda folder, rng: partial(look, str(folder / name)))
    return [*found, missing]
