"""`kd-landmarks scheme new`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable, write_text
from ..utils.logging import set_up_logging
from ..utils.parsing import plain_name
from .app import app
from .options import AllowOutside, Orientation, Split

SCHEME_HELP = """Make a landmark scheme for landmarks of your own, by guessing from labeled faces.

\b
kd-landmarks scheme new faces.jsonl --output mine.yaml
kd-landmarks train --scheme mine.yaml --data faces.jsonl

The number of landmarks, the pairs that mirroring swaps, and the length that errors are divided by
are guessed. mine.png shows the numbered landmarks: use it to check the guesses in mine.yaml, and
to name the landmarks there. An existing file is not replaced.
"""

schemes = typer.Typer(no_args_is_help=True, help="Landmark schemes of your own.")
app.add_typer(schemes, name="scheme")


@schemes.command(help=SCHEME_HELP, no_args_is_help=True)
def new(
    data: Annotated[str, typer.Argument(help="Labeled faces: what --data of train takes.")],
    output: Annotated[Path, typer.Option(help="New YAML file; the picture lies beside it.")],
    split: Split = None,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
) -> None:
    """Read, guess, write, draw and say."""
    set_up_logging()
    if output.suffix not in (".yaml", ".yml"):
        raise KDLandmarksError(f"--output {output}: give a name that ends with .yaml")
    name = plain_name(output.stem, "the scheme's name, from --output,")
    picture = output.with_suffix(".png")
    check_outputs({"--output": output, "the picture": picture}, [data])
    for path in (output, picture):
        if path.exists():
            raise KDLandmarksError(f"{path} is there already: give another --output")
        check_writable(path)
    import numpy as np

    from ..data.columns import point_array
    from ..data.photos import Photos
    from ..data.scheme_guess import (
        first_faces,
        flip_pairs,
        guess_scheme,
        most_usual,
        scheme_text,
    )
    from ..imaging.numbered import numbered_picture
    from ..imaging.output import save_drawing

    rows, names = first_faces(
        data, split, name, allow_outside=allow_outside, orientation=orientation
    )
    points = point_array(rows, "landmarks")
    whole = np.flatnonzero(~np.isnan(points).any((1, 2)))
    scheme = guess_scheme(points[whole], name, names)
    index = int(whole[most_usual(points[whole])])
    # First what may fail, so that nothing is left of it.
    drawn = numbered_picture(Photos(rows).open(index), points[index], scheme)
    write_text(output, scheme_text(scheme, len(whole)))
    save_drawing(drawn, picture, "card")
    corners = scheme.eye_corners
    divisor = "the box" if corners is None else f"the distance of {corners[0]} and {corners[1]}"
    what = "keep its names: labels are read by them" if names else "name the landmarks in it"
    print(
        f"{output}: {scheme.num_landmarks} landmarks, guessed from {len(whole)} faces. Check it "
        f"against the numbered landmarks in {picture}, and {what}.\n"
        f"  swapped by a mirror: {', '.join(map(str, flip_pairs(scheme))) or 'none'}\n"
        f"  errors are divided by: {divisor}"
    )
