"""`import kd_landmarks` costs next to nothing, and still transformers knows the detector."""

import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

import kd_landmarks
from kd_landmarks import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks._registration import _enter_pipeline


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


def test_import_works_where_the_heavy_libraries_are_missing():
    printed = python(
        """
        import sys
        for name in ("torch", "transformers", "timm", "datasets"):
            sys.modules[name] = None
        import kd_landmarks
        print(kd_landmarks.get_scheme("ibug68").num_landmarks, kd_landmarks.__version__)
        """
    )
    assert printed == ["68", kd_landmarks.__version__]


def test_every_public_name_loads():
    for name in kd_landmarks.__all__:
        assert getattr(kd_landmarks, name).__name__ == name
        assert name in dir(kd_landmarks)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        kd_landmarks.nonsense  # noqa: B018


# In each interpreter one order of imports, and another class first: what one lookup registers must
# not be what makes the next one work.
@pytest.mark.parametrize(
    ("order", "classes"),
    [
        pytest.param(
            "import kd_landmarks; from transformers import {0}",
            ("AutoImageProcessor", "AutoModelForKeypointDetection"),
            id="kd_landmarks, processor",
        ),
        pytest.param(
            "import torch; import kd_landmarks; from transformers import {0}",
            ("AutoModelForKeypointDetection",),
            id="torch, kd_landmarks, model",
        ),
        pytest.param(
            "from transformers import {0}, AutoImageProcessor; import kd_landmarks",
            ("AutoConfig", "AutoImageProcessor"),
            id="transformers, kd_landmarks, config",
        ),
    ],
)
def test_auto_classes_know_the_detector_in_any_order(checkpoint, order, classes):
    printed = python(
        f"""
        import sys
        {order.format(classes[0])}
        assert "kd_landmarks.models" not in sys.modules
        import transformers
        for name in {classes}:
            loaded = getattr(transformers, name).from_pretrained(sys.argv[1])
            print(type(loaded).__module__, type(loaded).__name__)
        """,
        checkpoint,
    )
    files = {
        "AutoConfig": "configuration_kd_landmarks KDLandmarksConfig",
        "AutoImageProcessor": "image_processing_kd_landmarks KDLandmarksImageProcessor",
        "AutoModelForKeypointDetection": "modeling_kd_landmarks KDLandmarksForKeypointDetection",
    }
    assert printed == " ".join(f"kd_landmarks.models.{files[name]}" for name in classes).split()


@pytest.mark.parametrize(
    "order", ["kd_landmarks, transformers", "transformers.pipelines, kd_landmarks"]
)
def test_transformers_knows_the_task_in_any_order(checkpoint, order):
    printed = python(
        f"""
        import sys
        import {order}
        from transformers import pipeline
        assert "kd_landmarks.models" not in sys.modules
        made = pipeline("keypoint-detection", model=sys.argv[1], device="cpu")
        print(type(made).__module__, type(made).__name__, type(made.model).__name__)
        """,
        checkpoint,
    )
    assert printed == [
        "kd_landmarks.inference.pipeline",
        "FaceLandmarkPipeline",
        "KDLandmarksForKeypointDetection",
    ]


def test_a_pipeline_of_transformers_own_would_come_first():
    from transformers.pipelines import PipelineRegistry

    for task, stays in (("keypoint-detection", True), ("object-detection", False)):
        tasks = {task: {"impl": "transformers' own"}}
        _enter_pipeline(SimpleNamespace(PIPELINE_REGISTRY=PipelineRegistry(tasks, {})))
        assert (tasks["keypoint-detection"]["impl"] == "transformers' own") is stays


def test_another_transformers_gets_a_warning_instead_of_a_failed_import():
    printed = python(
        """
        import sys, types, warnings
        sys.modules["transformers.models.auto.configuration_auto"] = types.ModuleType(
            "transformers.models.auto.configuration_auto"
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import kd_landmarks
        print(len(caught), "import kd_landmarks.models.registered before" in str(caught[0].message))
        """
    )
    assert printed == ["1", "True"]
