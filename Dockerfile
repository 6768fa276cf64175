# The image of Holdfast; docs/operations/image.md says how to build and run it, `make image` does both and checks it.
# Mirrors or pinned digests of the bases come in as build arguments.
ARG RUST_IMAGE=rust:1-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# Crates and what was compiled are kept between builds; neither becomes a layer. Our own sources are always compiled: cargo
# goes by their times, and a build of another checkout may have been later. A network with a certificate authority of its
# own gives that as the secret `ca`.
RUN --mount=type=cache,id=holdfast-cargo,target=/usr/local/cargo/registry \
    --mount=type=cache,id=holdfast-target,target=/src/target \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/ca; fi \
    && find . -type f -not -path './target/*' -exec touch {} + \
    && cargo build --release --locked --package holdfast-server \
    && cargo build --release --locked --package holdfast-client --features cli \
    && install -D --target-directory=/out target/release/holdfastd target/release/holdfast

FROM ${DEBIAN_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="Distributed locks and leader election over independent Redis masters, as a gRPC service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Public roots, for masters with rediss:// and no `ca` of their own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/LICENSE /usr/share/doc/holdfast/
COPY --from=build /out/ /usr/local/bin/
# In a container the loopback is nobody else's. They outrank a file; flags outrank them.
ENV HOLDFAST_GRPC__LISTEN=0.0.0.0:7420 \
    HOLDFAST_ADMIN__LISTEN=0.0.0.0:7421
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 7420 7421
STOPSIGNAL SIGTERM
# bash opens the connection itself, so that nothing need be installed for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${HOLDFAST_ADMIN__LISTEN##*:}\" && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]
ENTRYPOINT ["holdfastd"]
