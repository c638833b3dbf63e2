"""A nurse's day with three patients and nothing but the page: a scanner on a wrong keyboard, a swapped cable, a wrong patient on the
stick, a recorder that is lent and comes back in somebody else's visit, no network, then the centre's answer. Everything that isn't the
page (cables, the server, the centre) is the world around her."""

import datetime

import shutil

import pytest
import sticks
from bench import BIN, Program, eventually
from ports import free_port
from test_page_browser import DESKTOP, Nurse, axe_api, chromium, drawn  # noqa: F401
from test_sync_down import Centre

AZERTY = dict(zip("1234567890", "&é\"'(-è_çà"))


@pytest.fixture
def day(chromium, bench):  # noqa: F811
    port = free_port()
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.name_port("ttySIM1", "contec-8000")
    (bench.directory / "media").mkdir()
    bench.configure(page_port=port, worklist_interval="0.5", media_directory=bench.directory / "media")
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    nurse = Nurse(chromium, bench, port, viewport=DESKTOP)
    yield nurse
    nurse.context.close()
    assert nurse.foreign == []
    unexpected = [text for text in nurse.complaints if not any(status in text for status in ("400", "401", "404", "409")) and "ERR_CONNECTION" not in text]
    assert unexpected == [], unexpected


def accessible(page):
    results = axe_api.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    problems = [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in results.response["violations"]]
    assert problems == [], problems


def device(page, text):
    return page.locator(".device").filter(has_text=text)


def close_visit(page, family, reason="pas le temps, à reprogrammer"):
    page.get_by_role("article", name=family).get_by_role("button", name="Terminer la visite").click()
    page.get_by_role("heading", name="Il manque encore quelque chose").wait_for()
    dialog = page.get_by_role("dialog")
    same = dialog.get_by_label("La même raison")
    if same.count():
        same.select_option(label=reason)
    for field in dialog.locator("input").all():
        if not field.input_value():
            field.fill(reason)
    dialog.get_by_role("button", name="Terminer la visite").click()
    page.get_by_text("Aucune visite ouverte").wait_for()


def fill(page, title, **answers):
    page.get_by_role("button", name=f"Saisir : {title}").click()
    dialog = page.get_by_role("dialog")
    for label, value in answers.items():
        dialog.get_by_label(label, exact=False).first.fill(value)
    dialog.get_by_role("button", name="Garder", exact=True).click()
    return dialog


