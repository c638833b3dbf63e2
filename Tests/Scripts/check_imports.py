#!/usr/bin/env python3
"""Imports point down only: holds every `import` in Sources/ against the graph of ARCHITECTURE.md, section "The graph".

Also checked: floors are free of Foundation, each C module has one importer, and every target is in the table.
Exit status 0 when all is well; otherwise one line per offence."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "Sources"

# Target -> the project's targets that it may import. Nothing else, nothing sideways.
GRAPH = {
    "Wire": set(),
    "Clinical": set(),
    "Formats": {"Wire", "Clinical"},
    "FHIR": set(),
    "Devices": {"Wire", "Clinical", "Formats"},
    "Ports": {"Wire", "CUDev", "CLibUSB"},
    "Store": {"Clinical"},
    "Uplink": {"Clinical", "FHIR", "CCurl"},
    "Agent": {"Wire", "Clinical", "Formats", "FHIR", "Devices", "Ports", "Store", "Uplink", "CHost", "CZstd", "CSystemd", "CPathwayFiles"},
    "Web": {"Agent", "Clinical", "CPageFiles"},
    "ess-agent": {"Agent", "Web", "Wire", "Clinical", "Formats", "Devices", "Ports", "Uplink", "Store"},
    "ess-server": {"FHIR"},
    "ess-sim": {"Devices", "Wire", "Clinical", "Formats"},
}
# Target -> the packages' modules that it may import.
OUTSIDE = {
    "Store": {"GRDB", "GRDBSQLite", "Crypto"},
    "Agent": {"Crypto", "CryptoExtras", "X509", "SwiftASN1", "Logging", "ServiceLifecycle"},
    "Web": {"Hummingbird", "HummingbirdCore", "HTTPTypes", "NIOCore", "NIOPosix", "Logging", "ServiceLifecycle"},
    "ess-agent": {"ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals"},
    "ess-server": {
        "GRDB", "GRDBSQLite", "Crypto", "CryptoExtras", "X509", "SwiftASN1", "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "HTTPTypes", "NIOCore",
        "NIOSSL", "ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals",
    },
    "ess-sim": {"ArgumentParser"},
}
SYSTEM = {"Swift", "Glibc", "Synchronization", "Dispatch", "FoundationEssentials", "Foundation"}
NO_FOUNDATION = {"Wire", "Clinical", "Formats", "Devices"}
# Where `unsafe` may stand: the floors that count bytes and whoever talks to C.
MAY_BE_UNSAFE = {"Ports", "Store", "Uplink", "Agent", "Web", "ess-agent", "ess-server", "ess-sim"}
C_MODULES = {"CUDev", "CLibUSB", "CCurl", "CHost", "CPageFiles", "CPathwayFiles", "CZstd", "CSystemd"}

IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:\w+\s+)?([\w.-]+)")


def offences():
    importers = {}
    for folder in sorted(path for path in ROOT.iterdir() if path.is_dir()):
        target = folder.name
        if target in C_MODULES:
            continue
        if target not in GRAPH:
            yield f"{target}: not in the graph of Tests/Scripts/check_imports.py; add it there and in ARCHITECTURE.md"
            continue
        allowed = GRAPH[target] | OUTSIDE.get(target, set()) | SYSTEM
        for source in sorted(folder.rglob("*.swift")):
            for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
                where = f"{source.relative_to(ROOT.parent)}:{number}"
                if match := IMPORT.match(line):
                    module = match.group(1).split(".")[0]
                    importers.setdefault(module, set()).add(target)
                    if module not in allowed:
                        yield f"{where}: {target} must not import {module}"
                    if module == "Foundation" and target in NO_FOUNDATION:
                        yield f"{where}: {target} uses FoundationEssentials at most"
                if target not in MAY_BE_UNSAFE and re.search(r"(^|[\s(=])unsafe\s", line.split("//")[0]):
                    yield f"{where}: no `unsafe` in {target}"
    for module in C_MODULES:
        if len(importers.get(module, ())) > 1:
            yield f"{module} has several importers: {', '.join(sorted(importers[module]))}"


found = list(offences())
for offence in found:
    print(offence)
print(f"imports: {len(found)} offences")
sys.exit(bool(found))
