"""`replay` on what an outsider would bring: captures of a whole bus, dumps. Each says the same as the transcript it was made from."""

import captures
import pytest
from bench import ROOT, Bench, CommandFailed

OMRON = ROOT / "fixtures/omron-pressure/foreign.transcript"
OXIMETER = ROOT / "fixtures/contec-oximeter/foreign-device-only.transcript"


@pytest.fixture(scope="module")
def tools():
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("form", ["usbmon.pcapng", "usbmon.pcap", "usbpcap.pcapng", "usbmon.txt"])
def test_a_capture_of_the_bus(tools, tmp_path, form):
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    path = tmp_path / form
    content = {
        "usbmon.pcapng": lambda: captures.pcapng(found),
        "usbmon.pcap": lambda: captures.pcap(found),
        "usbpcap.pcapng": lambda: captures.pcapng(found, 249, captures.usbpcap),
        "usbmon.txt": lambda: captures.text(found).encode(),
    }[form]()
    path.write_bytes(content)
    expected = tools.tool("replay", "omron-pressure", OMRON, "--json")
    assert expected["recordings"], "nothing to compare"
    assert tools.tool("replay", "omron-pressure", path, "--json") == expected
    # Cut in the middle: what is there.
    path.write_bytes(content[:len(content) * 2 // 3])
    assert len(tools.tool("replay", "omron-pressure", path, "--json")["recordings"]) <= len(expected["recordings"])


def test_dumps_of_what_a_device_said(tools, tmp_path):
    expected = tools.tool("replay", "contec-oximeter", OXIMETER, "--json")
    said = captures.said(OXIMETER)
    dump, raw = tmp_path / "dump.txt", tmp_path / "said.bin"
    dump.write_text(captures.hexdump(said))
    raw.write_bytes(said)
    assert expected["recordings"]
    assert tools.tool("replay", "contec-oximeter", dump, "--json") == expected
    assert tools.tool("replay", "contec-oximeter", raw, "--raw", "--json") == expected


def test_what_is_none_of_it_is_said(tools, tmp_path):
    path = tmp_path / "wrong"
    for content, word in ((captures.pcapng([], 1), "USB"), (b"hello\n", "line 1"), (bytes(range(256)), "line")):
        path.write_bytes(content)
        with pytest.raises(CommandFailed) as refused:
            tools.tool("replay", "omron-pressure", path, "--json")
        assert refused.value.status == 65 and word in refused.value.error
