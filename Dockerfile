# One image for operator and gate. Pin the base in your build:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:DIGEST --tag trueup:0.1.0 .
# and a mirror of the package index, if you have one: --build-arg PIP_INDEX_URL=URL.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    TRUEUP_MODELS=/opt/trueup/models
WORKDIR /src
# The lock first: it changes less often than the code. Wheels only, so that nothing is compiled and no compiler is needed.
COPY requirements/cluster.txt requirements/cluster.txt
RUN python -m venv /opt/trueup \
    && /opt/trueup/bin/pip install --no-deps --only-binary=:all: --requirement requirements/cluster.txt
COPY pyproject.toml README.md LICENSE ./
COPY controller controller
# The model is taken by its digest and built here, because the root is read-only where it runs. Then everything goes that
# was needed for building alone; and the rest is compiled, for the same reason.
RUN /opt/trueup/bin/pip install --no-deps --no-build-isolation . \
    && /opt/trueup/bin/trueup models install \
    && /opt/trueup/bin/pip uninstall --quiet --yes onnx ml-dtypes hatchling editables trove-classifiers pluggy setuptools wheel pip \
    && python -m compileall -q -j 0 /opt/trueup/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="trueup" \
      org.opencontainers.image.description="Keeps a vector index true to its sources, so that AI agents never read phantom content." \
      org.opencontainers.image.licenses="Apache-2.0"
# The base's own pip: nothing is installed into what runs.
RUN python -m pip uninstall --quiet --yes --root-user-action=ignore setuptools wheel pip \
    && mkdir -p /var/lib/trueup \
    && chown 65532:65532 /var/lib/trueup
COPY --from=build /opt/trueup /opt/trueup
ENV PATH=/opt/trueup/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRUEUP_HOME=/var/lib/trueup \
    TRUEUP_MODELS=/opt/trueup/models
WORKDIR /var/lib/trueup
# By number, so that runAsNonRoot can be checked. It needs no name and no home.
USER 65532:65532
EXPOSE 8480 9480
# checkov:skip=CKV_DOCKER_7: the tag, or your digest, is in BASE
# checkov:skip=CKV_DOCKER_2: the probes are in the manifests, one for each port; the kubelet takes none from an image
ENTRYPOINT ["trueup"]
CMD ["--help"]