def test_a_day_with_three_patients(day):
    page, bench = day.page, day.bench
    visits = {visit["patient"]["family"]: visit for visit in bench.visits()}
    day.enter()

    # The scanner thinks that the keyboard is American.
    scanned = "".join(AZERTY[digit] for digit in visits["LEFÈVRE"]["patient"]["ins"])
    page.get_by_label("Chercher un patient").fill(scanned)
    page.keyboard.press("Enter")
    page.get_by_label("Date de naissance que la personne donne").press_sequentially("12041938")
    page.get_by_label("Le nom, les prénoms et le sexe").check()
    page.keyboard.press("Enter")
    day.banner.get_by_text("LEFÈVRE").wait_for()
    assert page.get_by_label("Chercher un patient").input_value() == ""
    plan = page.locator(".plan")
    plan.get_by_text("0 sur 10").wait_for()
    day.shot("30-bilan")

    # A first oximeter, its cable is pulled in the middle; another one takes its place.
    first = bench.plug_oximeter("--serial", "SIM1")
    device(page, "SIM1").get_by_role("button", name="Enregistrer").click()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    page.wait_for_timeout(2500)
    first.kill()
    page.get_by_text("Interrompu. Tout ce qui était reçu est gardé").wait_for()
    (bench.directory / "ttySIM0").unlink(missing_ok=True)
    day.go("Aujourd’hui")
    bench.plug_oximeter("--serial", "SIM2")
    device(page, "SIM2").get_by_role("button", name="Enregistrer").click()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    page.wait_for_timeout(1500)
    page.locator("main").get_by_role("button", name="Terminer").click()
    page.get_by_text("Terminé. Tout est gardé.").wait_for()
    day.go("Aujourd’hui")

    # By hand: unlikely is asked again, wrong is refused, and a slip is withdrawn.
    dialog = fill(page, "Tension artérielle", Systolique="80", Diastolique="142")
    dialog.get_by_role("alert").filter(has_text="n’est pas plus bas").or_(dialog.get_by_role("alert").filter(has_text="n'est pas plus bas")).wait_for()
    day.shot("31-tension-improbable")
    dialog.get_by_label("Systolique").fill("142")
    dialog.get_by_label("Diastolique").fill("80")
    dialog.get_by_role("button", name="Garder", exact=True).click()
    plan.get_by_text("142 / 80 mmHg").wait_for()
    fill(page, "Poids", Poids="725")
    page.get_by_role("dialog").get_by_role("button", name="C’est bien exact").click()
    plan.get_by_text("725 kg").wait_for()
    plan.locator("li").filter(has_text="725 kg").get_by_role("button", name="Corriger").click()
    page.get_by_role("dialog").get_by_role("button", name="Retirer").click()
    plan.get_by_text("725 kg").wait_for(state="detached")
    fill(page, "Poids", Poids="72,5")
    plan.get_by_text("72,5 kg").wait_for()
    page.get_by_role("button", name="Saisir : Dyspnée (NYHA)").click()
    page.get_by_label("III – à un effort léger").check()
    page.get_by_role("dialog").get_by_role("button", name="Garder", exact=True).click()
    plan.get_by_text("III – à un effort léger").wait_for()
    day.shot("32-bilan-rempli")
    close_visit(page, "LEFÈVRE")

    # The second patient: a live ECG. Nobody else's visit opens meanwhile.
    day.open_visit("LE GOFF", "03/11/1951")
    day.banner.get_by_text("LE GOFF").wait_for()
    link = bench.directory / "ttySIM1"
    ecg = Program(bench.directory / "ecg.log", [BIN / "ess-sim", "play", "contec-8000", "--link", link])
    bench.programs.append(ecg)
    device(page, "8000").get_by_role("button", name="Enregistrer").click()
    page.locator("svg.body").wait_for()
    page.wait_for_timeout(9000)
    assert drawn(page) > 3000
    assert page.locator("svg.body .electrode").count() == 10 and page.locator("svg.body .electrode-off").count() == 0
    accessible(page)
    day.shot("33-ecg-en-direct")
    day.go("Aujourd’hui")
    assert "Un appareil enregistre" in page.get_by_role("article", name="BENSAÏD").inner_text()
    page.get_by_label("Chercher un patient").fill(visits["BENSAÏD"]["patient"]["ins"])
    page.keyboard.press("Enter")
    page.locator("#notice.bad").filter(has_text="Un appareil enregistre").wait_for()
    day.go("En direct")
    page.locator("main").get_by_role("button", name="Terminer").click()
    page.get_by_text("Terminé. Tout est gardé.").wait_for()

    # The stick of somebody else.
    bench.cli("import", bench.make_card("--sex", "female", "--age", "30"))
    day.go("Enregistrements")
    page.get_by_role("heading", name="À décider").wait_for()
    day.go("Aujourd’hui")
    page.get_by_role("article", name="LE GOFF").locator(".item.done").filter(has_text="ECG 12 dérivations").wait_for()
    close_visit(page, "LE GOFF")

    # The third gets the recorder for the night.
    day.open_visit("BENSAÏD", "27/02/1966")
    day.banner.get_by_text("BENSAÏD").wait_for()
    device(page, "SIM2").get_by_role("button", name="Prêter à ce patient").click()
    page.get_by_role("dialog").get_by_role("button", name="Prêter", exact=True).click()
    device(page, "SIM2").get_by_text("Prêté à BENSAÏD").wait_for()
    page.get_by_role("button", name="Saisir : Somnolence (Epworth)").click()
    for question in page.get_by_role("dialog").get_by_role("group").all():
        question.get_by_role("radio").nth(2).check()
    accessible(page)
    day.shot("34-epworth")
    page.get_by_role("dialog").get_by_role("button", name="Garder", exact=True).click()
    page.locator(".plan").get_by_text("16").wait_for()
    close_visit(page, "BENSAÏD", "enregistreur laissé, à récupérer")

    # Days later it comes back in another patient's visit: its night is still hers.
    for program in bench.programs:
        if "ttySIM0" in str(program.log) and program.process.poll() is None:
            program.kill()
    (bench.directory / "ttySIM0").unlink(missing_ok=True)
    # In the evening: minutes after the visit before the loan, a clock that can't be asked would leave it to a person.
    start = datetime.datetime.now() + datetime.timedelta(hours=2)
    bench.plug_oximeter("--serial", "SIM2", "--night-seconds", "16000", "--start", start.strftime("%Y-%m-%d %H:%M:%S"))
    page.get_by_role("article", name="LE GOFF").get_by_role("button", name="Rouvrir la visite").click()
    page.get_by_label("Date de naissance que la personne donne").fill("03/11/1951")
    page.get_by_label("Le nom, les prénoms et le sexe").check()
    page.get_by_role("button", name="L’identité est vérifiée").click()
    day.banner.get_by_text("LE GOFF").wait_for()
    device(page, "SIM2").get_by_text("Prêté à BENSAÏD").wait_for()
    day.shot("35-enregistreur-rendu")
    device(page, "SIM2").get_by_role("button", name="Récupérer la mémoire").click()
    page.get_by_text("Téléchargement terminé").wait_for(timeout=60_000)
    device(page, "SIM2").get_by_role("button", name="Il est rendu").click()
    device(page, "SIM2").get_by_text("Prêté à BENSAÏD").wait_for(state="detached")
    night = next(r for r in bench.recordings() if r["kind"] == "stored")
    assert night["visit"] == visits["BENSAÏD"]["id"] and night["binding"] == "loan"
    # What was missing is explained already.
    page.get_by_role("article", name="LE GOFF").get_by_role("button", name="Terminer la visite").click()
    page.get_by_text("Aucune visite ouverte").wait_for()

    # No network all day. Then there is one, and the centre answers.
    day.go("Envois")
    assert page.locator(".group.received li").count() == 0
    page.get_by_text("Hors ligne").first.wait_for()
    day.shot("36-hors-ligne")
    bench.start_server()
    page.get_by_role("button", name="Réessayer maintenant").click()
    bound = [r for r in bench.recordings() if r.get("visit")]
    page.locator(".group.received li").nth(2 * len(bound) - 1).wait_for(timeout=60_000)
    day.shot("37-recus")
    centre = Centre(bench)
    ecg = next(r["id"] for r in bench.recordings() if r["modality"] == "ecg" and r.get("visit"))
    centre.opinion(visits["LE GOFF"]["id"], text="Fibrillation atriale.\nAnticoagulation à discuter avec le médecin traitant.", extension=[{
        "url": "http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo",
        "valueReference": {"reference": f"DocumentReference/{ecg}"}}])
    centre.question(visits["LEFÈVRE"]["id"])
    page.locator("#unseen").filter(has_text="2").wait_for(timeout=30_000)
    page.locator("#nav a[href='#/avis']").click()
    page.get_by_text("Anticoagulation à discuter").wait_for()
    accessible(page)
    day.shot("38-avis")
    page.get_by_label("Votre réponse").fill("72,5 kg ce matin, à jeun")
    page.get_by_role("button", name="Répondre").click()
    page.get_by_text("Reçue par le centre").wait_for()
    page.get_by_role("button", name="J’ai lu").click()
    page.locator("#unseen").wait_for(state="hidden")
    page.get_by_role("link", name="ECG en direct").click()
    page.locator("svg.ecg").wait_for()

    # On her paper she measures; with the keyboard too.
    page.get_by_role("button", name="Mesurer").click()
    before = page.locator(".measured").inner_text()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("before => document.querySelector('.measured').textContent !== before", arg=before)
    box = page.locator("svg.ecg").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 200 + 96, box["y"] + 150 + 38)
    page.mouse.up()
    text = page.locator(".measured").inner_text()
    milliseconds, millivolts = float(text.split()[0]), float(text.split("·")[1].split()[0].replace(",", "."))
    # 96 CSS pixels are an inch: 25.4 mm at 25 mm/s.
    assert abs(milliseconds - 1016) < 15 and abs(millivolts - 1.005) < 0.03, text
    day.shot("39-mesure")

    # What the page showed is what the server has, under the right names.
    eventually("entries are there", lambda: len(bench.fhir("Observation?_count=100").get("entry", [])) >= 3)
    weights = [e["resource"] for e in bench.fhir("Observation?_count=100")["entry"] if e["resource"]["code"]["coding"][0]["code"] == "29463-7"]
    assert [w["valueQuantity"]["value"] for w in weights if w["status"] == "final"] == [72.5]
    assert {w["subject"]["reference"] for w in weights} == {"Patient/patient-demo-1"}
    epworth = [e["resource"] for e in bench.fhir("QuestionnaireResponse?_count=100")["entry"] if e["resource"]["questionnaire"].endswith("/epworth")]
    assert [item["answer"][0]["valueInteger"] for item in epworth[0]["item"] if item["linkId"] == "total"] == [16]
    assert epworth[0]["subject"]["reference"] == "Patient/patient-demo-3"


