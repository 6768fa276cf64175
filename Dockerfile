# The image of Holdfast; docs/operations/image.md says how to build and run it, `make image` does both and checks it.
# A mirror or a pinned digest of the base comes in as a build argument.
ARG RUST_IMAGE=rust:1-bookworm

# What the dependencies depend on: the manifests, and a source of nothing for each program and library. The same bytes and
# times as long as those are the same, so that the layers made of them are kept.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f -not -name 'Cargo.*' -not -name lib.rs -not -name main.rs -not -name build.rs -delete \
    && echo 'fn main() {}' >/tmp/nothing.rs && find . -name '*.rs' -exec cp /tmp/nothing.rs {} \; \
    && find . -type d -empty -delete \
    && find . -exec touch --date=@0 {} +

# Server and client are built one after the other, so that neither is given what only the other one switches on. A network
# with a certificate authority of its own gives that as the secret `ca`.
FROM ${RUST_IMAGE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY --from=manifests /src .
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/ca; fi \
    && cargo build --release --locked --package holdfast-server \
    && cargo build --release --locked --package holdfast-client --features cli
COPY proto proto
COPY server server
COPY client client
# Cargo goes by times, and these files may be older than what was built in their place.
RUN find proto server client -type f -exec touch {} + \
    && cargo build --release --locked --offline --package holdfast-server \
    && cargo build --release --locked --offline --package holdfast-client --features cli \
    && install -D --target-directory=/out/usr/local/bin target/release/holdfastd target/release/holdfast
# With them: what they are linked to and the loader of it; public roots, for masters with rediss:// and no `ca` of their own;
# who the user is, and that names are looked up in /etc/hosts first; the licences.
COPY LICENSE /out/usr/share/doc/holdfast/LICENSE
RUN ldd /out/usr/local/bin/* | grep --only-matching '/lib[^ ]*' | sort --unique | xargs cp --parents --dereference --target-directory=/out \
    && cp --parents /etc/ssl/certs/ca-certificates.crt /usr/share/doc/libc6/copyright /usr/share/doc/libgcc-s1/copyright /out \
    && echo 'holdfast:x:65532:65532::/:/nonexistent' >/out/etc/passwd \
    && echo 'holdfast:x:65532:' >/out/etc/group \
    && echo 'hosts: files dns' >/out/etc/nsswitch.conf

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="Distributed locks and leader election over independent Redis masters, as a gRPC service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /
# In a container the loopback is nobody else's. They outrank a file; flags outrank them.
ENV PATH=/usr/local/bin \
    HOLDFAST_GRPC__LISTEN=0.0.0.0:7420 \
    HOLDFAST_ADMIN__LISTEN=0.0.0.0:7421
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 7420 7421
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["holdfastd", "health"]
ENTRYPOINT ["holdfastd"]
