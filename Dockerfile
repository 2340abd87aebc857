# syntax=docker/dockerfile:1
# One image for every role: the command says which. DuckDB is linked in, so both stages have the same C and C++ libraries.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# Modules change seldom: they have a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/drumlin ./cmd/drumlin

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 drumlin \
    && useradd --uid 10001 --gid drumlin --no-create-home --home-dir /var/lib/drumlin --shell /usr/sbin/nologin drumlin \
    && install --directory --owner drumlin --group drumlin --mode 0700 /var/lib/drumlin
COPY --from=build /out/drumlin /usr/local/bin/drumlin
# Cache and spill go here, and may be lost at any time.
WORKDIR /var/lib/drumlin
USER 10001:10001
EXPOSE 8888 8889
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["drumlin", "health"]
ENTRYPOINT ["drumlin"]
CMD ["server"]
