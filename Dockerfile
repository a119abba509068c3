# The operator: docker build --tag REGISTRY/aliasctl:VERSION .
# Python 3.11 is what the tests run on.
FROM python:3.11.15-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY reconciler reconciler
RUN python -m pip wheel --no-deps --wheel-dir /dist .
RUN python -m venv --without-pip /opt/aliasctl \
    && python -m pip --python /opt/aliasctl/bin/python install "$(ls /dist/*.whl)[operator]"

FROM python:3.11.15-slim-bookworm
COPY --from=build /opt/aliasctl /opt/aliasctl
ENV PATH=/opt/aliasctl/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that runAsNonRoot can tell it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["aliasctl", "operator"]
