# The page and the HTTP interface on a CPU: docs/serving.md.
FROM python:3.11-slim
RUN --mount=type=bind,target=/src,rw \
    /src/scripts/install_server.sh /opt/deblur \
    && useradd --uid 1000 --create-home deblur
# A number, which Kubernetes' runAsNonRoot requires.
USER 1000
EXPOSE 8000
HEALTHCHECK CMD ["/opt/deblur/bin/python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/healthz')"]
# Requires -e DEBLUR_TOKEN=SECRET: it is for others than this computer alone.
ENTRYPOINT ["/opt/deblur/bin/deblur", "serve", "--host", "0.0.0.0"]
