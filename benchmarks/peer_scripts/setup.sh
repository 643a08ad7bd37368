#!/usr/bin/env bash
# Builds what benchmarks/peers.py measures, each peer in an environment of its own, in .cache.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .cache
cd .cache

python3 -m venv mediapipe
mediapipe/bin/pip install --quiet "mediapipe==0.10.21" "numpy<2"

python3 -m venv dlib
dlib/bin/pip install --quiet dlib-bin numpy
apt-get download libdlib-data
dpkg -x libdlib-data*.deb dlib-data

mkdir -p face-api
cd face-api
npm install --silent --no-audit --no-fund --prefix . @vladmandic/face-api@1.7.15 @tensorflow/tfjs \
    @tensorflow/tfjs-backend-wasm
