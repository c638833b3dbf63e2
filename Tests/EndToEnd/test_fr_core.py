"""What crosses the wire, judged by others: every resource by fhir.resources (true R4), and FR Core's invariants by fhirpathpy with
the R4 model (without the model every rule comes out true)."""

import json
import subprocess
import sys

import pytest
import sticks
from bench import ROOT, eventually
from test_profiles import all_received
from test_sync_down import Centre

sys.path.insert(0, str(ROOT / "Tests" / "Interop"))
import check_fhir  # noqa: E402

fhirpathpy = pytest.importorskip("fhirpathpy")
from fhirpathpy.models import models  # noqa: E402

CORE = "https://hl7.fr/ig/fhir/core"
INS = "'urn:oid:1.2.250.1.213.1.4.8' or system = 'urn:oid:1.2.250.1.213.1.4.9' or system = " \
      "'urn:oid:1.2.250.1.213.1.4.10' or system = 'urn:oid:1.2.250.1.213.1.4.11'"

# From FR Core 2.1's profiles and R4 itself: type, name, rule (FHIRPath, the context is the resource).
RULES = [
    ("Patient", "fr-core-1: a validated identity (v2-0445) has an INS",
     f"extension('{CORE}/StructureDefinition/fr-core-identity-reliability').extension('identityStatus').value"
     f".where(system = '{CORE}/CodeSystem/fr-core-cs-v2-0445' and code = 'VALI').exists() implies "
     f"identifier.where(system = {INS}).exists()"),
    ("Patient", "an INS has its type", f"identifier.where(system = {INS}).all(type.coding.exists(system = '{CORE}/CodeSystem/fr-core-cs-v2-0203'))"),
    ("Encounter", "class and status", "class.exists() and status.exists()"),
    ("Observation", "obs-6: dataAbsentReason only without a value", "dataAbsentReason.empty() or value.empty()"),
    ("Observation", "obs-7: a component doesn't repeat the code with a value",
     "value.empty() or component.code.where(coding.intersect(%resource.code.coding).exists()).empty()"),
    ("Observation", "vital signs are about somebody at some time",
     "category.coding.where(code = 'vital-signs').exists() implies (subject.exists() and code.exists())"),
    ("Observation", "vs-2: a value, components or a reason", "component.exists() or hasMember.exists() or value.exists() or dataAbsentReason.exists()"),
    ("Observation", "quantities are UCUM",
     "value.ofType(Quantity).all(system = 'http://unitsofmeasure.org' and code.exists()) and "
     "component.all(value.ofType(Quantity).all(system = 'http://unitsofmeasure.org' and code.exists()))"),
    ("DocumentReference", "PDSm: an attachment has type and address", "content.all(attachment.contentType.exists() and attachment.url.exists() and attachment.hash.exists())"),
    ("DocumentReference", "about one patient in one encounter", "subject.reference.startsWith('Patient/') and context.encounter.exists()"),
    ("Provenance", "target and agent", "target.exists() and agent.who.exists()"),
    ("Task", "tsk: status and intent", "status.exists() and intent.exists()"),
    ("Communication", "status", "status.exists()"),
    # The draft guide of the télé-expertise, element by element (sync.md 2.4).
    ("ServiceRequest", "télé-expertise: a proposal", "intent = 'proposal'"),
    ("ServiceRequest", "télé-expertise: a state of its life cycle",
     " or ".join(f"status = '{state}'" for state in ("draft", "active", "on-hold", "completed", "revoked", "entered-in-error"))),
    ("ServiceRequest", "télé-expertise: when", "authoredOn.exists()"),
    ("ServiceRequest", "télé-expertise: one requester, a PractitionerRole", "requester.count() = 1 and requester.reference.startsWith('PractitionerRole/')"),
    ("ServiceRequest", "télé-expertise: one patient", "subject.count() = 1 and subject.reference.startsWith('Patient/')"),
    ("PractitionerRole", "télé-expertise: number at the Assurance Maladie", "identifier.value.exists()"),
    ("PractitionerRole", "télé-expertise: whose role, and where", "practitioner.exists() and organization.exists()"),
    ("Practitioner", "télé-expertise: IDNPS", "identifier.where(system = 'urn:oid:1.2.250.1.71.4.2.1').exists()"),
    ("Organization", "télé-expertise: a FINESS for who asks", "id = 'equipe-mobile' or identifier.where(system = 'https://finess.esante.gouv.fr').exists()"),
    ("Patient", "fr-core-patient-ins: the strict traits",
     "gender.exists() and birthDate.exists() and name.where(use = 'official').exists(family.exists() and given.exists() and "
     f"extension('{CORE}/StructureDefinition/fr-core-patient-birth-list-given-name').exists())"
     " and extension('http://hl7.org/fhir/StructureDefinition/patient-birthPlace').value.extension("
     f"'{CORE}/StructureDefinition/fr-core-address-insee-code').exists()"),
    ("DiagnosticReport", "an opinion answers a request about its patient",
     "basedOn.reference.startsWith('ServiceRequest/') and subject.reference.startsWith('Patient/') and (conclusion.exists() or conclusionCode.exists())"),
    ("DiagnosticReport", "an opinion says whose it is and when", "(resultsInterpreter | performer).exists() and issued.exists()"),
    ("Communication", "a reply names its question, its request and its patient",
     "inResponseTo.empty() or (inResponseTo.reference.startsWith('Communication/') and basedOn.exists() and subject.exists() and sent.exists())"),
    ("Encounter", "at home or where the request leads: part of it", "basedOn.reference.startsWith('ServiceRequest/')"),
]


