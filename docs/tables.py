"""The tables of figures in pages, from the records of benchmarks."""

import statistics
import sys
from collections.abc import Callable
from functools import partial

from detector_tables import (
    beside,
    boxes,
    confidence,
    ensemble,
    left_out,
    light,
    models,
    peer_errors,
    peer_points,
    peer_times,
    released,
    released_more,
    students,
    teachers,
)
from records import BENCHMARKS, COMMON, WFLW, figures, markdown_table, recorded

sys.path.insert(0, str(BENCHMARKS / "distillation"))
import labels_report
import report
import reproduction


def steadiness() -> str:
    """Jitter and lag of smoothing."""
    columns = {
        "jitter": ("jitter, % of the face's side per frame", ".3f"),
        "lag_ms": ("lag, ms", ".0f"),
    }
    return figures("smoothing", recorded("steadiness")["smoothing"], columns)


def turns() -> str:
    """Found and exact at every size and turn."""
    told = recorded("any_photo")
    angles = [turn["nme"] for degrees, turn in told["turns"].items() if degrees != "0"]
    times = [(name, f"{value:.1f} ms") for name, value in told["times"].items()]
    found = [
        (f"faces found by YuNet, {name}", f"{count} (one search: {one})" if one else f"{count}")
        for name, count, one in told["counts"]
    ]
    failed = sum(turn["failed"] for turn in told["turns"].values())
    ones = [count for size in told["sizes"].values() for count in size["one"].values()]
    single = statistics.mean(ones) / max(ones)
    farthest = max(size["farthest"] for size in told["sizes"].values())
    rows = [
        (
            "points between sizes, the worst face's mean, % of the eyes' distance",
            f"{farthest:.1f}",
        ),
        ("answers with exactly one face, all frames and sizes, %", f"{100 * single:.1f}"),
        ("NME % upright", f"{told['turns']['0']['nme']:.2f}"),
        ("NME % turned in steps of 15 degrees", f"{min(angles):.2f} to {max(angles):.2f}"),
        ("answers with an error above 10 % among all turns", str(failed)),
        *found,
        *times,
    ]
    return markdown_table(("measured", "value"), rows)


def head_pose() -> str:
    """Mean errors of the pose."""
    rows = []
    kinds = {"exact": "exact", "student's": "the detector's"}
    for points, told in recorded("head_pose")["drawn"].items():
        for turn, errors in told.items():
            angles = (f"{errors[key]:.1f}" for key in ("yaw", "pitch", "roll"))
            rows.append((kinds[points], turn, str(errors["faces"]), *angles))
    header = ("points", "head turned by, degrees", "faces", "yaw", "pitch", "roll")
    return markdown_table(header, rows)


def damaged() -> str:
    """What comes of damaged files."""
    titles = {"checkpoints": "checkpoints and exports", "data": "data sets, recipes, runs"}
    told = {titles.get(name, name): one for name, one in recorded("hostile").items()}
    columns = {
        "tried": ("tried", ""),
        "answered": ("answered", ""),
        "refused": ("refused clearly", ""),
        "foreign": ("other errors", ""),
        "seconds": ("longest, s", ".1f"),
        "megabytes": ("most MB", ""),
    }
    return figures("", told, columns)


def photo_memory() -> str:
    """Memory of a photo of 50 megapixels, the least and the most of all kinds of files."""
    kinds = recorded("photo_memory")["kinds"]
    rows = []
    for step, title in (("detect", "to points"), ("draw", "to a drawing"), ("demo", "in the demo")):
        by_kind = {kind: told["megabytes"][step] for kind, told in kinds.items()}
        least, most = min(by_kind, key=by_kind.__getitem__), max(by_kind, key=by_kind.__getitem__)
        rows.append((title, f"{by_kind[least]:.0f} ({least})", f"{by_kind[most]:.0f} ({most})"))
    return markdown_table(("50 megapixels", "least, MB (file)", "most, MB (file)"), rows)


