#!/usr/bin/env python3
"""A manual page (mdoc) from what a program says of itself.

usage: PROGRAM --experimental-dump-help | man_page.py PROSE.in > PROGRAM.1

PROSE.in is mdoc with a line `@COMMANDS@`, where the commands and their options are put. So an option that is added to the program is in
its manual without a second list.
"""

import json
import os
import sys
import time


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    # A line that begins with a dot or a quote would be a request.
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.splitlines())


def sentences(*texts):
    for text in texts:
        for paragraph in (text or "").split("\n\n"):
            if paragraph.strip():
                yield escaped(paragraph.strip())


def shown(argument):
    """Whether, and how, an argument is typed."""
    if not argument.get("shouldDisplay", True):
        return None
    if argument["kind"] == "positional":
        return f".Ar {escaped(argument.get('valueName', 'value'))}"
    names = [
        ("\\-\\-" if name["kind"].startswith("long") and name["kind"] != "longWithSingleDash" else "\\-") + escaped(name["name"])
        for name in argument.get("names", [])
    ]
    line = ".It Cm " + " , ".join(names)
    if argument["kind"] == "option":
        line += f" Ar {escaped(argument.get('valueName', 'value'))}"
    return line


def command_page(command, path):
    name = " ".join(path)
    subcommands = [c for c in command.get("subcommands", []) if c["commandName"] != "help" and c.get("shouldDisplay", True)]
    if len(path) > 1 and not subcommands:
        positional = [a for a in command.get("arguments", []) if a["kind"] == "positional" and shown(a)]
        line = f".It Ic {escaped(name)}"
        for argument in positional:
            value = escaped(argument.get("valueName", "value")) + (" ..." if argument.get("isRepeating") else "")
            line += f" Op Ar {value}" if argument.get("isOptional") else f" Ar {value}"
        yield line
        for index, paragraph in enumerate(sentences(command.get("abstract"), command.get("discussion"))):
            yield from ([".Pp"] if index else []) + [paragraph]
        # The same for every command: once, above.
        rest = [
            a for a in command.get("arguments", [])
            if a["kind"] != "positional" and shown(a) and a.get("valueName") not in ("help", "version")
            and not {n["name"] for n in a.get("names", [])} & {"help", "version"}
        ]
        if rest:
            yield ".Bl -tag -width indent"
            for argument in rest:
                yield shown(argument)
                yield from list(sentences(argument.get("abstract"))) or ["\\&"]
                if argument.get("defaultValue") not in (None, "", "[]"):
                    yield escaped(f"(default: {argument['defaultValue']})")
            yield ".El"
    for subcommand in subcommands:
        yield from command_page(subcommand, path + [subcommand["commandName"]])


def main():
    tool = json.load(sys.stdin)["command"]
    commands = list(command_page(tool, [tool["commandName"]]))
    if not commands:
        sys.exit(f"{tool['commandName']}: no commands found in its help; has its format changed?")
    with open(sys.argv[1], encoding="utf-8") as prose:
        text = prose.read()
    day = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    text = text.replace("@DATE@", time.strftime("%B %-d, %Y", day))
    print(text.replace("@COMMANDS@", "\n".join([".Bl -tag -width indent", *commands, ".El"])), end="")


main()
