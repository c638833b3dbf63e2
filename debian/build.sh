#!/usr/bin/env bash
# Builds the packages into .build/deb (or ESS_DEB_DIRECTORY) and holds them against lintian. debian/rules says what ESS_BINARIES does.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${ESS_DEB_DIRECTORY:-.build/deb}
mkdir -p "$out"
rm -f "$out"/*.deb
version=$(dpkg-parsechangelog -S Version) architecture=$(dpkg --print-architecture)
stem=$out/ess-agent_${version}_$architecture
# -d: the Python that tests run with may hide Debian's; what is needed is installed by setup.sh.
if ! ESS_DEB_DIRECTORY=$out dpkg-buildpackage -b -us -uc -d -ui --buildinfo-option=-u"$out" --buildinfo-file="$stem.buildinfo" \
    --changes-option=-u"$out" --changes-file="$stem.changes" >"$out/build.log" 2>&1; then
    tail -n 60 "$out/build.log" >&2
    exit 1
fi
debian/rules clean >/dev/null 2>&1
[[ ${ESS_BINARIES:-} ]] || lintian --fail-on error,warning --info --no-tag-display-limit "$stem.changes"
ls -l "$out"/*.deb
