# The operator: docker build --tag REGISTRY/aliasctl:VERSION .
# Python 3.11 is what the tests run on. `make requirements` updates what is installed; for the base, see CONTRIBUTING.md.
FROM python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --requirement requirements/build.txt
RUN python -m venv --without-pip /opt/aliasctl \
    && /opt/build/bin/python -m pip --python /opt/aliasctl/bin/python \
        install --require-hashes --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY reconciler reconciler
RUN /opt/build/bin/python -m build --no-isolation --wheel --outdir /dist . \
    && /opt/build/bin/python -m pip --python /opt/aliasctl/bin/python install --no-deps /dist/*.whl

FROM python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3
COPY --from=build /opt/aliasctl /opt/aliasctl
ENV PATH=/opt/aliasctl/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that runAsNonRoot can tell it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["aliasctl", "operator"]
