"""The systems that the package wasn't built on."""

import guest_tree
import pytest
from test_package import Daemon


@pytest.mark.parametrize("suite", ["trixie", "noble"])
def test_newer_systems_have_what_it_depends_on(suite, tmp_path):
    """Debian 13 and Ubuntu 24.04: the package that was built on Debian 12 is installed from their archives, runs and keeps its units."""
    if why := guest_tree.unavailable(suite):
        pytest.skip(why)
    with guest_tree.overlay(guest_tree.base_tree(suite=suite), tmp_path) as tree:
        guest_tree.install(tree, "ess-agent", "ess-agent-tools")
        assert tree.run("ess-agent", "--version").strip() in (guest_tree.ROOT / "debian/changelog").read_text()
        # That no daemon runs here is what it has to say: in so many words, not as a library that it misses.
        said = tree.run("ess-agent", "doctor", check=False)
        assert said.returncode == 1 and "systemctl start ess-agent" in said.stdout, said
        assert "shared librar" not in said.stderr and "symbol" not in said.stderr, said
        assert "contec-oximeter" in tree.run("ess-sim", "list")
        assert "Omron" in tree.run("systemd-hwdb", "query", "usb:v0590p0028:BM")
        tree.run("systemd-analyze", "verify", "--man=no", "ess-agent.service", "ess-media@sda1.service", "ess-media-exchanged@sda.service")
        with Daemon(tree) as daemon:
            assert daemon.status()["counts"]["recordings"] == 0
        tree.apt("purge", "ess-agent", "ess-agent-tools")
