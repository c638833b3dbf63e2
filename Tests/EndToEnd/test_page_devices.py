"""What the page shows of devices that need the kernel's USB: the agent runs in umockdev's test bed, as in `test_usb.py`."""

import pytest
from bench import Bench, eventually
from ports import free_port
from test_page_browser import Nurse, chromium  # noqa: F401
from test_udev import Testbed
from test_usb import device, sims, start_agent  # noqa: F401


@pytest.fixture
def desk(chromium, sims):  # noqa: F811
    """A nurse's page in the first patient's visit, with a scale and an electrocardiograph that also counts the pulse."""
    bench = Bench()
    port = free_port()
    bench.make_server()
    bench.configure(page_port=port)
    bed = Testbed(bench)
    bench.start_server()
    server = sims("phdc:scale", "phdc:ecg")
    start_agent(bench, bed)
    bench.cli("visit", "open", bench.wait_for_visits()[0]["id"])
    bed.say(f"plug scale 127.0.0.1 {server.port} 1-1")
    bed.say(f"plug ecg 127.0.0.1 {server.port} 1-2")
    nurse = Nurse(chromium, bench, port)
    yield nurse
    nurse.context.close()
    bed.close()
    bench.close()
    assert nurse.unexpected == [], nurse.unexpected


def test_a_weight_is_shown_as_it_comes_and_an_ecg_with_its_pulse(desk):
    page, bench = desk.page, desk.bench
    [scale] = eventually("scale", device(bench, "phdc", serial="SIM0001"))
    [ecg] = eventually("ecg", device(bench, "phdc", serial="SIM0002"))
    desk.enter()
    bench.cli("start", scale["name"])
    desk.go("En direct")
    page.locator(".sweep").get_by_text("poids").first.wait_for()
    page.locator(".live-head").get_by_text("Pour LEF").wait_for()
    bench.cli("stop", scale["name"])
    page.get_by_text("Terminé. Tout est gardé.").wait_for()
    assert page.locator(".sweep").get_by_text("poids").count()

    recording = bench.cli("start", ecg["name"], "--json")["recordings"][0]["recording"]
    eventually("two seconds", lambda: [r for r in bench.recordings() if r["id"] == recording and r["seconds"] > 2])
    bench.cli("stop", ecg["name"])
    assert bench.cli("recording", recording, "--json")["readings"]
    page.goto(f"{desk.origin}/#/enregistrements/{recording}")
    page.locator("svg.ecg path.trace").first.wait_for()
    page.get_by_role("cell", name="pouls").first.wait_for()
    desk.shot("16-ecg-et-pouls")

    # Somebody else's, while another visit is open.
    warning = page.get_by_text("n’est pas celui du patient de la visite ouverte")
    assert warning.count() == 0
    bench.cli("visit", "close")
    bench.cli("visit", "open", bench.visits()[1]["id"])
    warning.wait_for()