@pytest.fixture
def told(bench, tmp_path):
    """Everything that there can be: a visit with recordings, an opinion, a question and its answer."""
    bench.make_server()
    bench.start_server()
    bench.configure(worklist_interval="0.5")
    bench.start_agent()
    bench.wait_for_visits()
    centre = Centre(bench)
    visit = bench.visits()[0]["id"]
    centre.opinion(visit)
    centre.question(visit)
    bench.cli("visit", "open", visit)
    for number in ("1", "2"):
        bench.cli("import", bench.make_card("--number", number))
    stick = tmp_path / "KEY"
    sticks.write(stick, {"DICOM/SR000001": sticks.report(bench.visits()[0]["patient"], "1.2.3.88")})
    assert len(bench.cli("import", stick, "--json")["imported"]) == 1
    # What is measured becomes an Observation; typed, since that needs no device.
    for block, values in (("bp", {"systolic": "142", "diastolic": "80", "pulse": "71"}), ("weight", {"weight": "72,5"})):
        subprocess.run(["curl", "-sS", "--fail", "--unix-socket", bench.socket, "-H", "Content-Type: application/json", "-d",
                        json.dumps({"block": block, "values": values}), f"http://localhost/api/visits/{visit}/entries"],
                       check=True, capture_output=True)
    bench.cli("visit", "close")
    [question] = eventually("the question came", lambda: [a for a in bench.cli("opinions", "--json") if a["kind"] == "question"])
    bench._run([bench.agent_binary, "reply", question["id"], "--config", bench.config], input="72 kg\n")
    eventually("received", lambda: all_received(bench))
    eventually("measured", lambda: len(bench.fhir("Observation").get("entry", [])) == 4)
    eventually("completed", lambda: bench.fhir(f"Task/{visit}")["status"] == "completed")
    eventually("answered", lambda: len(bench.fhir("Communication")["entry"]) == 2)
    types = ["Patient", "Task", "ServiceRequest", "Encounter", "Device", "Observation", "DocumentReference", "Provenance",
             "DiagnosticReport", "Communication", "Practitioner", "PractitionerRole", "Organization"]
    return {kind: [e["resource"] for e in bench.fhir(f"{kind}?_count=200").get("entry", [])] for kind in types}


def test_every_resource_is_r4_and_keeps_the_rules(told):
    name, construct = check_fhir.model()
    assert name.startswith("R4 4.0"), name
    problems, checked = [], 0
    for kind, resources in told.items():
        for resource in resources:
            checked += 1
            local = f"{kind}/{resource['id']}"
            problems += [f"{local}: lost {where}" for where in check_fhir.lost(resource, construct(kind, resource))]
            for about, rule, path in RULES:
                if about == kind and fhirpathpy.evaluate(resource, path, {"resource": resource}, models["r4"]) not in ([True], []):
                    problems.append(f"{local}: {rule}")
    assert not problems, "\n".join(problems)
    assert {kind for kind, _, _ in RULES} <= {kind for kind in told if told[kind]}, "each rule had something to judge"
    assert checked > 20 and all(told.values()), {k: len(v) for k, v in told.items()}


def test_what_an_algorithm_measured_says_so(told):
    """An echocardiograph's report: its values beside the document, the algorithm's marked as nobody's finding."""
    values = {o["code"]["coding"][0]["code"]: o for o in told["Observation"] if o.get("category", [{}])[0]["coding"][0]["code"] == "imaging"}
    assert set(values) == {"18043-0", "29436-3"}
    fraction, diameter = values["18043-0"], values["29436-3"]
    assert fraction["status"] == diameter["status"] == "preliminary", "nobody verified the report"
    assert fraction["valueQuantity"] == {"value": 57.4, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    assert "AIAST" in [label["code"] for label in fraction["meta"]["security"]]
    [algorithm] = [e for e in fraction["extension"] if e["url"].endswith("/algorithm")]
    parts = {part["url"]: part.get("valueString", part.get("valueBoolean")) for part in algorithm["extension"]}
    assert parts == {"name": "SYNTH-LVEF", "version": "1.2.3", "unverified": True}
    assert fraction["note"][0]["text"] == "Measured by SYNTH-LVEF, version 1.2.3: unverified"
    assert diameter["valueQuantity"]["value"] == 4.91 and "AIAST" not in json.dumps(diameter)
    documents = {f"DocumentReference/{d['id']}" for d in told["DocumentReference"]}
    assert all(o["derivedFrom"][0]["reference"] in documents for o in values.values())


@pytest.mark.parametrize("rule, bad", [
    ("quantities are UCUM", {"component": [{"valueQuantity": {"value": 1, "unit": "mmHg"}}]}),
    ("quantities are UCUM", {"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org"}}),
    ("vs-2: a value, components or a reason", {}),
])
def test_a_broken_observation_is_seen(rule, bad):
    bad = {"resourceType": "Observation", "id": "x", "status": "final", **bad}
    path = next(path for kind, name, path in RULES if name == rule)
    assert fhirpathpy.evaluate(bad, path, {"resource": bad}, models["r4"]) == [False]


def test_a_broken_rule_is_seen():
    """The judge can say no."""
    bad = {"resourceType": "Encounter", "id": "x", "status": "finished"}
    path = next(path for kind, rule, path in RULES if rule == "class and status")
    assert fhirpathpy.evaluate(bad, path, {"resource": bad}, models["r4"]) == [False]
