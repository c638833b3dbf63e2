"""Cards of sleep apnoea machines that were lent: whose each night is, and that nothing of it comes twice or is lost."""

import datetime

import nights
import pytest
import sticks
from bench import CommandFailed

DAY = datetime.datetime
EVENING, NIGHT, MORNING = DAY(2026, 3, 10, 22, 50, 58), DAY(2026, 3, 11, 3, 30, 11), DAY(2026, 3, 11, 5, 30, 40)


def three_sessions(serial=nights.SERIAL):
    return {
        path: bytes for start, apnoeas in ((EVENING, (200,)), (NIGHT, (100, 250)), (MORNING, ()))
        for path, bytes in nights.session("20260310", start, apnoeas=apnoeas, serial=serial).items()}


def lend(field, visit, begin="2026-03-01 00:00:00"):
    field.cli("loan", "give", f"resmed-card/{nights.SERIAL}", visit, "--from", begin)


def taken(field, modality="sleep"):
    found = [r for r in field.recordings() if r["modality"] == modality]
    return sorted(found, key=lambda r: (r["start"], events(field, r)))


def events(field, recording):
    return [n["at"] for n in field.cli("recording", recording["id"], "--json")["notes"] if n["kind"] == "event"]


def test_each_session_of_a_night_is_one_recording_of_the_borrower(field, tmp_path):
    borrower, other = [v["id"] for v in field.visits()][:2]
    lend(field, borrower)
    field.cli("visit", "open", other)
    sticks.write(tmp_path / "CARD", nights.card(three_sessions(), EVENING, [15]))
    imported = field.cli("import", tmp_path / "CARD", "--json")
    assert imported["failed"] == [] and imported.get("held", []) == [], imported
    found = taken(field)
    assert [r["start"] for r in found] == [f"{start}" for start in (EVENING, NIGHT, MORNING)]
    assert {(r["visit"], r["binding"], r["serial"]) for r in found} == {(borrower, "loan", nights.SERIAL)}
    assert [events(field, r) for r in found] == [[188], [88, 238], []]
    # Nothing is left of them for anybody who reads EDF files; the settings and the journal are of the time of the nights.
    [rest] = [r for r in field.recordings() if r["modality"] == "other"]
    assert (rest["visit"], rest["binding"]) == (borrower, "loan") and len(field.recordings()) == 4
    # The three add up to what the machine counted, each once.
    notes = [n["text"] for r in found for n in field.cli("recording", r["id"], "--json")["notes"]]
    assert sum("3 apnoeas and hypopnoeas in 0.3 h are 12.0 an hour on the therapy day, as in" in n for n in notes) == 3
    assert not [n for n in notes if "outside" in n]


def test_what_lies_beside_the_sessions_is_the_borrowers_or_nobodys(field, tmp_path):
    borrower, other = [v["id"] for v in field.visits()][:2]
    lend(field, borrower)
    field.cli("visit", "open", other)
    # A night whose header is damaged, one that was over at once, events without a session, a kind that nobody knows.
    damaged = bytearray(nights.breathing(DAY(2026, 3, 12, 23, 0, 0), 3))
    damaged[200] ^= 1
    empty = {
        nights.name("20260313", DAY(2026, 3, 13, 22, 0, 7), "BRP"): nights.breathing(DAY(2026, 3, 13, 22, 0, 7), 0),
        nights.name("20260313", DAY(2026, 3, 13, 22, 0, 0), "EVE"): nights.events(DAY(2026, 3, 13, 22, 0, 0))}
    extra = {
        nights.name("20260312", DAY(2026, 3, 12, 23, 0, 0), "BRP"): bytes(damaged),
        nights.name("20260314", DAY(2026, 3, 14, 22, 0, 0), "EVE"):
            nights.events(DAY(2026, 3, 14, 22, 0, 0), [(300, 12, "Central Apnea")]),
        nights.name("20260310", EVENING, "TCV"): nights.statistics(EVENING, 5)}
    card = nights.card({**three_sessions(), **empty, **extra}, EVENING, [15, 0, 3])
    sticks.write(tmp_path / "CARD", card)
    with pytest.raises(CommandFailed):
        field.cli("import", tmp_path / "CARD", "--json")
    assert len(taken(field)) == 3
    assert {(r.get("visit"), r.get("binding")) for r in field.recordings()} == {(borrower, "loan")}
    # By day, so that a damaged night is not another day's.
    assert len([r for r in field.recordings() if r["modality"] == "other"]) == 3


def test_a_machine_without_a_number_is_nobodys_while_its_kind_is_lent(field, tmp_path):
    borrower, other = [v["id"] for v in field.visits()][:2]
    lend(field, borrower)
    field.cli("visit", "open", other)
    sticks.write(tmp_path / "CARD", nights.card(three_sessions(None), EVENING, [15], serial=None))
    field.cli("import", tmp_path / "CARD", "--json")
    assert {(r.get("visit"), r.get("unattributed")) for r in field.recordings()} == {(None, "deviceWithoutSerial")}


