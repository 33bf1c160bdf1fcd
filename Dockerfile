# Images with astro-factory and the tested versions of what it needs:
#
#   docker build --target cpu  -t astro-factory:cpu .      any machine
#   docker build --target cuda -t astro-factory:cuda .     NVIDIA GPUs, with vLLM and DeepSpeed
#   docker run --rm -v "$PWD:/work" astro-factory:cpu build specs/quickstart.yaml
#   docker run --rm --gpus all -v "$PWD:/work" astro-factory:cuda doctor
#
# For the small CPU build of PyTorch, name its index: --build-arg PIP_EXTRA_INDEX_URL=...

# What the development container uses; it installs the rest itself.
FROM python:3.11-slim AS base
# DeepSpeed and Triton compile code while they run; reasoning-gym has a dependency that compiles when it is installed.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ git make && rm -rf /var/lib/apt/lists/*

FROM base AS source
WORKDIR /src
COPY . .

FROM source AS cpu
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install --no-cache-dir --constraint constraints.txt ".[train,gym,report]"
RUN astro-factory --version
WORKDIR /work
ENTRYPOINT ["astro-factory"]

# The wheels of PyTorch and vLLM bring CUDA's libraries, so the machine needs the driver alone.
FROM source AS cuda
RUN pip install --no-cache-dir --constraint constraints-vllm.txt ".[vllm,deepspeed,gym,report]" ninja
RUN astro-factory --version
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
ENTRYPOINT ["astro-factory"]
