import os
import pathlib
import sys

import guest_tree
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))


@pytest.fixture(scope="session")
def base():
    if why := guest_tree.unavailable():
        pytest.skip(why)
    return guest_tree.base_tree()


@pytest.fixture
def tree(base, tmp_path):
    with guest_tree.overlay(base, tmp_path) as tree:
        yield tree


@pytest.fixture(scope="session")
def installed_layer(base, tmp_path_factory):
    """What an installation writes, made once: each test goes on from there."""
    scratch = tmp_path_factory.mktemp("installed")
    with guest_tree.overlay(base, scratch) as tree:
        guest_tree.install(tree)
    return scratch / "upper"


@pytest.fixture
def installed(base, installed_layer, tmp_path):
    with guest_tree.overlay(base, tmp_path, above=[installed_layer]) as tree:
        yield tree


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed scenario leaves what the guest said last."""
    outcome = yield
    report = outcome.get_result()
    machine = item.funcargs.get("laptop") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and machine is not None and getattr(machine, "control", None):
        try:
            report.sections.append(("guest's journal", machine.sh("journalctl -b --no-pager -n 80 _TRANSPORT=kernel + _SYSTEMD_UNIT=ess-agent.service + _SYSTEMD_UNIT=init.scope")))
        except Exception as error:
            report.sections.append(("guest's journal", f"can't be had: {error}"))
