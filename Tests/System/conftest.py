import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

import field  # noqa: E402
import guest_tree  # noqa: E402
import machine  # noqa: E402


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


# The whole machine: one for all scenarios, as it takes its time to boot.


@pytest.fixture(scope="session")
def outside():
    if why := machine.unavailable():
        pytest.skip(why)
    outside = field.Outside()
    yield outside
    outside.close()


@pytest.fixture(scope="session")
def image(outside, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("image")
    keys = outside.bench.laptop
    return machine.make_image(
        scratch,
        {
            "server": f"https://10.0.2.2:{outside.bench.port}", "server-ca": "/etc/ess-agent/ca.pem",
            "client-certificate": "/etc/ess-agent/client.pem", "client-key": "/etc/ess-agent/client.key", "test-server": "yes",
            "retry-min": "0.5", "retry-max": "2", "worklist-interval": "5",
        },
        [(keys / name, f"/etc/ess-agent/{name}") for name in ("ca.pem", "client.pem", "client.key")])


@pytest.fixture(scope="session")
def running(image, tmp_path_factory):
    with machine.machine(tmp_path_factory.mktemp("laptop"), image) as laptop:
        yield laptop.boot()


@pytest.fixture
def laptop(running):
    if running.control is None:
        running.boot()
    running.link(True)
    running.wait("the agent answers", lambda: running.agent("status", "--json"))
    running.wait("visits came down", lambda: running.agent("visits", "--json"))
    yield running


@pytest.fixture
def visit(laptop):
    """An open visit; closed again at the end."""
    chosen = laptop.agent("visits", "--json")[0]["id"]
    laptop.agent("visit", "open", chosen)
    yield chosen
    if laptop.control is not None:
        laptop.agent("visit", "close", check=False)


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
