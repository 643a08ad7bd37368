"""docs/own-landmarks.md does as printed, on generated faces, up to a Hub of this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_hub import Hub
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.inference.measures import five_points
from kd_landmarks.synthetic import generate_face

REPOSITORY = Path(__file__).resolve().parents[1]
FACES = 80


def commands():
    """The page's commands in their order."""
    page = (REPOSITORY / "docs/own-landmarks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def write_cvat(folder, seeds):
    """Generated faces with five points, as CVAT exports them."""
    folder.mkdir()
    images = []
    for seed in seeds:
        face = generate_face(seed, size=128)
        Image.fromarray(face.image).save(folder / f"{seed}.png")
        points = ";".join(f"{x + 0.5:.2f},{y + 0.5:.2f}" for x, y in five_points(face.landmarks))
        images.append(
            f'<image id="{seed}" name="{seed}.png" width="128" height="128">'
            f'<points label="face" points="{points}"></points></image>'
        )
    text = f"<annotations><version>1.1</version>{''.join(images)}</annotations>"
    (folder / "annotations.xml").write_text(text)


@pytest.mark.slow
def test_from_a_folder_of_photos_to_a_detector_on_the_hub(tmp_path):
    asked = commands()
    assert len(asked) == 10
    write_cvat(tmp_path / "faces", range(FACES))
    write_cvat(tmp_path / "more-faces", range(FACES, FACES + 10))
    face = generate_face(FACES + 10, size=300)
    Image.fromarray(face.image).save(tmp_path / "photo.jpg")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    here = {"PATH": path, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(REPOSITORY)}
    with Hub(tmp_path / "hub") as hub:
        for command in asked:
            done = subprocess.run(
                ["bash", "-euc", command.replace("ME/", "ada/")],
                cwd=tmp_path,
                env=hub.environment(**here),
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr, command
        assert "README.md" in hub.files("ada/five")
    for made in ("five.png", "looked-at/faces.png", "suspicious/suspicious.png", "drawn/photo.png"):
        assert (tmp_path / made).is_file(), made
    detector = FaceLandmarkPipeline(str(tmp_path / "runs/five/student"))
    truth = five_points(face.landmarks)
    corners = [*face.landmarks.min(0).tolist(), *face.landmarks.max(0).tolist()]
    # Boxes are the five points' own; a found face's is twice as large.
    box = [*truth.min(0).tolist(), *truth.max(0).tolist()]
    for boxes in ([box], None):
        (found,) = detector(Image.fromarray(face.image), boxes=boxes)
        away = np.linalg.norm(found["keypoints"] - truth, axis=1).mean()
        assert away < 0.1 * (corners[2] - corners[0])
