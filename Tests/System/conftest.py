import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))


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
