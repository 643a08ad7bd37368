"""`kd-landmarks convert`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable
from ..utils.logging import set_up_logging
from ..utils.values import one_of
from .app import app
from .options import AllowOutside, Orientation, finite

# In the help texts, a line with \b keeps the lines after it as they are.
CONVERT_HELP = """Convert faces on disk to Parquet with a data set card, in a folder or on the Hub.

\b
kd-landmarks convert 300w 300W --output 300w-parquet
kd-landmarks convert wflw WFLW --crop-margin 1.8 --push NAMESPACE/wflw
kd-landmarks convert own faces --scheme ibug68 --output faces-parquet

SRC is the unpacked official download of 300W (afw, helen, lfpw, ibug), WFLW (WFLW_annotations,
WFLW_images) or COFW (COFW_train_color.mat, COFW_test_color.mat), or data of your own: JSON lines,
a folder for each split with photos and .pts files, or the files of a labeling tool: COCO
keypoints, CVAT, Label Studio, LabelMe, dlib's XML, CSV. Missing faces are listed; they do not stop
the conversion unless --strict is given.
"""


@app.command(no_args_is_help=True, help=CONVERT_HELP)
def convert(
    name: Annotated[str, typer.Argument(metavar="300w|wflw|cofw|own", help="Data set.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Its folder or file.")],
    output: Annotated[
        Path | None, typer.Option(help="New folder for README.md and the Parquet files.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(help="Id of the data set on the Hub, NAMESPACE/NAME, made where needed."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="Of your own data: ibug68, wflw98, cofw29 or a YAML file."),
    ] = None,
    crop_margin: Annotated[
        float | None,
        typer.Option(
            min=1,
            callback=finite,
            help="Keep only a square of this many box sides around each face; 1.8 is enough for "
            "training. Default: whole photos.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop where a face is missing or cannot be taken."),
    ] = False,
    i_have_the_rights: Annotated[
        bool,
        typer.Option(
            "--i-have-the-rights",
            help="Push 300W, WFLW or COFW for everyone to see. They are for research only, and "
            "pushed private otherwise.",
        ),
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Push your own data for everyone to see.")
    ] = False,
    license: Annotated[
        str | None,
        typer.Option(help="For the card, as the Hub calls it, such as cc-by-4.0."),
    ] = None,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
    preview: Annotated[
        Path | None,
        typer.Option(help="PNG of some converted faces with their landmarks, to look at."),
    ] = None,
) -> None:
    """Check, convert, print and push."""
    one_of("what to convert", name, ("300w", "wflw", "cofw", "own"))
    if output is None and push is None:
        raise KDLandmarksError("give a destination: --output DIR, --push NAMESPACE/NAME, or both")
    if name == "own" and i_have_the_rights:
        raise KDLandmarksError("--i-have-the-rights is for 300w, wflw and cofw: give --public")
    if name != "own" and (public or license) and not i_have_the_rights:
        raise KDLandmarksError(
            f"{name} is for research only: --{'public' if public else 'license'} needs "
            "--i-have-the-rights"
        )
    set_up_logging()
    from ..imaging.output import check_drawings

    if preview is not None:
        check_outputs({"--preview": preview}, [source])
        check_drawings([preview], "plots")
        check_writable(preview)
    import tempfile

    from ..data.convert import convert as convert_faces
    from ..hub.push_data import check_push, push_folder
    from ..schemes import get_scheme

    private = not (public or i_have_the_rights)
    if push is not None:  # before the work rather than after it
        check_push(push, private)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "converted" if output is None else output
        conversion = convert_faces(
            name,
            source,
            folder,
            scheme=None if scheme is None else get_scheme(scheme),
            crop_margin=crop_margin,
            strict=strict,
            license_id=license,
            allow_outside=allow_outside,
            orientation=orientation,
        )
        print(conversion.text())
        if preview is not None:
            from ..data.loading import load_rows
            from ..evaluation.inspection import draw_faces

            first = next(iter(conversion.info.splits))
            rows = load_rows(folder, first, scheme=conversion.scheme)
            draw_faces(rows, conversion.scheme, preview)
            print(f"\nSome faces of {first}, drawn: {preview}")
        if output is not None:
            print(f"\nWritten to {output}")
        if push is not None:
            print(f"\nPushed to {push_folder(folder, push, private)}")
