"""docs/hub.md's section "The whole way", taken as a new user would, on a Hub of this machine.

    python tests/helpers/walk_on_the_hub.py

Official-layout photos (drawn faces) are converted and pushed, streamed from there into a short
training, and three networks pushed with their cards: the page's commands as they stand there, with
other values for its variables. Then, in fresh processes, the student loaded by its id has bit for
bit the weights of the one on disk and answers like it, and the snippets of the page and of the card
run as printed.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from downloads import write_drawn_300w
from fake_hub import Hub
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ME = "ada"
RECIPE = """
name: short
scheme: ibug68
data: {test_split: common, validation_faces: 4}
tough_teacher: &tiny
  {backbone: test_efficientnet, backbone_weights: none, image_size: 64, epochs: 2, batch_size: 8}
student: {<<: *tiny, loss: {name: kd}}
"""
SAME = """
import sys
import torch
import kd_landmarks
from kd_landmarks import KDLandmarksForKeypointDetection as Detector

torch.manual_seed(0)
pictures = torch.randn(4, 3, 64, 64)
on_disk, by_id = (Detector.from_pretrained(source) for source in sys.argv[1:])
first, second = (detector(pictures).keypoints for detector in (on_disk, by_id))
assert first.std(0).max() > 0
torch.testing.assert_close(first, second)
assert all(map(torch.equal, on_disk.state_dict().values(), by_id.state_dict().values()))
"""


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a language in Markdown."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def walk(hub: Hub, folder: Path) -> None:
    """Take the walk in a folder; each step's output goes to stdout.

    Raises:
        subprocess.CalledProcessError: A step failed.
    """
    page = (ROOT / "docs/hub.md").read_text(encoding="utf-8")
    section = page.partition("\n## The whole way\n")[2]
    section = section.partition("\n## ")[0]
    commands, (use,) = blocks(section, "bash")[0], blocks(section, "python")
    write_drawn_300w(folder / "300W")
    (folder / "short.yaml").write_text(RECIPE)
    Image.open(next(folder.glob("300W/helen/testset/*.jpg"))).resize((400, 400)).save(
        folder / "photo.jpg"
    )
    commands, changed = re.subn(r"(?m)^ME=.*$", f"ME={ME} RECIPE=short.yaml", commands)
    assert changed == 1
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    here = {"PATH": path, "ACCELERATE_USE_CPU": "true"}
    step(["bash", "-euxc", commands], folder, hub.environment(**here))
    # A process and a cache that have seen nothing of it.
    fresh = hub.environment(cache=folder / "fresh", PYTHONPATH=str(ROOT), **here)
    step([sys.executable, "-c", SAME, "runs/hub/student", f"{ME}/student"], folder, fresh)
    step([sys.executable, "-c", use.replace("ME/", f"{ME}/")], folder, fresh)
    card = hub.files(f"{ME}/student")["README.md"].decode()
    for kin in ("tough", "tolerant", "300w"):
        assert f"{ME}/{kin}" in card, card
    for snippet in blocks(card, "python"):
        step([sys.executable, "-c", snippet], folder, fresh)


def step(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    print(done.stdout)
    done.check_returncode()
    assert "HTTP Request" not in done.stdout  # the client's own log


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, Hub(Path(scratch) / "hub") as hub:
        walk(hub, Path(scratch))
        print("\nThe walk went well.")
