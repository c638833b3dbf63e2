"""SCP-ECG and HL7 aECG through `ess-agent decode`, beside what BioSig (Debian's biosig-tools, written by others from the same standards)
reads out of the same file: every lead, to the last microvolt."""

import csv
import json
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = pathlib.Path(os.environ.get("ESS_BIN_DIR") or ROOT / ".build" / "debug") / "ess-agent"
REAL = ROOT.parent / "shared" / "data"
# BioSig 2.5 refuses the other real files (Heal Force's SCP, two aECG) or ends in its own allocator (welchallyn_2).
NAMES = ["scp/Example.scp", "scp/Example_v3.scp", "scp/made_raw_v13.scp", "scp/welchallyn_1.scp", "aecg/Example_aECG.xml"]
FILES = [ROOT / "fixtures/formats/ecg.scp", *(REAL / name for name in NAMES)]

pytestmark = pytest.mark.skipif(
    not shutil.which("save2gdf") and os.environ.get("ESS_REQUIRE_INTEROP") != "1", reason="needs Debian's biosig-tools")


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_the_same_leads_as_biosig(path, tmp_path):
    if not path.exists():
        pytest.skip(f"../shared/data/{path.parent.name}/{path.name} isn't there")
    table = tmp_path / "leads.csv"
    # Its status is of no use: it crashes at its end (Example_v3), with every lead written.
    subprocess.run(["save2gdf", "-CSV", path, table], capture_output=True, timeout=60)
    with open(table, encoding="utf-8", errors="replace") as file:
        names, *rows = [row for row in csv.reader(file) if row]
    theirs = {name.split(" ")[0]: [float(row[column]) for row in rows] for column, name in enumerate(names)}
    assert all(name.endswith("[uV]") for name in names) and rows

    told = json.loads(subprocess.run([AGENT, "decode", "--json", path], check=True, capture_output=True, text=True).stdout)
    ours = {}
    # A representative beat comes behind the rhythm, under the same names; BioSig leaves it out.
    for channel in told["channels"]:
        ours.setdefault(channel["name"], channel)
    assert theirs.keys() <= ours.keys()
    for name, values in theirs.items():
        lead = ours[name]
        assert (lead["samples"], lead["unit"], lead["absent"]) == (len(values), "uV", 0), name
        # Our numbers are exact; BioSig writes six digits.
        assert lead["first"] == pytest.approx(values[0], abs=0.01), name
        assert lead["minimum"] == pytest.approx(min(values), abs=0.01), name
        assert lead["maximum"] == pytest.approx(max(values), abs=0.01), name
        assert lead["sum"] == pytest.approx(sum(values), abs=0.005 * len(values)), name
