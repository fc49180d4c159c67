FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/phaseline \
    && /opt/phaseline/bin/pip install --no-cache-dir '.[postgresql]'

FROM python:3.11-slim
# A number, so that Kubernetes can tell that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin phaseline \
    && install --directory --owner phaseline --group phaseline /var/lib/phaseline
COPY --from=build /opt/phaseline /opt/phaseline
ENV PATH=/opt/phaseline/bin:$PATH PYTHONUNBUFFERED=1 XDG_DATA_HOME=/var/lib
USER 10001
WORKDIR /var/lib/phaseline
VOLUME /var/lib/phaseline
EXPOSE 7171
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["phaseline", "health"]
ENTRYPOINT ["phaseline", "serve"]
# Listens on the loopback of its container only, until it is told whom to serve: see README.md.
CMD ["--db", "/var/lib/phaseline/phaseline.db"]