def test_a_stick_is_pulled_out_in_the_middle(day):
    """What she sees of it: nothing is copied before she says so, how far it is, that it came out too early, and when it may."""
    page, bench = day.page, day.bench
    day.enter()
    day.open_visit("LEFÈVRE", "12/04/1938")
    day.banner.get_by_text("LEFÈVRE").wait_for()
    patient = next(visit["patient"] for visit in bench.visits() if visit["patient"]["family"] == "LEFÈVRE")
    files = {f"DICOM/IM{n:06}": sticks.cine(patient, f"1.2.3.{n}", size=48_000_000, seed=n) for n in range(6)}
    files["DICOMDIR"] = sticks.index(patient)

    def plug():
        sticks.write(bench.directory / "aside", files)
        (bench.directory / "aside").rename(bench.directory / "media" / "ECHO")

    plug()
    card = page.locator(".medium").filter(has_text="ECHO")
    card.get_by_text("Rien n’est encore copié").or_(card.get_by_text("Rien n'est encore copié")).wait_for()
    # An announced file isn't there: said, and nothing is refused.
    card.get_by_text("1 fichier annoncé manque").wait_for()
    assert bench.recordings() == []
    assert page.get_by_text("Chargement…").count() == 0
    accessible(page)
    day.shot("40-cle")
    card.get_by_role("button", name="Copier").click()
    card.get_by_text("laissez la clé").first.wait_for()
    bar = card.get_by_role("progressbar")
    bar.wait_for()
    assert "0 sur" in card.inner_text() or "sur 6" in card.inner_text()
    day.shot("41-copie")
    # Nothing between this and the pull: a quick machine copies the rest in two seconds.
    page.wait_for_function("() => { const bar = document.querySelector('.medium progress'); return bar && bar.value > bar.max / 8; }")
    (bench.directory / "media" / "ECHO").rename(bench.directory / "aside")
    shutil.rmtree(bench.directory / "aside")
    card.get_by_text("a été retirée pendant la copie").wait_for()
    # Nothing on the screen says that it should stay, or that all is well.
    assert card.locator(".must-stay").count() == 1 and "laissez la clé" not in page.locator("body").inner_text()
    assert card.get_by_role("button").count() == 0, "there is nothing to copy from"
    day.shot("42-retiree-trop-tot")
    kept = len([r for r in bench.recordings() if r["state"] == "complete"])
    assert kept < 6

    plug()
    card.get_by_role("button", name="Continuer la copie").or_(card.get_by_role("button", name="Copier")).first.click()
    page.locator(".medium .may-remove").filter(has_text="Tout est copié").wait_for(timeout=60_000)
    assert "laissez la clé" not in page.locator("body").inner_text()
    day.shot("43-cle-finie")
    whole = [r for r in bench.recordings() if r["state"] == "complete" and not r.get("supersededBy")]
    assert len(whole) == 6 and all(r["modality"] == "imaging" and r.get("visit") for r in whole)
    # And the plan knows that it has its examination.
    page.locator(".item.done").filter(has_text="Échocardiographie").wait_for()


