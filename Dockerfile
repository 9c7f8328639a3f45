# Images of the server, with the client beside it for health checks and trials. No torch inside.
#
#   docker build --target cpu --tag emotion2vec-server:cpu .
#   docker run --publish 50051:50051 --publish 8080:8080 --volume ./bundle:/models:ro \
#       emotion2vec-server:cpu
#
# The target gpu wants `docker run --gpus all` (NVIDIA Container Toolkit, a driver for CUDA 13): CUDA
# and cuDNN come as Python packages, TensorRT is left out (docs/gpu.md says how to add it).
# With --env E2V_MODEL=[] either one serves its demo model.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt
WORKDIR /src
COPY constraints.txt constraints-gpu.txt ./
RUN python -m pip install --constraint constraints.txt pip \
    && python -m venv --without-pip /opt/emotion2vec
# Hollow distributions: what they depend on is installed from these, and stays in the build cache
# when only code changes.
COPY protos/pyproject.toml protos/README.md protos/LICENSE protos/
COPY runtime/pyproject.toml runtime/README.md runtime/LICENSE runtime/
COPY server/pyproject.toml server/README.md server/LICENSE server/
COPY clients/python/pyproject.toml clients/python/README.md clients/python/LICENSE client/
RUN mkdir protos/emotion2vec runtime/emotion2vec_runtime server/emotion2vec_server \
    client/emotion2vec_client

FROM build AS dependencies-cpu
RUN python -m pip --python /opt/emotion2vec/bin/python install \
    ./protos './runtime[cpu]' './server[plot,silero]' ./client

FROM build AS dependencies-gpu
RUN python -m pip --python /opt/emotion2vec/bin/python install --constraint constraints-gpu.txt \
    ./protos './runtime[gpu]' './server[plot,silero]' ./client 'onnxruntime-gpu[cuda,cudnn]'

FROM build AS wheels
COPY protos protos
COPY runtime runtime
COPY server server
COPY clients/python client
RUN python -m pip wheel --no-deps --wheel-dir /wheels ./protos ./runtime ./server ./client

FROM dependencies-cpu AS installed-cpu
COPY --from=wheels /wheels /wheels
RUN python -m pip --python /opt/emotion2vec/bin/python install \
    --no-deps --force-reinstall /wheels/*.whl

FROM dependencies-gpu AS installed-gpu
COPY --from=wheels /wheels /wheels
RUN python -m pip --python /opt/emotion2vec/bin/python install \
    --no-deps --force-reinstall /wheels/*.whl

FROM ${PYTHON_IMAGE} AS server
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin emotion2vec
ENV PATH=/opt/emotion2vec/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    E2V_HOST=0.0.0.0 \
    E2V_MODEL='["/models"]'
# By number, so that Kubernetes can tell that it is not root.
USER 10001
EXPOSE 50051 8080 9464
STOPSIGNAL SIGTERM
# With TLS or another port, give the health check its own command.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["emotion2vec", "health"]
ENTRYPOINT ["emotion2vec-server"]

FROM server AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=installed-gpu /opt/emotion2vec /opt/emotion2vec

FROM server AS cpu
COPY --from=installed-cpu /opt/emotion2vec /opt/emotion2vec
