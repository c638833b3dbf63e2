#!/usr/bin/env bash
# Builds the packages twice, in directories of different names and with different TMPDIR, and compares them byte by byte. Some 20 minutes on 2 cores.
# usage: reproducible.sh SCRATCH
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(realpath -m "$1")
for name in one another-name; do
    rm -rf "${scratch:?}/$name"
    mkdir -p "$scratch/$name"
    # What git knows, and nothing that lies around.
    git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory "$scratch/$name"
    # The same dependencies: this tree's, else those that the first build found.
    for pins in Package.resolved "$scratch/one/Package.resolved"; do
        [[ ! -e $pins || $pins -ef $scratch/$name/Package.resolved ]] || { cp "$pins" "$scratch/$name/"; break; }
    done
    # Another place for temporary files as well: the compiler names what it keeps there.
    mkdir -p "$scratch/$name.tmp"
    (cd "$scratch/$name" && TMPDIR=$scratch/$name.tmp debian/build.sh)
done
status=0
for deb in "$scratch"/one/.build/deb/*.deb; do
    cmp "$deb" "$scratch/another-name/.build/deb/$(basename "$deb")" && echo "same bytes: $(basename "$deb")" || status=1
done
exit "$status"