def test_a_card_that_nobody_lent_asks_nothing(field, tmp_path):
    visit = field.visits()[0]["id"]
    field.cli("visit", "open", visit)
    sticks.write(tmp_path / "CARD", nights.card(three_sessions(), EVENING, [15]))
    imported = field.cli("import", tmp_path / "CARD", "--json")
    assert len(imported["imported"]) == 4 and not imported.get("held")
    assert {(r["visit"], r["binding"]) for r in field.recordings()} == {(visit, "openVisit")}


def test_events_of_a_whole_day_in_one_file_go_to_their_sessions_and_bring_none_twice(field, tmp_path):
    field.cli("visit", "open", field.visits()[0]["id"])
    therapy = EVENING - datetime.timedelta(seconds=7)
    later = (NIGHT - therapy).seconds

    def card(found, sessions):
        files = {nights.name("20260310", therapy, "EVE"): nights.events(therapy, found)}
        for start in sessions:
            files[nights.name("20260310", start, "BRP")] = nights.breathing(start, 5, seed=start.hour)
        sticks.write(tmp_path / "CARD", nights.card(files, EVENING, [5 * len(sessions)]))
        return field.cli("import", tmp_path / "CARD", "--json")

    first = [(207, 12, "Obstructive Apnea")]
    card(first, [EVENING])
    # The next one of that night: the file of events has grown, and the first session is the same.
    second = [*first, (later + 120, 10, "Central Apnea")]
    again = card(second, [EVENING, NIGHT])
    assert len(again["known"]) >= 1
    assert [(r["start"], events(field, r)) for r in taken(field)] == [(f"{EVENING}", [188]), (f"{NIGHT}", [110])]
    # What is new in a session isn't lost: it comes as another recording of it.
    card([*second, (later + 200, 10, "Central Apnea")], [EVENING, NIGHT])
    assert [events(field, r) for r in taken(field)] == [[188], [110], [110, 190]]


def test_what_is_new_beside_somebody_elses_nights_is_of_the_same_machine(field, tmp_path):
    """No new night, but other settings: the card came out of the bag again."""
    first, second = [v["id"] for v in field.visits()][:2]
    field.cli("visit", "open", first)
    sticks.write(tmp_path / "CARD", nights.card(three_sessions(), EVENING, [15]))
    field.cli("import", tmp_path / "CARD")
    field.cli("visit", "close")
    field.cli("visit", "open", second)
    before = {r["id"] for r in field.recordings()}
    sticks.write(tmp_path / "CARD", {"SETTINGS/NEW.TGT": b"settings of a machine\r\n" * 9})
    field.cli("import", tmp_path / "CARD")
    [rest] = [r for r in field.recordings() if r["id"] not in before]
    assert (rest["modality"], rest.get("visit"), rest["unattributed"]) == ("other", None, "otherPatientsMachine")


def test_the_card_of_somebody_elses_machine_waits_until_a_person_says_whose_it_is_now(field, tmp_path):
    """The first patient's card was copied in the first visit; in the second one it comes out of the bag again, with later nights."""
    first, second, _ = [v["id"] for v in field.visits()][:3]
    field.cli("visit", "open", first)
    sticks.write(tmp_path / "CARD", nights.card(three_sessions(), EVENING, [15]))
    field.cli("import", tmp_path / "CARD")
    assert {r["visit"] for r in taken(field)} == {first}
    field.cli("visit", "close")
    field.cli("visit", "open", second)
    later = {
        path: bytes for hour in (1, 3) for path, bytes in nights.session("20260311", DAY(2026, 3, 12, hour, 0, 0)).items()}
    sticks.write(tmp_path / "LATER", nights.card({**three_sessions(), **later}, EVENING, [15, 0]))
    imported = field.cli("import", tmp_path / "LATER", "--json")
    assert imported["failed"] == [] and imported["toDecide"] >= 2, imported
    waiting = [r for r in taken(field) if not r.get("visit")]
    assert [r["unattributed"] for r in waiting] == ["otherPatientsMachine"] * 2
    assert "autre patient" in waiting[0]["attention"]
    assert not [r for r in field.recordings() if r.get("visit") == second]
    # What else is new on it is of the same machine, without any new night too.
    sticks.write(tmp_path / "LATER", {"SETTINGS/NEW.TGT": b"settings of a machine\r\n" * 9})
    field.cli("import", tmp_path / "LATER")
    rest = [r for r in field.recordings() if r["modality"] == "other" and not r.get("visit")]
    assert rest and {r["unattributed"] for r in rest} == {"otherPatientsMachine"}
    # One word about the machine for all of its nights.
    field.cli("attribute", waiting[0]["id"], second, "--why", "machine handed on", "--of-machine")
    assert [(r["visit"], r["binding"]) for r in taken(field) if r["start"] > "2026-03-11 20"] == [(second, "decision")] * 2
    assert {r.get("visit") for r in field.recordings() if r["id"] in [one["id"] for one in rest]} == {second}
    more = {path: bytes for path, bytes in nights.session("20260312", DAY(2026, 3, 12, 23, 0, 0)).items()}
    sticks.write(tmp_path / "MORE", nights.card(more, EVENING, [0]))
    field.cli("import", tmp_path / "MORE")
    assert [r["visit"] for r in taken(field) if r["start"] > "2026-03-12 20"] == [second]
