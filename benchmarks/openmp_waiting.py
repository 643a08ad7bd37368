"""How long OpenMP's threads should spin while they wait, on a free machine and on a busy one.

    python benchmarks/openmp_waiting.py

Trains a student step by step with all cores, once alone and once beside a process that keeps one
core busy, for several settings of GOMP_SPINCOUNT. train_accelerate.py sets the one chosen here.
"""

import os
import statistics
import subprocess
import sys
import time

SETTINGS = {"default": None, "100000": "100000", "20000": "20000", "5000": "5000", "none": "0"}
STEPS, WARM_UP, LONGEST = 20, 3, 60.0
BATCH = 32


def images_per_second() -> float:
    """Median rate of training steps of MobileNetV2 with the integral head at 128 pixels."""
    import torch

    from kd_landmarks.models import KDLandmarksConfig, KDLandmarksForKeypointDetection

    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    model = KDLandmarksForKeypointDetection(KDLandmarksConfig()).train()
    model.to(memory_format=torch.channels_last)
    pixels = torch.randn(BATCH, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    labels = torch.rand(BATCH, 68, 2)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    times: list[float] = []
    while len(times) < WARM_UP + STEPS and sum(times) < LONGEST:
        began = time.perf_counter()
        model(pixel_values=pixels, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
    return BATCH / statistics.median(times[WARM_UP:])


def main() -> None:
    """Measure every setting in a process of its own, free and busy; print and record."""
    from record import print_table, record

    measured: dict[str, dict[str, float]] = {}
    for name, count in SETTINGS.items():
        environment = {key: text for key, text in os.environ.items() if key != "GOMP_SPINCOUNT"}
        if count is not None:
            environment["GOMP_SPINCOUNT"] = count
        command = [sys.executable, __file__, "--one"]
        for state in ("free", "busy"):
            load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            if state == "free":
                load.kill()
            done = subprocess.run(command, env=environment, capture_output=True, check=True)
            load.kill()
            load.wait()
            rate = float(done.stdout.split()[-1])
            measured.setdefault(name, {})[state] = rate
    rows = [(name, *(f"{rate:.0f}" for rate in rates.values())) for name, rates in measured.items()]
    print_table(("GOMP_SPINCOUNT", "images/s, free", "images/s, one core busy"), rows)
    print(record("openmp_waiting", measured, seed=0))


if __name__ == "__main__":
    if sys.argv[1:] == ["--one"]:
        print(images_per_second())
    else:
        main()
