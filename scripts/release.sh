#!/usr/bin/env bash
# release.sh PYTHON: builds in dist/ all that a release publishes, from the last commit, and checks each file. It publishes nothing. PYTHON
# is that of an environment with requirements-release.txt.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$(realpath --no-symlinks "$1")
bin=$(dirname "$python")
version=$("$python" -c 'import incoming; print(incoming.__version__)')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH PIP_DISABLE_PIP_VERSION_CHECK=1
dist=$PWD/dist
rm -rf "$dist" && mkdir "$dist"

step() { printf '== %s\n' "$*"; }
source_tree() { # source_tree NAME: the last commit, as a stranger would get it
    mkdir "$work/$1" && git archive HEAD | tar -x -C "$work/$1"
}
build() { # build NAME DIRECTORY: the source distribution of a tree, and the wheel built from that
    local unpacked=$work/$1-unpacked
    (cd "$work/$1" && "$python" -c 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])' "$2")
    mkdir "$unpacked" && tar -x -C "$unpacked" --strip-components 1 -f "$2"/*.tar.gz
    (cd "$unpacked" && "$python" -c 'import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])' "$2")
}

step "version $version"
[ -z "$(git status --porcelain)" ] || echo "Not committed, so not in this release: $(git status --porcelain | wc -l) files"
grep -q "^## $version\b" CHANGELOG.md || give_up "CHANGELOG.md has nothing about $version."
grep -q "\"version\": \"$version\"" static/package.json || give_up "static/package.json has another version than $version."

step "source distribution and wheel, twice, from different folders"
source_tree first && source_tree second
mkdir "$work/again"
build first "$dist" >"$work/log" 2>&1 && build second "$work/again" >>"$work/log" 2>&1 || give_up "$(tail -20 "$work/log")"
for file in "$dist"/*; do
    cmp "$file" "$work/again/$(basename "$file")" || give_up "Two builds of the same commit differ."
done
"$bin/twine" check --strict "$dist"/*.tar.gz "$dist"/*.whl
# W004: the examples are scripts in folders such as `1-simple`, and are not imported.
"$bin/check-wheel-contents" --ignore W004 "$dist"/*.whl
"$python" - "$dist"/*.whl <<'END'
import email, sys, zipfile
from trove_classifiers import classifiers
with zipfile.ZipFile(sys.argv[1]) as wheel:
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    said = email.message_from_bytes(wheel.read(name)).get_all("Classifier")
unknown = set(said) - classifiers
sys.exit(f"Unknown classifiers: {unknown}" if unknown else 0)
END

step "tests from the source distribution, in a clean environment"
tested=$work/tested
mkdir "$tested" && tar -x -C "$tested" --strip-components 1 -f "$dist"/*.tar.gz
"$python" -m venv "$work/clean"
"$work/clean/bin/pip" install --quiet --constraint "$tested/requirements-test.txt" "$tested" pytest pytest-timeout hypothesis webtest
(cd "$tested" && env -i PATH="$PATH" HOME="$HOME" "$work/clean/bin/python" -m pytest -q tests/core tests/protocol tests/wire tests/settings) >"$work/log" 2>&1 ||
    give_up "$(tail -40 "$work/log")"
tail -1 "$work/log"

step "what an installation consists of, and under which licences"
"$python" -m venv "$work/installed"
wheel=$(echo "$dist"/*.whl)
"$work/installed/bin/pip" install --quiet --constraint requirements-test.txt "${wheel}[redis,s3]"
"$work/installed/bin/pip" uninstall --quiet --yes pip setuptools
rm "$work"/installed/lib/python3*/site-packages/incoming_server-*.dist-info/direct_url.json  # it names a folder of this machine
sbom=$dist/incoming-server-$version.cdx.json
"$bin/cyclonedx-py" environment --output-reproducible --validate --of JSON --output-file "$sbom" "$work/installed/bin/python"
! grep -qE "file://|$work|$PWD" "$sbom" || give_up "$(basename "$sbom") names folders of this machine."
licences=$dist/incoming-server-$version-licences.txt
# gevent-websocket says whose it is in place of its licence, which is Apache-2.0. Those of certifi (MPL) and crc32c (LGPL) ask nothing of
# a program that uses the packages as they are, and installs them beside itself. Any other licence needs a decision.
"$bin/pip-licenses" --python "$work/installed/bin/python" --from=mixed --order=license --with-urls --format=plain-vertical \
    --with-license-file --no-license-path --output-file "$licences" \
    --partial-match --allow-only "MIT;BSD;Apache;PSF-2.0;Python Software Foundation;ZPL-2.1;Zope;MPL-2.0;Mozilla;0BSD;Lesser General Public License;Jeffrey Gelens"
echo "$(grep -c '"bom-ref": ' "$sbom") components in $(basename "$sbom")"

step "the npm package"
(cd static && npm pack --silent --pack-destination "$dist")

step "the site with the docs of this version and of all released ones"
"$python" scripts/docs_site.py "$work/site" --committed
for released in $(sed -n "s/^## \([0-9.]*\) ([0-9-]*)$/\1/p" CHANGELOG.md); do
    [ -d "$work/site/$released" ] || give_up "The docs of $released are not on the site. Is its tag here? Try: git fetch --tags"
done
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work" -cf - site | gzip -9n >"$dist/incoming-docs-$version.tar.gz"

step "compose files and Kubernetes manifests"
"$python" -m pytest -q tests/hosts/test_container_files.py tests/test_wheel.py

step "everything that a release publishes is in dist/"
(cd "$dist" && sha256sum -- * >SHA256SUMS && ls -l)
