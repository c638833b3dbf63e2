#!/usr/bin/env python3
"""Holds FHIR JSON files against a third party's R4 model: fhir.resources.

    pip install 'fhir.resources==6.4.0' 'pydantic<2'     (true R4; later versions know R4B and R5)
    python3 Tests/Interop/check_fhir.py [file ...]       (default: fixtures/server/*.json)

Exits with 1 when a file isn't a valid resource, or loses something when it is read and written again. With a later
fhir.resources the R4B model is used, and the output says so.
"""
import json
import pathlib
import sys


def model():
    import fhir.resources

    version = getattr(fhir.resources, "__fhir_version__", "?")
    if version.startswith("4.0"):
        from fhir.resources import construct_fhir_element

        return f"R4 {version}", lambda kind, data: json.loads(construct_fhir_element(kind, data).json())
    import importlib

    def construct(kind, data):
        module = importlib.import_module(f"fhir.resources.R4B.{kind.lower()}")
        return json.loads(getattr(module, kind).model_validate(data).model_dump_json(exclude_none=True))

    return f"R4B (fhir.resources is for {version})", construct


def lost(before, after, path=""):
    """Paths that are in `before` and not, or otherwise, in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key}"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield path
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{index}]")
    elif before != after and not is_time(before, after):
        yield path


def is_time(one, other):
    """The same moment in two spellings."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(one.replace("Z", "+00:00")) == datetime.fromisoformat(other.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return False


def check(path, construct):
    data = json.loads(path.read_text())
    problems = []
    parts = [data] + [entry["resource"] for entry in data.get("entry", []) if "resource" in entry]
    for part in parts:
        name = f"{part.get('resourceType')}/{part.get('id', '-')}"
        try:
            problems += [f"{name}: lost {where}" for where in lost(part, construct(part["resourceType"], part))]
        except Exception as error:  # the library's own exceptions differ from version to version
            problems.append(f"{name}: {error}")
    return len(parts), problems


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    files = [pathlib.Path(name) for name in sys.argv[1:]] or sorted((root / "fixtures" / "server").glob("*.json"))
    if not files:
        sys.exit("nothing to check")
    name, construct = model()
    failed = False
    for path in files:
        count, problems = check(path, construct)
        print(f"{path.name}: {count} resources, {name}: {'OK' if not problems else 'NOT VALID'}")
        for problem in problems:
            failed = True
            print(f"  {problem}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
