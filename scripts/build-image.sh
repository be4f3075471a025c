#!/usr/bin/env bash
# build-image.sh DIRECTORY: builds the image of the Dockerfile without a container engine, as root: with buildah, in a chroot. Nothing
# outside of the directory changes. The base is made with debootstrap from Debian's packages, and gets the name that the
# Dockerfile has for it. At the end, DIRECTORY/rootfs is what a container would see, and DIRECTORY/image.json says how it runs.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

directory=$(mkdir -p "$1" && realpath "$1")
base=$(sed -n 's/^ARG BASE=//p' Dockerfile)
release=${base##*:}
release=${release%-slim}
certificates=/etc/ssl/certs/ca-certificates.crt

[ "$(id -u)" = 0 ] || give_up "The image is built in a chroot. Please run it as root."
for tool in buildah debootstrap; do
    command -v $tool >/dev/null || install_packages "$tool, to build the image" $tool
done
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah() { command buildah --root "$directory/storage" --runroot "$directory/run" "$@"; }

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    echo "== the base, $base, from Debian's packages"
    rm -rf "$directory/base"
    # The mirror that this machine's packages come from.
    mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null || true; } |
        awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^http/) { print $i; exit } }')
    debootstrap --variant=minbase "$release" "$directory/base" "$mirror" >"$directory/debootstrap.log" ||
        give_up "debootstrap failed. The last lines of $directory/debootstrap.log: $(tail -3 "$directory/debootstrap.log")"
    # What debian:*-slim leaves out, too.
    rm -rf "$directory"/base/var/cache/apt/* "$directory"/base/var/lib/apt/lists/* \
        "$directory"/base/usr/share/{doc,info,locale,man}/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$directory/base" / >/dev/null
    buildah commit --quiet "$container" "$base" >/dev/null
    buildah rm "$container" >/dev/null
    rm -rf "$directory/base"
fi

echo "== the image"
# What this machine needs to reach a package index counts for the build, too, and is in no layer.
printf '[global]\ncert = %s\n' /run/certificates.crt >"$directory/pip.conf"
buildah build --pull-never --layers --format docker --tag incoming \
    --volume "$directory/pip.conf:/etc/pip.conf:ro" --volume "$certificates:/run/certificates.crt:ro" .

container=$(buildah from --pull-never incoming)
rm -rf "$directory/rootfs"
cp -a "$(buildah mount "$container")" "$directory/rootfs"
buildah rm "$container" >/dev/null
buildah inspect --type image incoming >"$directory/image.json"
echo "== an image of $(du -sm "$directory/rootfs" | cut -f1) MB, unpacked in $directory/rootfs"
