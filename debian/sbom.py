#!/usr/bin/env python3
"""The software bill of materials (CycloneDX 1.5) of what is compiled into the programs and of Debian's libraries beside them.

usage: sbom.py CHECKOUTS PACKAGE.RESOLVED PROGRAM... > sbom.cdx.json

Ends with status 1 when a checkout is missing in debian/copyright, or its licence file says something else than debian/copyright.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

HERE = pathlib.Path(__file__).resolve().parent
SPDX = {"Expat": "MIT", "Apache-2.0 with Swift exception": "Apache-2.0 WITH Swift-exception"}


def declared():
    """Package -> SPDX expression, from debian/copyright."""
    licences = {}
    text = (HERE / "copyright").read_text(encoding="utf-8")
    for stanza in text.split("\n\n"):
        files = re.search(r"^Files:((?:.|\n )*)", stanza, re.M)
        licence = re.search(r"^License: (.*)", stanza, re.M)
        for path in (files.group(1).split() if files and licence else []):
            match = re.fullmatch(r"checkouts/([^/]+)/\*", path)
            if match:
                licences[match.group(1)] = SPDX.get(licence.group(1), licence.group(1))
    return licences


def found(directory):
    """SPDX expression that a checkout's own licence file means."""
    texts = [p.read_text(encoding="utf-8") for p in directory.iterdir() if p.is_file() and p.name.upper().startswith("LICENSE")]
    text = " ".join(" ".join(texts).split())
    if "Apache License Version 2.0" in text:
        return "Apache-2.0 WITH Swift-exception" if "Runtime Library Exception" in text else "Apache-2.0"
    if "Permission is hereby granted, free of charge" in text:
        return "MIT"
    return None


def swift_packages(checkouts, resolved):
    licences = declared()
    for pin in sorted(json.loads(resolved.read_text())["pins"], key=lambda pin: pin["identity"]):
        name = pin["location"].rstrip("/").rsplit("/", 1)[1].removesuffix(".git")
        directory = checkouts / name
        if not directory.is_dir():
            sys.exit(f"{directory} isn't there: not the checkouts of this Package.resolved")
        if name not in licences:
            sys.exit(f"{name} is compiled in, but debian/copyright doesn't name it")
        if found(directory) != licences[name]:
            sys.exit(f"{name}: debian/copyright says {licences[name]}, its licence file {found(directory)}")
        version = pin["state"]["version"]
        owner = pin["location"].rstrip("/").rsplit("/", 2)[1]
        yield {
            "type": "library", "name": name, "version": version, "purl": f"pkg:swift/github.com/{owner}/{name}@{version}",
            "bom-ref": f"{name}@{version}", "licenses": [{"expression": licences[name]}],
            "externalReferences": [{"type": "vcs", "url": pin["location"]}],
        }


def swift_runtime():
    said = subprocess.run(["swift", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"Swift version ([\d.]+)", said).group(1)
    return {
        "type": "library", "name": "swift-runtime", "version": version, "bom-ref": f"swift-runtime@{version}",
        "description": "standard library, Foundation and libdispatch, linked statically",
        "purl": f"pkg:swift/github.com/swiftlang/swift@{version}", "licenses": [{"expression": "Apache-2.0 WITH Swift-exception"}],
    }


def debian_libraries(programs):
    """Debian's packages behind the shared libraries that the programs ask for."""
    sonames = set()
    for program in programs:
        said = subprocess.run(["objdump", "-p", program], capture_output=True, text=True, check=True).stdout
        sonames |= set(re.findall(r"NEEDED +(\S+)", said))
    packages = set()
    for soname in sonames:
        owners = subprocess.run(["dpkg-query", "-S", f"*/{soname}"], capture_output=True, text=True).stdout
        packages |= {line.split(":")[0] for line in owners.splitlines()}
    for package in sorted(packages):
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}\n", package], capture_output=True, text=True, check=True).stdout.split("\n")[0]
        yield {
            "type": "library", "name": package, "version": version, "purl": f"pkg:deb/debian/{package}@{version}",
            "bom-ref": f"deb-{package}", "scope": "required",
            "description": "Debian's, linked dynamically: the version is the one built with, the system's is the one used",
        }


def main():
    checkouts, resolved, *programs = map(pathlib.Path, sys.argv[1:])
    version = re.match(r"ess-agent \(([^)]+)\)", (HERE / "changelog").read_text(encoding="utf-8")).group(1)
    components = [*swift_packages(checkouts, resolved), swift_runtime(), *debian_libraries(programs)]
    built = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    names = json.dumps([c["bom-ref"] for c in components])
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        # Derived, so that two builds of the same sources are the same bytes.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'ess-agent {version} {names}')}",
        "metadata": {
            "timestamp": built.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application", "name": "ess-agent", "version": version, "bom-ref": "ess-agent",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": "ess-agent", "dependsOn": [c["bom-ref"] for c in components]}],
    }
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
