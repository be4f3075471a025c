# The image of Incoming!!. docs/how-to/container.md says how to run it:
#
#     docker build --tag incoming .
#     docker run --publish 127.0.0.1:4000:4000 --volume incoming:/var/lib/incoming incoming
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
RUN python3 -m venv /opt/incoming
COPY requirements.txt requirements-test.txt /source/
# The packages first: a change of the source builds their layer from the cache. Versions are those that the tests run with.
RUN /opt/incoming/bin/pip install --no-cache-dir --constraint /source/requirements-test.txt \
        --requirement /source/requirements.txt redis botocore
COPY . /source/
RUN /opt/incoming/bin/pip install --no-cache-dir --constraint /source/requirements-test.txt '/source[redis,s3]' \
    && /opt/incoming/bin/pip uninstall --yes pip \
    && ln -s "$(/opt/incoming/bin/python -c 'import incoming; print(incoming.__path__[0])')/examples" /opt/incoming/examples

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/* \
    && groupadd --system --gid 10001 uploads \
    && useradd --system --uid 10001 --gid uploads --no-create-home --home-dir /var/lib/incoming \
        --shell /usr/sbin/nologin incoming \
    && install --directory --owner incoming --group uploads --mode 2770 /var/lib/incoming
COPY --from=build /opt/incoming /opt/incoming
ENV PATH=/opt/incoming/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    INCOMING_STORAGE_DIR=/var/lib/incoming
# Numbers, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/incoming
VOLUME /var/lib/incoming
EXPOSE 4000
# Clients are told to come back; then it waits for stop_timeout_s, 5 s, at most.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('INCOMING_PORT', '4000') + '/incoming/healthz', timeout=4)"]
ENTRYPOINT ["incoming"]
CMD ["serve"]
