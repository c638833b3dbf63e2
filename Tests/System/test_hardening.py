"""The linked programs: what the loader and the compiler can do against a memory error is switched on."""

import pathlib
import subprocess

import guest_tree
import pytest


@pytest.mark.parametrize("name", ["ess-agent", "ess-server", "ess-sim"])
def test_hardened(name, tmp_path):
    package = guest_tree.packages()["ess-agent" if name == "ess-agent" else "ess-agent-tools"]
    guest_tree.run("dpkg-deb", "-x", str(package), str(tmp_path))
    program = (tmp_path / "usr/bin" / name)
    if program.is_symlink():
        pytest.skip("the quick form of the package; the linker's flags are those of the release form")
    headers = guest_tree.run("readelf", "-W", "-h", "-l", "-d", str(program))
    assert "DYN (" in headers, "not position independent"
    assert "GNU_RELRO" in headers and "NOW" in headers, "relocations stay writable"
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack, "executable stack"
    assert "RUNPATH" not in headers and "RPATH" not in headers, "libraries would be looked for beside the program"
    symbols = guest_tree.run("readelf", "-W", "--dyn-syms", str(program))
    assert "__stack_chk_fail" in symbols, "no stack protector in the C parts"
    assert pathlib.Path(program).stat().st_size < 120 << 20, "not stripped?"
    text = subprocess.run(["strings", "-n", "8", str(program)], capture_output=True, text=True, check=True).stdout
    assert str(guest_tree.ROOT) not in text, "the building machine's paths are in the program"
