"""Smaller inputs and narrower networks: error against time, and which of them pay.

    python benchmarks/distillation/scales.py

Reads the records that `run.py` wrote of the student as it is and of the arms in group e, times
their networks (weights do not matter for that) on one core in ONNX Runtime, taking turns, prints
the table, records it in `../results/scales.json` and draws `../results/scales.png`. A network pays
if no other one is both faster and, on validation faces, better. The table names the epochs:
networks of fewer than the student would be better with as many.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import study  # noqa: E402
from onnx_time import milliseconds_a_face  # noqa: E402
from record import RESULTS, print_table, record, shrink_picture  # noqa: E402
from study import SCHEME, SEED  # noqa: E402

from kd_landmarks.inference.export import export_onnx  # noqa: E402
from kd_landmarks.models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor  # noqa: E402
from kd_landmarks.training.networks import build_network  # noqa: E402
from kd_landmarks.training.recipe_settings import NetworkSettings  # noqa: E402

# The student as it is, and arms of group e.
REFERENCE, GROUP = "half-none", "e"
Network = tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]


def main() -> None:
    """Read, time, print, record and draw."""
    arms = study.plan()["arms"]
    names = [REFERENCE, *(arm["name"] for arm in arms if arm["group"] == GROUP)]
    files = [study.RESULTS / f"{name}-{SEED}.json" for name in names]
    records = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
    if not records:
        sys.exit(f"none of {', '.join(names)} is in {study.RESULTS}: run.py writes them")
    built = [untrained(one) for one in records]
    networks = [
        described(one, model) | {"milliseconds": milliseconds}
        for one, (model, _), milliseconds in zip(records, built, timed(built), strict=True)
    ]
    for network in networks:
        network["pays"] = not any(
            other["milliseconds"] < network["milliseconds"]
            and other["validation_nme"] < network["validation_nme"]
            for other in networks
        )
    networks.sort(key=lambda network: network["milliseconds"])
    rows = [
        (
            network["backbone"],
            network["head_channels"],
            network["image_size"],
            f"{network['epochs']:g}",
            f"{network['parameters'] / 1e6:.2f} M",
            f"{network['validation_nme']:.2f}",
            f"{network['nme']:.2f}",
            f"{network['wflw_nme']:.2f}",
            f"{network['milliseconds']:.2f}",
            "yes" if network["pays"] else "no",
        )
        for network in networks
    ]
    header: tuple[str, ...] = ("backbone", "channels of the head", "input", "epochs", "parameters")
    header += ("validation NME %", "300W common NME %", "106 WFLW faces NME %", "ms a face", "pays")
    print_table(header, rows)
    print(record("scales", {"networks": networks}, SEED))
    draw(networks)


def untrained(one: dict[str, Any]) -> Network:
    """A record's network, without the weights that it started from."""
    told = one["recipe"][one["stage"]] | {"backbone_weights": "none", "init": None}
    margin = one["recipe"]["data"]["crop_margin"]
    return build_network(NetworkSettings(**told), SCHEME, "student", margin)


def described(one: dict[str, Any], model: KDLandmarksForKeypointDetection) -> dict[str, Any]:
    """What the table says of a record, but for the time."""
    config = model.config
    return {
        "arm": one["arm"],
        "backbone": config.backbone,
        "image_size": config.image_size,
        "epochs": one["recipe"][one["stage"]]["epochs"],
        "head_channels": config.head_channels,
        "head_strides": list(config.head_strides),
        "parameters": model.num_parameters(),
        "validation_nme": one["measured"]["validation"]["nme"],
        "nme": one["measured"]["test"]["nme"],
        "wflw_nme": one["wflw"]["nme"],
    }


def timed(networks: list[Network]) -> list[float]:
    """Median milliseconds of one face on one core, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        files = [
            export_onnx(model, processor, Path(folder) / f"{number}.onnx")
            for number, (model, processor) in enumerate(networks)
        ]
        return milliseconds_a_face(files)


def draw(networks: list[dict[str, Any]]) -> None:
    """Error against time, the networks that pay joined."""
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    front = [network for network in networks if network["pays"]]
    axes.plot(
        [network["milliseconds"] for network in front],
        [network["validation_nme"] for network in front],
        color="#0d9488",
        linewidth=1,
    )
    longest = max(network["epochs"] for network in networks)
    for network in networks:
        color = "#0d9488" if network["pays"] else "#6b7280"
        place = (network["milliseconds"], network["validation_nme"])
        axes.plot(*place, "o", color=color)
        # The line that joins those that pay falls to the right: names stand above it.
        axes.annotate(
            label(network, longest), place, (6, 4), textcoords="offset points", fontsize="small"
        )
    axes.set_xlabel("milliseconds a face, one core, ONNX Runtime")
    axes.set_ylabel("NME on validation faces, %")
    # Room for the labels at the right
    axes.set_xlim(0, 1.4 * max(network["milliseconds"] for network in networks))
    axes.grid(alpha=0.3)
    figure.savefig(RESULTS / "scales.png")
    shrink_picture(RESULTS / "scales.png")


def label(network: dict[str, Any], longest: float) -> str:
    """Names a network beside its point, and its epochs where they are fewer than the `longest`."""
    width = int(network["backbone"].removeprefix("mobilenetv2_")) / 100
    head = f", {network['head_channels']} channels" if network["arm"].startswith("nano") else ""
    epochs = f", {network['epochs']:g} epochs" if network["epochs"] < longest else ""
    return f"{network['image_size']} px, width {width:g}{head}{epochs}"


if __name__ == "__main__":
    typer.run(main)
