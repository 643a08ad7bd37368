"""`kd-landmarks export`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable, new_file
from ..utils.logging import set_up_logging
from ..utils.values import EXPORTS, ending
from .app import app
from .options import AllowOutside, Model, Orientation

EXPORT_HELP = """Write a detector for ONNX Runtime or OpenVINO, in float32 or int8.

\b
kd-landmarks export --output student.onnx
kd-landmarks export --output student.int8.onnx --int8 --calibration 300w --split train
kd-landmarks export --output student.xml --model runs/300w/student

The name's ending says which: .onnx, or .xml for OpenVINO. int8 sets the ranges of its numbers by
looking at faces: training faces will do, and a hundred are enough. ONNX files know their crop,
normalization and landmarks; FaceLandmarkPipeline runs them without torch.
"""


@app.command(no_args_is_help=True, help=EXPORT_HELP)
def export(
    output: Annotated[Path, typer.Option(help="The new file: .onnx, or .xml for OpenVINO.")],
    model: Model = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit weights and activations; needs --calibration.")
    ] = False,
    calibration: Annotated[
        str | None, typer.Option(help="Faces to calibrate on, as --data of `evaluate` takes them.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of these faces.")] = None,
    faces: Annotated[int, typer.Option(min=1, help="How many of them.")] = 100,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
) -> None:
    """Load, export and print."""
    kind = ending("--output", output, EXPORTS)
    if int8 != (calibration is not None):
        raise KDLandmarksError("--int8 needs --calibration DATA, and --calibration needs --int8")
    set_up_logging()
    from ..inference.checkpoints import own_files

    # What cannot be written, or would replace something, is better known before the work.
    outputs = {"--output": output}
    if kind == ".xml":
        weights = output.with_suffix(".bin")
        outputs["the weights,"] = weights
        if weights.exists() and not output.exists():
            raise KDLandmarksError(
                f"{weights} is there without {output}, and would be replaced: name another --output"
            )
    check_outputs(outputs, [*own_files(model), *([] if calibration is None else [calibration])])
    for path in outputs.values():
        check_writable(path)

    import tempfile

    from .. import default_checkpoint
    from ..data.crops import typical_pixels
    from ..data.loading import load_rows
    from ..inference.backends.torch import describe
    from ..inference.export import export_onnx, export_openvino, quantize_int8
    from ..models.loading import detector_scheme, load_detector

    source = model or default_checkpoint()
    detector, processor = load_detector(source)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "float32.onnx"
        export_onnx(detector, processor, made, halve=not int8)
        if calibration is not None:
            scheme = detector_scheme(detector, source)
            rows = load_rows(
                calibration,
                split,
                scheme=scheme,
                skip_bad_rows=True,
                allow_outside=allow_outside,
                orientation=orientation,
            )
            crops = typical_pixels(rows, describe(detector, processor), faces)
            made = quantize_int8(made, Path(scratch) / "int8.onnx", crops)
        if kind == ".xml":
            export_openvino(made, output)
        else:
            with new_file(output) as partial:
                shutil.copyfile(made, partial)
    for path in outputs.values():
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
