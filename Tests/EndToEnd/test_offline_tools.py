"""decode, replay and udev-rules: the commands that need no daemon."""

import json
import os
import random

import pytest
from bench import BIN, ROOT, SHARED, Bench, CommandFailed


@pytest.fixture
def tools(tmp_path):
    bench = Bench()
    yield bench
    bench.close()


def test_decode_a_real_ecg(tools):
    sample = SHARED / "data/ecg/contec/0000037.ECG"
    if not sample.exists():
        pytest.skip("../shared/data/ecg/contec/0000037.ECG isn't there")
    decoded = tools.tool("decode", sample, "--json")
    assert decoded["format"] == "contec-ecg"
    channels = {c["name"]: c for c in decoded["channels"]}
    assert list(channels) == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    # devices.md 6.1, worked by hand from the file's first samples.
    assert [channels[n]["first"] for n in ("I", "II", "III", "aVR", "aVL", "aVF")] == [-105, -90, 15, 97.5, -60, -37.5]
    assert channels["V1"]["absent"] == channels["V1"]["samples"] == (134080 - 80) // 16
    # The whole file again, by arithmetic of our own.
    import struct

    raw = sample.read_bytes()
    words = struct.unpack(f"<{(len(raw) - 80) // 2}H", raw[43:-37])
    ii = [(w - 2048) * 5 for w in words[0::8] if w != 0x6800]
    assert channels["II"]["sum"] == sum(ii) and channels["II"]["minimum"] == min(ii) and channels["II"]["maximum"] == max(ii)


def test_decode_reads_the_files_that_a_wfdb_header_names(tools, tmp_path):
    (tmp_path / "r.hea").write_text("r 2 100 2\nr1.dat 16 1000 16 0 7 16 0 I\nR2.DAT 16 500 16 0 1 3 0 II\n")
    (tmp_path / "r1.dat").write_bytes(bytes([7, 0, 9, 0]))
    with pytest.raises(CommandFailed) as refused:
        tools.tool("decode", tmp_path / "r.hea", "--json")
    assert "not beside it" in refused.value.error
    # A card that was copied writes names in another case.
    (tmp_path / "r2.dat").write_bytes(bytes([1, 0, 2, 0]))
    decoded = tools.tool("decode", tmp_path / "r.hea", "--json")
    assert [(c["name"], c["first"], c["sum"], c["calibration"]) for c in decoded["channels"]] == [
        ("I", 0.007, 0.016, "singleSource"), ("II", 0.002, 0.006, "singleSource")]
    assert "source unique" in tools.tool("decode", tmp_path / "r.hea")
    with pytest.raises(CommandFailed) as refused:
        tools.tool("decode", tmp_path / "r1.dat")
    assert "r.hea" in refused.value.error


@pytest.mark.parametrize("law, expand, divisor", [("MB", "ulaw2lin", 4), ("AB", "alaw2lin", 8)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_decode_companded_samples(tools, tmp_path, law, expand, divisor):
    """All 256 codes of ITU-T G.711's two laws (DICOM MB and AB) against Python's own decoder; it scales both to 16 bits."""
    audioop = pytest.importorskip("audioop")
    import struct

    import pydicom
    from pydicom.dataset import FileMetaDataset

    codes = bytes(range(256))
    channels = []
    # One channel for each code, of which every sample is that code, so that each value is seen by itself.
    for number in codes:
        unit, source, channel = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "2:1", "MDC", "Lead I"
        channel.ChannelLabel, channel.ChannelSourceSequence = str(number), [source]
        channel.ChannelSensitivity, channel.ChannelSensitivityUnitsSequence = 1, [unit]
        channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline, channel.WaveformBitsStored = 1, 0, 8
        channels.append(channel)
    group = pydicom.Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = "ORIGINAL", 256, 2
    group.SamplingFrequency, group.ChannelDefinitionSequence = 8000, channels
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 8, law
    group.WaveformData = codes * 2
    group["WaveformData"].VR = "OB"
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = "1.2.840.10008.5.1.4.1.1.9.1.2", "1.2.3.4", "ECG"
    data.PatientID, data.WaveformSequence = "1", [group]
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    data.save_as(tmp_path / "law.dcm", enforce_file_format=True)
    decoded = tools.tool("decode", tmp_path / "law.dcm", "--json")
    expected = struct.unpack("<256h", getattr(audioop, expand)(codes, 2))
    assert all(value % divisor == 0 for value in expected)
    assert [channel["first"] for channel in decoded["channels"]] == [value // divisor for value in expected]
    assert [channel["sum"] for channel in decoded["channels"]] == [2 * value // divisor for value in expected]


@pytest.mark.parametrize("record, channels", [("s0010_re", 15), ("mixedsignals", 6), ("binformats", 10)])
def test_decode_real_wfdb_records(tools, record, channels):
    header = SHARED / f"data/ecg/wfdb/{record}.hea"
    if not header.exists():
        pytest.skip(f"{header} isn't there")
    decoded = tools.tool("decode", header, "--json")
    assert decoded["format"] == "wfdb" and len(decoded["channels"]) == channels
    assert not [note for note in decoded["notes"] if "checksum" in note["text"]]


@pytest.mark.parametrize("name", ["empty", "noise", "text", "directory", "missing"])
def test_decode_says_what_is_wrong(tools, tmp_path, name):
    path = tmp_path / name
    if name == "empty":
        path.write_bytes(b"")
    elif name == "noise":
        path.write_bytes(random.Random(1).randbytes(5000))
    elif name == "text":
        path.write_text("hello\n")
    elif name == "directory":
        path.mkdir()
    with pytest.raises(CommandFailed) as refused:
        tools.tool("decode", path, "--json")
    assert refused.value.status == 65 and len(refused.value.error) > 20


def test_replay_of_the_fixtures(tools):
    transcripts = sorted((ROOT / "fixtures/contec-oximeter").glob("*.transcript"))
    assert transcripts
    for transcript in transcripts:
        report = tools.tool("replay", "contec-oximeter", transcript, "--json")
        assert report["driver"] == "contec-oximeter" and report["recordings"], transcript
    with pytest.raises(CommandFailed) as refused:
        tools.tool("replay", "no-such-device", transcripts[0], "--json")
    assert refused.value.status in (64, 65)


def test_record_then_replay(tools, tmp_path):
    tools.plug_oximeter("--night-seconds", "120")
    transcript = tmp_path / "session.transcript"
    tools.tool("record", tools.directory / "ttySIM0", "--seconds", "3", "--output", transcript)
    report = tools.tool("replay", "contec-oximeter", transcript, "--json")
    assert report["identity"]["serial"].startswith("SIM")
    assert report["recordings"][0]["channels"][0]["samples"] > 60


def test_udev_rules_are_the_committed_ones(tools):
    assert tools.tool("udev-rules") == (ROOT / "udev/70-ess-agent.rules").read_text()


def test_daemon_commands_without_a_daemon(tools):
    with pytest.raises(CommandFailed) as refused:
        tools.tool("status", "--socket", tools.directory / "none.sock")
    assert refused.value.status == 10 and "agent" in refused.value.error


def test_wrong_configuration(tools):
    for text in ("servre = https://x\n", "server = http://x\n", "nonsense\n", "retry-min = soon\n"):
        tools.config.write_text(text)
        with pytest.raises(CommandFailed) as refused:
            tools.tool("serve", "--config", tools.config)
        assert refused.value.status == 78 and "agent.conf:1" in refused.value.error
