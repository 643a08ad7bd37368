"""`import kd_landmarks` costs next to nothing, and still transformers knows the detector."""

import subprocess
import sys
import textwrap

import pytest

import kd_landmarks
from kd_landmarks import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    config = KDLandmarksConfig(backbone="test_efficientnet", num_landmarks=5)
    KDLandmarksForKeypointDetection(config).save_pretrained(folder)
    KDLandmarksImageProcessor(crop_margin=1.4).save_pretrained(folder)
    return folder


def python(code, *arguments):
    """Run code in a fresh interpreter; what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_import_loads_no_heavy_library():
    heavy = python(
        """
        import sys, kd_landmarks
        print(*{name.partition(".")[0] for name in sys.modules})
        """
    )
    assert not {"torch", "transformers", "timm", "numpy", "datasets", "cv2"} & set(heavy)


def test_every_public_name_loads():
    for name in kd_landmarks.__all__:
        assert getattr(kd_landmarks, name).__name__ == name
        assert name in dir(kd_landmarks)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        kd_landmarks.nonsense  # noqa: B018


@pytest.mark.parametrize("first", ["kd_landmarks.models", "transformers"])
def test_auto_classes_know_the_detector(checkpoint, first):
    printed = python(
        f"""
        import sys
        import {first}
        import kd_landmarks.models
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForKeypointDetection
        for auto in (AutoConfig, AutoImageProcessor, AutoModelForKeypointDetection):
            loaded = auto.from_pretrained(sys.argv[1])
            print(type(loaded).__module__, type(loaded).__name__)
        """,
        checkpoint,
    )
    files = [
        "configuration_kd_landmarks KDLandmarksConfig",
        "image_processing_kd_landmarks KDLandmarksImageProcessor",
        "modeling_kd_landmarks KDLandmarksForKeypointDetection",
    ]
    assert printed == " ".join(f"kd_landmarks.models.{file}" for file in files).split()
