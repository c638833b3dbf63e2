"""What comes down: opinions, questions, care plans; visits that end; and how far a visit is, told back. On the real binaries."""

import json
import shutil
import subprocess

import pytest
import requests
from bench import BIN, CommandFailed, eventually
from hostile import Hostile

SECRET = "Fibrillation atriale à réponse ventriculaire rapide"


class Centre:
    """The secretariat's side of the server."""

    def __init__(self, field):
        self.field = field

    def put(self, resource, **headers):
        f = self.field
        answer = requests.put(
            f"https://localhost:{f.port}/fhir/{resource['resourceType']}/{resource['id']}", json=resource,
            headers={"Content-Type": "application/fhir+json", **headers}, verify=str(f.laptop / "ca.pem"),
            cert=(str(f.laptop / "client.pem"), str(f.laptop / "client.key")), timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    def task(self, visit):
        return self.field.fhir(f"Task/{visit}")

    def opinion(self, visit, text=SECRET, id="avis-1", **more):
        task = self.task(visit)
        return self.put({
            "resourceType": "DiagnosticReport", "id": id, "status": "final", "basedOn": [task["focus"]],
            "subject": task["for"], "code": {"text": "Avis de cardiologie"}, "issued": "2026-11-24T10:00:00Z",
            "resultsInterpreter": [{"display": "Dr Fictif"}], "conclusion": text, **more})

    def question(self, visit, id="question-1"):
        task = self.task(visit)
        return self.put({
            "resourceType": "Communication", "id": id, "status": "in-progress", "basedOn": [task["focus"]],
            "subject": task["for"], "priority": "urgent", "recipient": [{"reference": "Organization/equipe-mobile"}],
            "sender": {"display": "Secrétariat"}, "sent": "2026-11-24T11:00:00Z",
            "payload": [{"contentString": "Le poids du matin ?"}]})


def go_online(bench):
    bench.make_server()
    bench.start_server()
    bench.configure(worklist_interval="0.5")
    bench.start_agent()
    bench.wait_for_visits()
    bench.centre = Centre(bench)
    return bench


@pytest.fixture
def online(bench):
    return go_online(bench)


def opinions(field):
    return field.cli("opinions", "--json")


def test_an_opinion_comes_down_and_is_there_offline(online):
    visit = online.visits()[0]
    online.cli("visit", "open", visit["id"])
    [ecg, *_] = online.cli("import", online.make_card("--number", "1"), "--json")["imported"]
    online.centre.opinion(visit["id"], extension=[{
        "url": "http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo",
        "valueReference": {"reference": f"DocumentReference/{ecg}"}}])
    [view] = eventually("the opinion is here", lambda: opinions(online))
    assert view["kind"] == "opinion" and view["text"] == SECRET and view["author"] == "Dr Fictif"
    assert view["visit"] == visit["id"] and view["patient"]["family"] == visit["patient"]["family"]
    assert view["recordings"] == [ecg] and view["isSeen"] is False and view["status"] == "final"
    online.server.kill()
    online.agent.kill()
    online.start_agent()
    assert opinions(online) == [view]
    # Sealed: nothing of it can be read on the disk.
    online.agent.stop()
    for path in online.state.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in online.agent.text()
    # And the command says it in words.
    online.start_agent()
    assert SECRET in online.cli("opinions") and "nouveau" in online.cli("opinions")


def test_a_corrected_opinion_is_news_again(online):
    visit = online.visits()[0]["id"]
    online.centre.opinion(visit)
    [view] = eventually("here", lambda: opinions(online))
    seen = subprocess.run(
        ["curl", "-sS", "--unix-socket", online.socket, "-X", "POST", f"http://localhost/api/opinions/{view['id']}/seen"],
        capture_output=True, text=True, check=True).stdout
    assert '"isSeen":true' in seen
    online.centre.opinion(visit, text="Corrigé", status="corrected")
    [after] = eventually("the new words", lambda: (o := opinions(online))[0]["text"] == "Corrigé" and o)
    assert after["isSeen"] is False and after["status"] == "corrected" and after["id"] == view["id"]


def test_a_question_is_answered_once_with_words(online):
    online.centre.question(online.visits()[1]["id"])
    [view] = eventually("here", lambda: opinions(online))
    assert view["kind"] == "question" and view["isUrgent"] and view["text"] == "Le poids du matin ?"
    online.server.kill()
    online._run([BIN / "ess-agent", "reply", view["id"], "--config", online.config], input="71 kg à jeun\n")
    [view] = opinions(online)
    assert view["reply"]["text"] == "71 kg à jeun" and view["reply"]["isSent"] is False
    with pytest.raises(CommandFailed):
        online._run([BIN / "ess-agent", "reply", view["id"], "--config", online.config], input="encore\n")
    online.start_server("lose-answer=every:1")
    eventually("it is tried", lambda: "PUT" in online.server.text(), seconds=30)
    online.server.kill()
    online.start_server()
    eventually("sent", lambda: opinions(online)[0]["reply"]["isSent"], seconds=30)
    replies = [e["resource"] for e in online.fhir("Communication?_count=50")["entry"] if e["resource"].get("inResponseTo")]
    [reply] = replies
    assert reply["payload"] == [{"contentString": "71 kg à jeun"}]
    assert reply["inResponseTo"][0]["reference"] == "Communication/question-1"


def test_an_opinion_about_somebody_else_is_not_shown_under_the_visit(online):
    """The order is one patient's, the subject another: kept apart, and never given the visit's name."""
    first, second = online.visits()[:2]
    task, other = online.centre.task(first["id"]), online.centre.task(second["id"])
    answer = requests.put(
        f"https://localhost:{online.port}/fhir/DiagnosticReport/faux", verify=str(online.laptop / "ca.pem"),
        cert=(str(online.laptop / "client.pem"), str(online.laptop / "client.key")), timeout=20,
        headers={"Content-Type": "application/fhir+json"},
        json={"resourceType": "DiagnosticReport", "id": "faux", "status": "final", "code": {"text": "x"},
              "basedOn": [task["focus"]], "subject": other["for"], "conclusion": "?"})
    # The reference server refuses it already.
    assert answer.status_code == 409


def test_the_care_plans_next_steps(online):
    visit = online.visits()[0]["id"]
    online.centre.put({
        "resourceType": "CarePlan", "id": "pps-1", "status": "active", "intent": "plan", "title": "PPS",
        "subject": online.centre.task(visit)["for"], "activity": [
            {"detail": {"status": "scheduled", "description": "Bilan sanguin", "scheduledString": "sous 15 jours"}},
            {"detail": {"status": "not-started", "description": "Contrôle ECG"}}]})

    def plan():
        import json
        text = subprocess.run(
            ["curl", "-sS", "--unix-socket", online.socket, f"http://localhost/api/visits/{visit}/care-plan"],
            capture_output=True, text=True, check=True).stdout
        return (view := json.loads(text))["steps"] and view

    view = eventually("the plan is here", plan)
    assert [s["text"] for s in view["steps"]] == ["Bilan sanguin", "Contrôle ECG"]
    assert view["steps"][0]["due"] == "sous 15 jours" and view["title"] == "PPS"


def test_how_far_a_visit_is_is_told_and_nothing_else_of_the_task_changes(online):
    visit = online.visits()[0]["id"]
    task = online.centre.task(visit)
    task["note"] = [{"text": "un champ que l'agent ne connaît pas"}]
    online.centre.put(task)
    before = online.centre.task(visit)
    online.cli("visit", "open", visit)
    online.cli("import", online.make_card("--number", "1"))
    eventually("in progress", lambda: online.centre.task(visit)["status"] == "in-progress", seconds=30)
    online.cli("visit", "close")
    online.synced()
    eventually("completed", lambda: online.centre.task(visit)["status"] == "completed", seconds=30)
    after = online.centre.task(visit)
    for document in (before, after):
        document.pop("meta")
        document.pop("status")
    assert before == after


def test_a_task_is_completed_only_with_every_receipt(online):
    visit = online.visits()[0]["id"]
    online.cli("visit", "open", visit)
    online.cli("import", online.make_card("--number", "1"))
    online.server.kill()
    online.start_server("status=500:all:create")
    online.cli("visit", "close")
    eventually("in progress", lambda: online.centre.task(visit)["status"] == "in-progress", seconds=30)
    eventually("facts are there", lambda: online.fhir("DocumentReference").get("entry"), seconds=30)
    online.server.kill()
    online.start_server()
    assert online.centre.task(visit)["status"] == "in-progress"
    online.synced()
    eventually("completed", lambda: online.centre.task(visit)["status"] == "completed", seconds=30)


def test_what_records_for_a_cancelled_visit_is_ended_before_the_next_one_opens(bench):
    bench.plug_oximeter()
    bench.name_port()
    go_online(bench)
    first, second = (v["id"] for v in bench.visits()[:2])
    bench.cli("visit", "open", first)
    bench.wait_for_device()
    bench.cli("start", "ttySIM0")
    bench.centre.put({**bench.centre.task(first), "status": "cancelled"})
    eventually("the agent hears", lambda: [v for v in bench.visits() if v["id"] == first][0]["status"] == "cancelled", seconds=60)
    with pytest.raises(CommandFailed) as failure:
        bench.cli("visit", "open", second)
    assert "capture" in str(failure.value)
    bench.cli("stop", "ttySIM0")
    bench.cli("visit", "open", second)
    assert [r["visit"] for r in bench.recordings()] == [first]


def test_the_servers_cancellation_wins(online):
    visit = online.visits()[0]["id"]
    online.server.kill()
    online.cli("visit", "open", visit)
    online.cli("import", online.make_card("--number", "1"))
    online.server = None
    online.start_server("status=503:4:task")
    task = online.centre.task(visit)
    assert task["status"] != "cancelled"
    # The switch is for PUTs of the laptop as well as ours: ours is repeated until it is through.
    def cancelled():
        answer = requests.put(
            f"https://localhost:{online.port}/fhir/Task/{visit}", json={**online.centre.task(visit), "status": "cancelled"},
            headers={"Content-Type": "application/fhir+json"}, verify=str(online.laptop / "ca.pem"),
            cert=(str(online.laptop / "client.pem"), str(online.laptop / "client.key")), timeout=20)
        return answer.ok

    eventually("the centre cancels", cancelled)
    eventually("the agent hears", lambda: [v for v in online.visits() if v["id"] == visit][0]["status"] == "cancelled")
    # What was recorded arrives all the same, and the cancellation stays.
    eventually("arrived", lambda: all(
        d["state"] == "received" for r in online.recordings() for d in r["documents"]) and online.server_files(), seconds=30)
    assert online.centre.task(visit)["status"] == "cancelled"


class Rewritten:
    """The server as another one would be: each worklist through `change(resource)` on its way."""

    def __init__(self, bench, **settings):
        self.change, self.looks = None, 0
        bench.make_server()
        bench.start_server()
        bench.proxy = Hostile(bench, self.act)
        bench.configure(server=f"https://localhost:{bench.proxy.port}", worklist_interval="0.5", **settings)
        bench.start_agent()
        bench.wait_for_visits()
        bench.centre = Centre(bench)
        self.bench = bench

    def act(self, x):
        if not (self.change and x.method == "GET" and x.path == "/fhir/Task"):
            return False
        status, headers, body = x.forward()
        bundle = json.loads(body)
        for entry in bundle.get("entry", []):
            self.change(entry["resource"])
        x.answer(status, headers, json.dumps(bundle).encode())
        self.looks += 1
        return True

    def whole(self, change):
        """From a start on, whose first look is a whole one."""
        self.bench.agent.stop()
        self.change = change
        self.bench.start_agent()

    def visit(self, id):
        return next(v for v in self.bench.visits() if v["id"] == id)


@pytest.mark.parametrize("way", ["revoked order", "restored server", "no versions", "failed"])
def test_a_visit_that_ends_without_a_newer_task(bench, way):
    server = Rewritten(bench)
    visit = bench.visits()[0]["id"]
    order = bench.centre.task(visit)["focus"]["reference"].split("/")[-1]

    def unversioned(resource):
        if way == "no versions":
            resource.get("meta", {}).pop("versionId", None)

    def change(resource):
        unversioned(resource)
        if way == "revoked order":
            if (resource["resourceType"], resource["id"]) == ("ServiceRequest", order):
                resource["status"] = "revoked"
        elif (resource["resourceType"], resource["id"]) == ("Task", visit):
            resource["status"] = "failed" if way == "failed" else "cancelled"
            if way == "restored server":
                resource["meta"]["versionId"] = "0"

    server.whole(unversioned)
    eventually("as it is", lambda: server.looks > 0)
    assert server.visit(visit)["status"] == "planned"
    server.whole(change)
    eventually("cancelled", lambda: server.visit(visit)["status"] == "cancelled", seconds=30)
    with pytest.raises(CommandFailed):
        bench.cli("visit", "open", visit)


def test_a_corrected_identity_comes_with_the_same_task(bench):
    server = Rewritten(bench)
    visit = bench.visits()[0]
    patient = bench.centre.task(visit["id"])["for"]["reference"].split("/")[-1]

    def change(resource):
        if (resource["resourceType"], resource["id"]) == ("Patient", patient):
            for name in resource["name"]:
                name["family"] = "CORRIGÉE"

    server.whole(change)
    eventually("corrected", lambda: server.visit(visit["id"])["patient"]["family"] == "CORRIGÉE", seconds=30)


def test_a_cancellation_with_another_patient_is_heard_and_the_recordings_stay_whose_they_are(bench):
    server = Rewritten(bench)
    visit = bench.visits()[0]
    bench.cli("visit", "open", visit["id"])
    bench.cli("import", bench.make_card("--number", "1"))
    bench.cli("visit", "close")
    bench.synced()
    task = bench.centre.task(visit["id"])
    order = task["focus"]["reference"].split("/")[-1]
    other = bench.centre.task(bench.visits()[1]["id"])["for"]
    assert other["reference"] != task["for"]["reference"]
    status = ["ready"]

    def change(resource):
        if (resource["resourceType"], resource["id"]) == ("Task", visit["id"]):
            resource.update({"for": other, "status": status[0]})
            resource["meta"]["versionId"] = "55"
        if (resource["resourceType"], resource["id"]) == ("ServiceRequest", order):
            resource["subject"] = other

    def told(action):
        return len([line for line in bench.cli("audit", "list", "--json") if line["action"] == action])

    server.whole(change)
    looks = eventually("several looks", lambda: server.looks > 3 and server.looks)
    assert server.visit(visit["id"])["patient"] == visit["patient"]
    status[0] = "cancelled"
    eventually("cancelled", lambda: server.visit(visit["id"])["status"] == "cancelled", seconds=30)
    eventually("more looks", lambda: server.looks > looks + 3)
    assert server.visit(visit["id"])["patient"] == visit["patient"]
    # However often it is said.
    assert (told("visit.refuse-patient-change"), told("visit.cancel")) == (1, 1)
    for entry in bench.fhir("DocumentReference")["entry"]:
        assert entry["resource"]["subject"]["reference"] == task["for"]["reference"]


def test_another_team_s_patients_stay_away(bench):
    """A server that ignores `owner=`: what is named as another team's is not taken."""
    server = Rewritten(bench)
    visits = [v["id"] for v in bench.visits()]

    def change(resource):
        if (resource["resourceType"], resource["id"]) == ("Task", visits[0]):
            resource["owner"] = {"reference": "Organization/equipe-11"}

    bench.agent.stop()
    shutil.rmtree(bench.state)
    server.change = change
    bench.start_agent()
    bench.wait_for_visits()
    assert {v["id"] for v in bench.visits()} == set(visits[1:])


@pytest.mark.parametrize("broken", ["Communication", "CarePlan"])
def test_a_search_that_fails_hides_no_opinion(bench, broken):
    bench.make_server()
    bench.start_server()
    asked = []

    def act(x):
        if x.method == "GET" and x.path == f"/fhir/{broken}":
            asked.append(x.path)
            x.answer(500)
            return True
        return False

    proxy = Hostile(bench, act)
    bench.configure(server=f"https://localhost:{proxy.port}", worklist_interval="0.5")
    bench.start_agent()
    bench.wait_for_visits()
    Centre(bench).opinion(bench.visits()[0]["id"])
    [view] = eventually("the opinion is here", lambda: opinions(bench), seconds=30)
    assert view["text"] == SECRET and asked
