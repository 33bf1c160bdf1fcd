#!/usr/bin/env bash
# Wheels for a GPU machine that has torch, transformers and accelerate, but no network: about 5 MB. There:
#
#     python3 -m pip install --no-index --no-deps --target site .gpu-wheels/*.whl
#     PYTHONPATH=site make gpu-check PYTHON=python3
#
# GPU_PYTHON is the version of that machine's Python.
set -euo pipefail
folder=${1:?usage: gpu_wheels.sh FOLDER}
python=${PYTHON:-python3}
version=${GPU_PYTHON:-3.12}
mkdir -p "$folder"
"$python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder" \
  --python-version "$version" --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
  --platform manylinux2014_x86_64 \
  trl==1.16.0 datasets==5.2.0 multiprocess==0.70.19 dill==0.4.1 xxhash pydantic==2.14.4 pydantic-core==2.50.5 \
  annotated-types typing-inspection
# these have no wheels; without DS_BUILD_OPS nothing is compiled
DS_BUILD_OPS=0 "$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$folder" \
  deepspeed==0.19.8 hjson==3.1.0
du -sh "$folder"
