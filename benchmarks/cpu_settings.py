"""What OpenMP's waiting and the C library's memory cost training on a CPU, free and busy.

    python benchmarks/cpu_settings.py

Trains a student step by step with all cores, once alone and once beside a process that keeps one
core busy: OpenMP's threads spin for a while when they wait (GOMP_SPINCOUNT), and glibc gives large
freed tensors back to the system or keeps them. `kd-landmarks train` sets what was chosen here. Also
what `--run.mixed_precision bf16` does: 1.8 times as fast on one processor with `avx512_bf16`,
slower on another, whose strided depthwise convolutions take six times as long backward.
"""

import os
import statistics
import subprocess
import sys
import time

KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
SETTINGS = {
    "default": {},
    "not spinning": {"GOMP_SPINCOUNT": "0"},
    "spinning 5000 times": {"GOMP_SPINCOUNT": "5000"},
    "memory kept": KEPT,
    "spinning 5000 times, memory kept": {"GOMP_SPINCOUNT": "5000", **KEPT},
    "the same in bf16": {"GOMP_SPINCOUNT": "5000", **KEPT, "ACCELERATE_MIXED_PRECISION": "bf16"},
}
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
    half = os.environ.get("ACCELERATE_MIXED_PRECISION") == "bf16"
    times: list[float] = []
    while len(times) < WARM_UP + STEPS and sum(times) < LONGEST:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(pixel_values=pixels, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
    return BATCH / statistics.median(times[WARM_UP:])


def main() -> None:
    """Measure every setting in a process of its own, free and busy; print and record."""
    from record import print_table, record

    measured: dict[str, dict[str, float]] = {}
    ours = {key for setting in SETTINGS.values() for key in setting}
    for name, setting in SETTINGS.items():
        environment = {key: text for key, text in os.environ.items() if key not in ours} | setting
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
    print_table(("setting", "images/s, free", "images/s, one core busy"), rows)
    print(record("cpu_settings", measured, seed=0))


if __name__ == "__main__":
    if sys.argv[1:] == ["--one"]:
        print(images_per_second())
    else:
        main()