def demo() -> str:
    """The demo's times and memory."""
    told = recorded("demo_load")
    rows = [
        ("from start to a usable page", f"{told['seconds_until_usable']:.1f} s"),
        ("from a photo to its points", f"{told['photo_seconds_median']:.2f} s"),
        ("memory after 20 requests", f"{told['megabytes']['20'] / 1000:.2f} GB"),
        ("growth until 200 requests", f"{told['growth_percent']:.1f} %"),
    ]
    return markdown_table(("measured", "value"), rows)


def generated() -> str:
    """Networks that saw no photo."""
    titles = {
        "mean shape": "mean shape of 180 generated faces",
        "student": "student, teachers and 1,500 faces without labels",
        "baseline": "student, no teachers",
    }
    told = recorded("generated_to_real")["nme"]
    columns = {"generated": ("generated, held back", ".2f"), COMMON: (COMMON, ".2f")}
    return figures("NME %", {title: told[name] for name, title in titles.items()}, columns)


def first_training() -> str:
    """What teachers bring in recipe `embedded`, seed by seed."""
    rows = []
    for seed, told in recorded("first_training").items():
        gain, nme = told["teachers_gain"], told["nme"]
        low, high = gain["interval"]
        scores = (f"{nme[name]:.2f}" for name in ("baseline", "student"))
        rows.append((seed, *scores, f"{gain['percent']:.0f} % ({low:.0f} to {high:.0f} %)"))
    header = ("seed", "student, no teachers: NME %", "with both teachers and 1,500 more faces")
    return markdown_table((*header, "less error (95 % interval over faces)"), rows)


def step_cost() -> str:
    """What a training step costs."""
    told = recorded("step_cost")
    titles = {
        "precomputed": "precomputed targets",
        "precomputed, compiled": "precomputed targets, compiled network",
        "online": "online teachers",
    }
    rows = {
        titles.get(name, name): {
            "milliseconds": took,
            "rate": 1000 * told["batch_size"] / took,
            "ratio": told["ratio_to_no_teachers"][name],
        }
        for name, took in told["milliseconds_per_step"].items()
    }
    rows["the loader alone, one worker"] = {"rate": told["loader_images_per_second"]}
    columns = {
        "milliseconds": ("ms a step", ".0f"),
        "rate": ("images/s", ".0f"),
        "ratio": ("relative", ".2f"),
    }
    return figures("", rows, columns)


def refinement() -> str:
    """What the refinement's fit brings a network that has not seen the faces."""
    titles = {
        "none": "none",
        "trained by gradients": "trained with the network",
        "0.003, AFLW 0, turned 0": "and fitted to 300W",
        "0.003, AFLW 0.5, turned 1": "and fitted to 300W and AFLW",
    }
    told = recorded("refinement")["nme"]
    rows = [
        (title, *(f"{value:.2f}" for value in told[name].values()))
        for name, title in titles.items()
    ]
    return markdown_table(("refinement", *told["none"]), rows)


def choices() -> str:
    """What was tried on validation faces."""
    rows = [
        (name, f"{told['validation']['nme']:.2f}", f"{told['wflw']['nme']:.1f}")
        for name, told in recorded("choices").items()
    ]
    return markdown_table(("tried", "validation NME %", f"{WFLW}, NME %"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "released": released,
    "released more": released_more,
    "teachers": teachers,
    "ensemble": ensemble,
    "students": students,
    "models": models,
    "beside": beside,
    "peer times": peer_times,
    "peer errors common": partial(peer_errors, "common"),
    "peer errors wflw": partial(peer_errors, "wflw"),
    "peer points": peer_points,
    "light": light,
    "boxes": boxes,
    "confidence": confidence,
    "left out": left_out,
    "steadiness": steadiness,
    "turns": turns,
    "head pose": head_pose,
    "damaged files": damaged,
    "photo memory": photo_memory,
    "demo": demo,
    "generated": generated,
    "first training": first_training,
    "step cost": step_cost,
    "refinement": refinement,
    "choices": choices,
    "study arms": report.arms,
    "study gains": report.gains,
    "reproduction arms": reproduction.arms,
    **reproduction.GAINS,
    "reproduction cofw": reproduction.cofw,
    "labels": labels_report.errors,
    "labels few faces": labels_report.few_faces,
    "labels forms": labels_report.forms,
}