def test_a_recorder_is_emptied_from_the_page(day):
    """Offered only when the centre has everything, and only after a word; the page says what was done or why not."""
    page, bench = day.page, day.bench
    day.enter()
    day.open_visit("LEFÈVRE", "12/04/1938")
    day.banner.get_by_text("LEFÈVRE").wait_for()
    bench.plug_oximeter("--serial", "SIM4", "--night-seconds", "600", "--nights", "2")
    device(page, "SIM4").get_by_role("button", name="Effacer la mémoire…").click()
    page.locator("#notice.bad").filter(has_text="Rien n").wait_for()
    assert page.get_by_role("dialog").count() == 0
    day.shot("44-pas-encore-recu")
    device(page, "SIM4").get_by_role("button", name="Récupérer la mémoire").click()
    page.get_by_text("Téléchargement terminé").wait_for(timeout=60_000)
    close_visit(page, "LEFÈVRE")
    bench.start_server()
    eventually("all received", lambda: [r for r in bench.recordings()] and all(
        d["state"] == "received" for r in bench.recordings() for d in r["documents"]) and all(r["documents"] for r in bench.recordings()))
    device(page, "SIM4").get_by_role("button", name="Effacer la mémoire…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("SIM4").wait_for()
    assert ": 2." in dialog.inner_text(), dialog.inner_text()
    accessible(page)
    day.shot("45-effacer")
    # No by itself: Enter on the dialogue's first button leaves everything as it is.
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    assert bench.cli("devices", "erase", "ttySIM0", "--json")["recordings"] == 2
    device(page, "SIM4").get_by_role("button", name="Effacer la mémoire…").click()
    page.get_by_role("dialog").get_by_role("button", name="Effacer", exact=True).click()
    page.locator("#notice").filter(has_text="La mémoire de l’appareil est effacée").wait_for()
    assert bench.cli("devices", "erase", "ttySIM0", "--json")["recordings"] == 0
    assert len(bench.recordings()) == 2


# What the page asks of the devices is answered when `letGo` is called.
HOLD_DEVICES = """() => {
    const real = window.fetch;
    const gate = new Promise((resolve) => { window.letGo = resolve; });
    window.fetch = async (...arguments_) => {
        if (String(arguments_[0]) === "/api/devices") await gate;
        return real(...arguments_);
    };
}"""


@pytest.mark.parametrize("by", ["page", "command"])
def test_a_download_between_two_looks_is_told(day, by):
    """A short memory is read faster than a busy page looks again: its end is told all the same."""
    page, bench = day.page, day.bench
    day.enter()
    day.open_visit("LEFÈVRE", "12/04/1938")
    bench.plug_oximeter("--serial", "SIM5", "--night-seconds", "60")
    device(page, "SIM5").get_by_role("button", name="Récupérer la mémoire").wait_for()
    page.evaluate(HOLD_DEVICES)
    if by == "command":
        bench.cli("download", "ttySIM0")
    else:
        device(page, "SIM5").get_by_role("button", name="Récupérer la mémoire").click()
    eventually("downloaded", lambda: [d for d in bench.cli("devices", "--json") if d.get("session") and not d["session"]["running"]])
    page.evaluate("window.letGo()")
    page.get_by_text("Téléchargement terminé").wait_for(timeout=60_000)


LOSE_ONE = """() => {
    const real = window.fetch;
    window.fetch = async (...arguments_) => {
        const answer = await real(...arguments_);
        if (!String(arguments_[0]).includes("/live/") || !answer.body) return answer;
        const [read, write] = [new TextDecoder(), new TextEncoder()];
        const body = answer.body.pipeThrough(new TransformStream({
            transform(chunk, controller) {
                let text = read.decode(chunk, { stream: true });
                if (window.loseOne && text.includes('"lost":false')) {
                    text = text.replace('"lost":false', '"lost":true');
                    window.loseOne = false;
                }
                controller.enqueue(write.encode(text));
            },
        }));
        return new Response(body, { status: answer.status, headers: answer.headers });
    };
}"""


def test_a_hole_is_said_while_it_can_be_seen(day):
    """The device lost something (written into the stream, as no simulator loses on demand): the page says so at once, and stops saying
    so when data have come without a hole for a while."""
    page, bench = day.page, day.bench
    day.enter()
    day.open_visit("LEFÈVRE", "12/04/1938")
    day.banner.get_by_text("LEFÈVRE").wait_for()
    bench.plug_oximeter("--serial", "SIM1")
    page.evaluate(LOSE_ONE)
    device(page, "SIM1").get_by_role("button", name="Enregistrer").click()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    page.evaluate("() => { window.loseOne = true; }")
    sentence = page.locator("p.gap").filter(has_text="L’appareil n’a pas transmis")
    sentence.wait_for()
    day.shot("46-trou")
    page.wait_for_timeout(5000)
    assert sentence.count() == 1, "it stays long enough to be read"
    sentence.wait_for(state="detached", timeout=12_000)
    assert page.locator(".number.spo2 .value").inner_text().strip() != "—"
    page.locator("main").get_by_role("button", name="Terminer").click()
    page.get_by_text("Terminé. Tout est gardé.").wait_for()
