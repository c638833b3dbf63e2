#!/usr/bin/env bash
# Installs what is missing, says what it does, and does nothing the second time.
# usage: setup.sh [--venv DIRECTORY --requirements FILE [--requirements FILE]...] APT-PACKAGE...
set -euo pipefail
venv=
requirements=()
while [[ ${1:-} == --* ]]; do
    case $1 in
        --venv) venv=$2 ;;
        --requirements) requirements+=("$2") ;;
    esac
    shift 2
done

if ! command -v swift >/dev/null; then
    echo "Swift isn't installed. Get Swift 6.3 from https://www.swift.org/install/linux/ and put it on the PATH." >&2
    exit 1
fi
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
if [[ -z $version || $(printf '%s\n6.2\n' "$version" | sort -V | head -n 1) != 6.2 ]]; then
    echo "Swift ${version:-of an unknown version} is too old: 6.3 is needed (https://www.swift.org/install/linux/)." >&2
    exit 1
fi

missing=()
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    echo "Installing Debian packages: ${missing[*]}"
    sudo=()
    if ((EUID)); then
        command -v sudo >/dev/null || { echo "Become root or install sudo, then: apt-get install ${missing[*]}" >&2; exit 1; }
        sudo=(sudo)
    fi
    # Orthanc and nginx are here for the tests to start their own; the package's service is neither started (invoke-rc.d asks
    # policy-rc.d) nor left to start at the next boot. One that was here before isn't touched.
    services=()
    for service in orthanc nginx; do
        [[ -e /lib/systemd/system/$service.service || -e /etc/init.d/$service ]] || services+=("$service")
    done
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        trap '"${sudo[@]}" rm -f "$policy"' EXIT
        "${sudo[@]}" chmod 755 "$policy"
    fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    for service in "${services[@]}"; do
        if [[ -e /lib/systemd/system/$service.service || -e /etc/init.d/$service ]] && command -v systemctl >/dev/null; then
            "${sudo[@]}" systemctl --quiet disable "$service" 2>/dev/null || true
        fi
    done
fi

if [[ -n $venv ]]; then
    stamp=$venv/.installed
    if [[ ! -x $venv/bin/python ]]; then
        echo "Making a Python environment for the tests in $venv"
        /usr/bin/python3 -m venv "$venv"
    fi
    if ! cat "${requirements[@]}" | cmp -s - "$stamp"; then
        echo "Installing the tests' Python packages into $venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${requirements[@]/#/--requirement=}"
        cat "${requirements[@]}" >"$stamp"
    fi
fi
