"""`kd-landmarks env`."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from .app import app

ENV_HELP = """Say what a bug report has to say: versions, machine, settings.

\b
kd-landmarks env
"""

PACKAGES = (
    *("kd-landmarks", "numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "pillow"),
    *("huggingface_hub", "typer", "torch", "torchvision", "timm", "transformers", "accelerate"),
    *("datasets", "openvino", "onnx", "av", "gradio", "pillow-heif"),
)
# None holds a secret, or where files are.
VARIABLES = (
    *("KD_LANDMARKS_MAX_MEGAPIXELS", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
    *("ACCELERATE_USE_CPU", "GRADIO_ROOT_PATH"),
)


@app.command(help=ENV_HELP)
def env() -> None:
    """Collect and print."""
    from ..utils.tables import facts_table

    lines = [
        ("system", platform.platform()),
        ("machine", f"{platform.machine()}, {os.cpu_count()} threads"),
        ("Python", platform.python_version()),
        ("accelerators", _accelerators()),
        *((name, _version(name)) for name in PACKAGES),
        *((name, os.environ[name]) for name in VARIABLES if name in os.environ),
    ]
    print(facts_table(lines))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _accelerators() -> str:
    """What torch can compute on; a torch that does not load is worth a line, too."""
    from ..utils.environment import devices

    try:
        return ", ".join(devices())
    except ModuleNotFoundError:
        return "unknown without torch"
    except Exception as error:
        return f"torch does not load: {error!r}"
