"""What a pathway asks for at a visit, what the nurse types, and closing; through the page's door to the server and back."""

import json
import subprocess

import pytest
from bench import BIN, Bench, CommandFailed, eventually
from ports import free_port
from test_page import Page, prepare


@pytest.fixture
def nurse(bench):
    page = Page(bench, prepare(bench, refusal_window="2"))
    page.enter()
    visit = bench.visits()[0]
    answer = page.post(f"/api/visits/{visit['id']}/open",
                       {"check": {"birthDate": visit["patient"]["birthDate"], "traitsConfirmed": True}}, page.headers)
    assert answer.status_code == 200, answer.text
    page.visit = visit["id"]
    return page


def plan(nurse):
    return nurse.get(f"/api/visits/{nurse.visit}/plan", nurse.headers).json()


def state(nurse):
    return {item["key"]: item["state"] for item in plan(nurse)["items"]}


def enter(nurse, block, visit=None, confirmed=False, **values):
    return nurse.post(f"/api/visits/{visit or nurse.visit}/entries",
                      {"block": block, "values": values, "confirmed": confirmed}, nurse.headers)


def resources(bench, kind):
    return [entry["resource"] for entry in bench.fhir(f"{kind}?_count=100").get("entry", [])]


def test_a_visit_typed_and_closed_arrives(nurse):
    bench = nurse.bench
    view = plan(nurse)
    assert view["pathway"]["code"] == "ic" and view["items"][0]["key"] == "ecg12"
    assert set(state(nurse).values()) == {"missing"}
    bench.cli("import", bench.make_card("--number", "1"))
    assert state(nurse)["ecg12"] == "done"

    # Unlikely is asked again, and never refused; what is no number is.
    assert enter(nurse, "bp", systolic="80", diastolic="142").json()["key"] == "implausible"
    assert enter(nurse, "bp", systolic="cent", diastolic="80").status_code == 400
    assert enter(nurse, "bp", systolic="142").status_code == 400
    assert enter(nurse, "toaster", x="1").status_code == 400
    assert state(nurse)["bp"] == "missing"
    assert enter(nurse, "bp", systolic="142", diastolic="80", pulse="71").status_code == 200
    assert enter(nurse, "bp", systolic="300", diastolic="80", confirmed=True).status_code == 200
    bp = next(item for item in plan(nurse)["items"] if item["key"] == "bp")["blocks"][0]["entries"]
    assert [entry["text"] for entry in bp] == ["142 / 80 mmHg, 71 /min", "300 / 80 mmHg"]
    assert enter(nurse, "weight", weight="72,5").status_code == 200
    assert enter(nurse, "nyha", nyha="III").status_code == 200
    assert enter(nurse, "orthopnoea", orthopnoea="oui", pillows="2").status_code == 200
    # The second pressure was a slip.
    assert nurse.post(f"/api/visits/{nurse.visit}/entries/{bp[1]['id']}/withdraw", {}, nurse.headers).status_code == 200

    # Typed for another visit than the open one: nobody's.
    other = bench.visits()[1]["id"]
    assert enter(nurse, "weight", visit=other, weight="60").json()["key"] == "another-visit-open"

    # Killed and started again: all of it is here, nothing twice.
    before = plan(nurse)
    bench.agent.kill()
    bench.start_agent()
    nurse.session.cookies.clear()
    nurse.enter()
    assert plan(nurse) == before

    refused = nurse.post("/api/visits/close", {}, nurse.headers)
    assert refused.json()["key"] == "plan-incomplete" and "Échocardiographie" in refused.json()["text"]
    missing = plan(nurse)["missing"]
    assert "echo" in missing and "bp" not in missing
    half = {key: "sonde en panne" for key in missing[1:]}
    assert nurse.post("/api/visits/close", {"reasons": half}, nurse.headers).json()["key"] == "plan-incomplete"
    reasons = {key: f"sonde en panne {key}" for key in missing}
    assert nurse.post("/api/visits/close", {"reasons": reasons}, nurse.headers).status_code == 200
    assert plan(nurse)["missing"] == []

    bench.start_server("lose-answer=every:2")
    eventually("all is there", lambda: len(resources(bench, "QuestionnaireResponse")) == 1 + len(missing))
    eventually("typed is received", lambda: all(
        entry["state"] == "received" for item in plan(nurse)["items"] for block in item["blocks"] for entry in block["entries"]))
    observations = {o["code"]["coding"][0]["code"]: o for o in resources(bench, "Observation")}
    panel = observations["85354-9"]
    assert [c["valueQuantity"]["value"] for c in panel["component"]] == [142, 80, 71]
    assert panel["status"] == "final" and panel["encounter"]["reference"].startswith("Encounter/")
    assert panel["effectiveDateTime"] and "saisi à la main" in panel["note"][0]["text"]
    assert observations["29463-7"]["valueQuantity"]["value"] == 72.5
    assert observations["88020-7"]["valueCodeableConcept"]["coding"][0]["code"] == "III"
    # Withdrawn before it left: it never left.
    assert len([o for o in resources(bench, "Observation") if o["code"]["coding"][0]["code"] == "85354-9"]) == 1
    responses = {r["questionnaire"]: r for r in resources(bench, "QuestionnaireResponse")}
    answers = {item["linkId"]: item["answer"][0] for item in responses["urn:ess-agent:id/questionnaire/orthopnoea"]["item"]}
    assert answers["orthopnoea"] == {"valueBoolean": True} and answers["pillows"]["valueQuantity"]["value"] == 2
    texts = [r["item"][0]["answer"][0].get("valueString") for r in resources(bench, "QuestionnaireResponse")]
    assert "sonde en panne echo" in texts
    task = bench.fhir(f"Task/{nurse.visit}")
    patient = task["for"]["reference"]
    assert {r["subject"]["reference"] for kind in ("Observation", "QuestionnaireResponse") for r in resources(bench, kind)} == {patient}

    # A third party's model of R4 reads what was sent.
    files = []
    for number, resource in enumerate([*resources(bench, "QuestionnaireResponse"), *resources(bench, "Observation")]):
        files.append(bench.directory / f"typed-{number}.json")
        files[-1].write_text(json.dumps(resource))
    from bench import ROOT
    import sys
    done = subprocess.run([sys.executable, ROOT / "Tests/Interop/check_fhir.py", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

    # A mistake that is seen afterwards: the same resource, marked.
    weight = next(item for item in plan(nurse)["items"] if item["key"] == "weight")["blocks"][0]["entries"][0]["id"]
    assert nurse.post(f"/api/visits/{nurse.visit}/entries/{weight}/withdraw", {}, nurse.headers).status_code == 200
    eventually("marked", lambda: bench.fhir(f"Observation/{weight}")["status"] == "entered-in-error")
    # The words of a person are in no log.
    assert "sonde" not in bench.agent.text() and "72.5" not in bench.agent.text()


def test_an_answer_that_is_refused_never_keeps_the_others_here(nurse):
    """The server refuses the whole transaction because of one of five; four arrive, and only that one is set aside."""
    bench = nurse.bench
    for block, values in (("bp", {"systolic": "142", "diastolic": "80"}), ("weight", {"weight": "72,5"}), ("nyha", {"nyha": "II"}),
                          ("orthopnoea", {"orthopnoea": "non"}), ("hr", {"pulse": "71"})):
        answer = enter(nurse, block, **values)
        assert answer.status_code == 200, answer.text

    def states():
        entries = {}
        for item in plan(nurse)["items"]:
            for block in item["blocks"]:
                entries |= {entry["id"]: (block["key"], entry["state"]) for entry in block["entries"]}
        return entries

    [victim] = [key for key, (block, _) in states().items() if block == "weight"]
    bench.server.kill()
    bench.start_server(f"poison={victim}")
    eventually("the others arrive", lambda: all(s == "received" for key, (_, s) in states().items() if key != victim))
    eventually("it is set aside", lambda: states()[victim][1] == "quarantined")
    assert {o["id"] for o in resources(bench, "Observation")} & {victim} == set()
    assert len(states()) >= 4 and sum(s == "quarantined" for _, s in states().values()) == 1
    # What is typed later is in nobody's way.
    assert enter(nurse, "weight", weight="73").status_code == 200
    eventually("the corrected one arrives", lambda: sorted(s for block, s in states().values() if block == "weight") == ["quarantined", "received"])


def test_a_regions_own_plan(bench, tmp_path):
    region = tmp_path / "region"
    region.mkdir()
    file = region / "plan.json"
    file.write_text('{"pathways": [{"code": "ic", "title": "X", "required": ["bpp"]}]}')
    with pytest.raises(CommandFailed) as refused:
        bench._run([BIN / "ess-agent", "pathways", "check", region])
    assert refused.value.status == 78 and "`bpp`" in refused.value.error
    bench.make_server()
    bench.start_server()
    bench.configure(pathways=region, page_port=free_port())
    # The daemon says the same, and doesn't start with half a plan.
    done = subprocess.run([BIN / "ess-agent", "serve", "--config", bench.config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 78 and "`bpp`" in done.stderr
    file.write_text(json.dumps({
        "blocks": [{"key": "walk6", "title": "Marche", "form": {"target": "questionnaire", "fields": [
            {"key": "d", "label": "Distance", "type": "number", "unit": "m"}]}}],
        "pathways": [{"code": "heart-failure", "title": "IC, ici", "required": ["walk6"]}]}))
    assert "IC, ici" in bench._run([BIN / "ess-agent", "pathways", "check", region])
    bench.start_agent()
    visit = bench.wait_for_visits()[0]
    answer = subprocess.run(
        ["curl", "-sS", "--unix-socket", bench.socket, f"http://localhost/api/visits/{visit['id']}/plan"],
        capture_output=True, text=True, check=True).stdout
    view = json.loads(answer)
    assert view["pathway"]["title"] == "IC, ici" and view["missing"] == ["walk6"]
