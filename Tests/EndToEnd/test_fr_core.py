"""What crosses the wire, judged by others: every resource by fhir.resources (true R4), and FR Core's invariants by fhirpathpy with
the R4 model (without the model every rule comes out true)."""

import sys

import pytest
from bench import ROOT, eventually
from test_profiles import all_received, record
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
     "(value | component.value).ofType(Quantity).where(system.exists()).all(system = 'http://unitsofmeasure.org' and code.exists())"),
    ("DocumentReference", "PDSm: an attachment has type and address", "content.all(attachment.contentType.exists() and attachment.url.exists() and attachment.hash.exists())"),
    ("DocumentReference", "about one patient in one encounter", "subject.reference.startsWith('Patient/') and context.encounter.exists()"),
    ("Provenance", "target and agent", "target.exists() and agent.who.exists()"),
    ("Task", "tsk: status and intent", "status.exists() and intent.exists()"),
    ("Communication", "status", "status.exists()"),
    ("ServiceRequest", "a request of the télé-expertise: who, for whom", "intent.exists() and subject.exists() and status.exists()"),
]


@pytest.fixture
def told(bench):
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
    record(bench, numbers=("1", "2"))
    [question] = eventually("the question came", lambda: [a for a in bench.cli("opinions", "--json") if a["kind"] == "question"])
    bench._run([bench.agent_binary, "reply", question["id"], "--config", bench.config], input="72 kg\n")
    eventually("received", lambda: all_received(bench))
    eventually("completed", lambda: bench.fhir(f"Task/{visit}")["status"] == "completed")
    eventually("answered", lambda: len(bench.fhir("Communication")["entry"]) == 2)
    types = ["Patient", "Task", "ServiceRequest", "Encounter", "Device", "Observation", "DocumentReference", "Provenance",
             "DiagnosticReport", "Communication"]
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
    assert checked > 20 and all(told[kind] for kind in told if kind != "Observation"), {k: len(v) for k, v in told.items()}


def test_a_broken_rule_is_seen():
    """The judge can say no."""
    bad = {"resourceType": "Encounter", "id": "x", "status": "finished"}
    [(_, _, path)] = [rule for rule in RULES if rule[0] == "Encounter"]
    assert fhirpathpy.evaluate(bad, path, {"resource": bad}, models["r4"]) == [False]
