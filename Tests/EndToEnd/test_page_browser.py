"""A nurse's visit with nothing but the page, in a real headless Chromium; screenshots of every screen are kept in
`.build/screenshots`, to be looked at.

Needs Debian's `chromium` and the packages of requirements-browser.txt; `make test` installs both. Elsewhere it is skipped,
and said so, where they are missing."""

import datetime
import os
import pathlib
import shutil
import time

import nights
import pytest
import sticks
from bench import ROOT, Bench, eventually
from ports import free_port

CHROMIUM = os.environ.get("ESS_CHROMIUM") or shutil.which("chromium")
if os.environ.get("ESS_REQUIRE_BROWSER"):
    assert CHROMIUM, "chromium isn't installed (apt-get install chromium)"
    import axe_playwright_python.sync_playwright as axe_api
    import playwright.sync_api as playwright_api
else:
    playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed (requirements-browser.txt)")
    axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed (requirements-browser.txt)")
    if not CHROMIUM:
        pytest.skip("chromium isn't installed (apt-get install chromium)", allow_module_level=True)

SHOTS = pathlib.Path(os.environ.get("ESS_SCREENSHOTS", ROOT / ".build/screenshots"))
LAPTOP = {"width": 1366, "height": 768}
DESKTOP = {"width": 1920, "height": 1080}


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


class Nurse:
    """A bench with a browser at the page."""

    def __init__(self, browser, bench, port, viewport=LAPTOP):
        self.bench, self.port = bench, port
        self.context = browser.new_context(viewport=viewport, locale="fr-FR", timezone_id="Europe/Paris")
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.foreign = []
        self.page.on("request", lambda request: None if request.url.startswith((self.origin, "blob:", "data:")) else self.foreign.append(request.url))

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def enter(self):
        self.page.goto(self.bench.cli("open", "--print").strip())
        self.page.wait_for_url(f"{self.origin}/")
        self.page.get_by_role("heading", name="Visites du jour").wait_for()

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(150)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def go(self, name):
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("heading", level=1).wait_for()

    def open_visit(self, family, birth_date):
        self.page.get_by_role("article", name=family).get_by_role("button", name="Ouvrir la visite").click()
        self.page.get_by_label("Date de naissance que la personne donne").fill(birth_date)
        self.page.get_by_label("Le nom, les prénoms et le sexe").check()
        self.page.get_by_role("button", name="L’identité est vérifiée").click()

    @property
    def unexpected(self):
        """What the browser complains of, but for refusals that the page has words for."""
        return [text for text in self.complaints if not any(status in text for status in ("400", "401", "404", "409")) and "ERR_CONNECTION" not in text]

    @property
    def banner(self):
        return self.page.get_by_label("Patient de la visite ouverte")


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def nurse(chromium, bench):
    port = free_port()
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure(page_port=port)
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    nurse = Nurse(chromium, bench, port)
    yield nurse
    nurse.context.close()
    assert nurse.foreign == [], "requests that leave the laptop"
    assert nurse.unexpected == [], nurse.unexpected


def test_a_visit_from_opening_to_receipt(nurse):
    page, bench = nurse.page, nurse.bench
    nurse.enter()
    assert "entrer#" not in page.url
    nurse.shot("01-aujourdhui")

    # The identity comes first: a wrong date opens nothing.
    page.get_by_role("article", name="LEFÈVRE").get_by_role("button", name="Ouvrir la visite").click()
    nurse.shot("02-identite")
    page.keyboard.type("13041938")
    page.get_by_label("Le nom, les prénoms et le sexe").check()
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="date de naissance").wait_for()
    nurse.shot("03-mauvaise-date")
    assert bench.cli("status", "--json").get("openVisit") is None
    field = page.get_by_label("Date de naissance que la personne donne")
    field.fill("")
    field.press_sequentially("12041938")
    assert field.input_value() == "12/04/1938"
    page.keyboard.press("Enter")
    nurse.banner.get_by_text("LEFÈVRE").wait_for()
    assert "12/04/1938" in nurse.banner.inner_text()

    # Another visit is refused, with the reason.
    other = page.get_by_role("article", name="LE GOFF")
    assert other.get_by_role("button").is_disabled() and "Terminez d’abord la visite" in other.inner_text()

    bench.plug_oximeter("--night-seconds", "7200", "--perfusion")
    page.get_by_role("button", name="Enregistrer").wait_for()
    nurse.shot("04-appareil-pret")
    page.get_by_role("button", name="Enregistrer").click()
    page.get_by_role("heading", name="En direct").wait_for()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    page.wait_for_timeout(6000)
    nurse.shot("05-en-direct")
    assert nurse.banner.get_by_text("LEFÈVRE").is_visible()
    assert drawn(page) > 200, "the plethysmogram is drawn"

    # While it records, no other visit can be opened.
    nurse.go("Aujourd’hui")
    assert "Un appareil enregistre" in page.get_by_role("article", name="LE GOFF").inner_text()
    nurse.shot("06-enregistre-partout")
    for screen in ("Enregistrements", "Envois"):
        nurse.go(screen)
        assert nurse.banner.get_by_text("LEFÈVRE").is_visible()
        assert page.locator("#running").get_by_role("button", name="Terminer").is_visible()
    nurse.go("En direct")
    page.locator("main").get_by_role("button", name="Terminer").click()
    page.get_by_text("Terminé. Tout est gardé.").wait_for()
    nurse.shot("07-termine")

    nurse.go("Aujourd’hui")
    page.get_by_role("button", name="Récupérer la mémoire").click()
    page.get_by_text("Téléchargement terminé").wait_for(timeout=60_000)
    nurse.go("Enregistrements")
    page.get_by_text("Oxymétrie de la mémoire").wait_for()
    nurse.shot("08-enregistrements")
    page.get_by_role("row").filter(has_text="de la mémoire").get_by_role("link").click()
    page.locator("svg.trend").first.wait_for()
    nurse.shot("09-nuit")

    nurse.go("Envois")
    assert page.get_by_text("reçu par le centre").count() == 0
    nurse.shot("10-envois-hors-ligne")
    nurse.go("Aujourd’hui")
    page.get_by_role("article", name="LEFÈVRE").get_by_role("button", name="Terminer la visite").click()
    reasons = page.get_by_role("dialog").locator("input")
    reasons.first.wait_for()
    nurse.shot("10b-il-manque")
    for index in range(reasons.count()):
        reasons.nth(index).fill("pas le temps, à reprogrammer")
    page.get_by_role("dialog").get_by_role("button", name="Terminer la visite").click()
    page.get_by_text("Aucune visite ouverte").wait_for()

    bench.start_server()
    nurse.go("Envois")
    page.get_by_role("button", name="Réessayer maintenant").click()
    eventually("all received", lambda: all(d["state"] == "received" for r in bench.recordings() for d in r["documents"]) and bench.recordings()[0]["documents"])
    page.locator(".group.received li").nth(3).wait_for()
    nurse.shot("11-recus")
    assert len(bench.synced()) == 4


def drawn(page):
    """Pixels of the moving trace that are not transparent."""
    return page.evaluate("""() => {
        const canvas = document.querySelectorAll(".sweep canvas")[1];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let index = 3; index < data.length; index += 4) count += data[index] > 0;
        return count;
    }""")


def test_an_ecg_on_paper_and_a_file_of_somebody_else(nurse):
    page, bench = nurse.page, nurse.bench
    visits = bench.visits()
    nurse.enter()
    nurse.open_visit("LE GOFF", "03/11/1951")
    nurse.banner.get_by_text("LE GOFF").wait_for()
    bench.cli("import", bench.make_card("--sex", "male", "--age", "75"))
    nurse.go("Enregistrements")
    page.get_by_role("row").filter(has_text="ECG d’un fichier").get_by_role("link").click()
    page.locator("svg.ecg").wait_for()
    assert page.locator("svg.ecg path.trace").count() == 4 + 13
    for lead in ("DI", "DII", "DIII", "aVR", "aVL", "aVF", "V1", "V6"):
        assert page.locator("svg.ecg text.lead").filter(has_text=lead).count() >= 1
    nurse.shot("12-ecg")
    page.pdf(path=SHOTS / "12-ecg.pdf", prefer_css_page_size=True)

    # A card that says somebody else: a woman of 30.
    bench.cli("import", bench.make_card("--sex", "female", "--age", "30", "--number", "77", "--start", "2026-11-22 11:00:00"))
    nurse.go("Enregistrements")
    page.get_by_role("heading", name="À décider").wait_for()
    nurse.shot("13-a-decider")
    page.locator(".attention").get_by_role("link").click()
    page.get_by_role("heading", name="À qui est cet enregistrement").wait_for()
    text = page.locator(".sides").inner_text()
    assert "Dans le fichier" in text and "Femme" in text and "LE GOFF" in text and "différent" in text
    nurse.shot("14-decision")
    confirm = page.locator(".decision form button")
    assert confirm.is_disabled()
    page.get_by_label("Visite à choisir").select_option(visits[2]["id"])
    confirm.click()
    page.get_by_role("alert").filter(has_text="pourquoi").wait_for()
    page.get_by_label("Pourquoi").fill("la carte était celle de la visite suivante")
    confirm.click()
    page.get_by_text("Enregistrement attribué à BENSAÏD").wait_for()
    held = [r for r in bench.recordings() if r["start"].startswith("2026-11-22 11")][0]
    assert held["visit"] == visits[2]["id"] and held["binding"] == "decision"


def test_an_ecg_whose_steps_nobody_can_tell_in_millivolts_has_no_scale(nurse):
    page, bench = nurse.page, nurse.bench
    bench.cli("visit", "open", bench.visits()[0]["id"])
    found = bench.cli("import", ROOT / "fixtures/easy-ecg-files/card", "--json")["imported"]
    nurse.enter()
    page.goto(f"{nurse.origin}/#/enregistrements/{found[0]}")
    page.locator("svg.ecg").wait_for()
    footer = page.locator("svg.ecg text.footer").inner_html()
    assert "amplitude non étalonnée" in footer and "mm/mV" not in footer
    assert page.get_by_role("button", name="Mesurer").is_disabled()
    # One lead, its rhythm strip, and no mark of a millivolt; all of it on the paper.
    traces = page.locator("svg.ecg path.trace")
    assert 1 <= traces.count() <= 2
    for box, sheet in [(traces.nth(n).bounding_box(), page.locator("svg.ecg").bounding_box()) for n in range(traces.count())]:
        assert sheet["y"] <= box["y"] and box["y"] + box["height"] <= sheet["y"] + sheet["height"] and box["height"] > 20
    nurse.shot("17-sans-echelle")


def test_one_word_about_a_machine_decides_all_of_its_nights(nurse, tmp_path):
    page, bench = nurse.page, nurse.bench
    visits = bench.visits()
    for day, visit in enumerate(visits[:2]):
        bench.cli("visit", "open", visit["id"])
        evening = datetime.datetime(2026, 3, 10 + day, 22, 50, 58)
        sessions = [evening + datetime.timedelta(hours=hour) for hour in (0, 3, 6)]
        card = nights.card(
            {path: bytes for start in sessions for path, bytes in nights.session(f"202603{10 + day}", start).items()}, evening, [0])
        sticks.write(tmp_path / f"CARD{day}", card)
        bench.cli("import", tmp_path / f"CARD{day}")
        bench.cli("visit", "close")
    nurse.enter()
    nurse.go("Enregistrements")
    waiting = page.locator("article.attention").filter(has_text="les nuits précédentes de cet appareil sont d’un autre patient")
    waiting.nth(2).wait_for()
    assert waiting.count() == 3
    waiting.first.get_by_role("link").click()
    page.get_by_role("heading", name="À qui est cet enregistrement").wait_for()
    # Why it is asked, and not that no visit was open.
    assert "les nuits précédentes" in page.locator(".decision").inner_text()
    assert "Aucune visite" not in page.locator(".decision").inner_text()
    # And what the machine noted of the night.
    page.get_by_text("Noté par l’appareil").first.wait_for()
    page.get_by_text("Signaux").scroll_into_view_if_needed()
    nurse.shot("15-nuit")
    page.get_by_label("Visite à choisir").select_option(visits[1]["id"])
    page.get_by_label("Pourquoi").fill("appareil cédé")
    page.get_by_label("Décider de même pour 2 autre(s) enregistrement(s)").check()
    nurse.shot("15-decision-appareil")
    page.locator(".decision form button").click()
    page.get_by_text("3 enregistrements attribués à").wait_for()
    found = [(r["visit"], r["binding"]) for r in bench.recordings() if r["modality"] == "sleep"]
    assert sorted(found) == sorted([(visits[0]["id"], "openVisit")] * 3 + [(visits[1]["id"], "decision")] * 3)


def test_without_a_visit_without_a_clock_and_a_pulled_cable(nurse):
    page, bench = nurse.page, nurse.bench
    nurse.enter()
    sim = bench.plug_oximeter("--night-seconds", "300", "--faults", "no-clock")
    page.get_by_role("button", name="Récupérer la mémoire").click()
    page.get_by_role("heading", name="Enregistrer sans visite ouverte").wait_for()
    nurse.shot("15-sans-visite")
    page.get_by_role("button", name="Enregistrer quand même").click()
    page.get_by_text("Téléchargement terminé").wait_for(timeout=60_000)
    nurse.go("Enregistrements")
    page.locator(".attention").get_by_role("link").click()
    page.get_by_label("Date du début").fill("31/02/2026")
    page.get_by_label("Heure du début").fill("22:45")
    page.get_by_role("button", name="Garder cette heure").click()
    page.locator("#notice.bad").wait_for()
    page.get_by_label("Date du début").fill("21/11/2026")
    nurse.shot("16-sans-horloge")
    page.get_by_role("button", name="Garder cette heure").click()
    page.get_by_text("Heure gardée").wait_for()
    assert bench.recordings()[0]["startSource"] == "person"

    nurse.go("Aujourd’hui")
    nurse.open_visit("LEFÈVRE", "12/04/1938")
    nurse.banner.get_by_text("LEFÈVRE").wait_for()
    page.get_by_role("button", name="Enregistrer").click()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    page.wait_for_timeout(2500)
    sim.kill()
    page.locator("#notice.bad").wait_for()
    assert "débranché" in page.locator("#notice").inner_text() or "arrêtée" in page.locator("#notice").inner_text()
    page.get_by_text("Interrompu. Tout ce qui était reçu est gardé").wait_for()
    nurse.shot("17-cable")

    # The agent goes away, and comes back as a stranger: the page says so, and shows nobody's data.
    bench.agent.kill()
    page.get_by_text("L’agent ne répond plus").wait_for()
    nurse.shot("18-agent-absent")
    bench.start_agent()
    page.get_by_text("La page n’est plus ouverte pour vous").wait_for()
    assert "LEFÈVRE" not in page.locator("body").inner_text()
    nurse.shot("19-page-fermee")


def test_with_the_keyboard_alone(nurse):
    """Tab and Enter reach everything that a visit needs, and the focus can be seen."""
    page, bench = nurse.page, nurse.bench
    nurse.enter()

    def tab_to(name, limit=60):
        for _ in range(limit):
            page.keyboard.press("Tab")
            text = page.evaluate("() => document.activeElement.textContent.trim() || document.activeElement.id")
            if name in text:
                width = page.evaluate("() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
                assert width >= 3, f"no visible focus on {text}"
                return
        raise AssertionError(f"{name} isn't reached by Tab")

    # A scanner types the INS and Enter.
    ins = bench.visits()[0]["patient"]["ins"]
    page.get_by_label("Chercher un patient").focus()
    page.keyboard.type(ins)
    page.keyboard.press("Enter")
    page.keyboard.type("12041938")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    nurse.banner.get_by_text("LEFÈVRE").wait_for()
    page.get_by_label("Chercher un patient").fill("")
    bench.plug_oximeter()
    page.get_by_role("button", name="Enregistrer").wait_for()
    tab_to("Enregistrer")
    while page.evaluate("() => document.activeElement.tagName") != "BUTTON":
        tab_to("Enregistrer")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="En direct").wait_for()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    tab_to("Terminer")
    page.keyboard.press("Enter")
    page.get_by_text("Terminé. Tout est gardé.").wait_for()


@pytest.mark.parametrize("viewport, name", [(LAPTOP, "1366"), (DESKTOP, "1920"), ({"width": 683, "height": 384}, "zoom-200")])
def test_accessible_at_every_size(nurse, chromium, viewport, name):
    page, bench = nurse.page, nurse.bench
    page.set_viewport_size(viewport)
    nurse.enter()
    nurse.open_visit("LE GOFF", "03/11/1951")
    nurse.banner.get_by_text("LE GOFF").wait_for()
    bench.cli("import", bench.make_card("--sex", "male", "--age", "75"))
    bench.cli("import", bench.make_card("--sex", "female", "--age", "30", "--number", "77", "--start", "2026-11-22 11:00:00"))
    bench.plug_oximeter()
    page.get_by_role("button", name="Enregistrer").click()
    page.locator(".number.spo2 .value").filter(has_text="9").wait_for()
    recordings = bench.recordings()
    ecg = next(r["id"] for r in recordings if r.get("visit") and r["modality"] == "ecg")
    held = next(r["id"] for r in recordings if not r.get("visit"))
    axe = axe_api.Axe()
    for hash in ("direct", "aujourdhui", "enregistrements", f"enregistrements/{ecg}", f"enregistrements/{held}", "envois"):
        page.evaluate("hash => { location.hash = hash; }", f"#/{hash}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(900)
        results = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        problems = [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in results.response["violations"]]
        assert problems == [], (hash, problems)
        # Nothing is cut off sideways: at 200 % zoom a page scrolls in one direction only.
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth + 1"), hash
        small = page.evaluate("""() => [...document.querySelectorAll("button, .button, nav a, select, input:not([type=checkbox])")]
            .filter((node) => node.offsetParent && (node.getBoundingClientRect().height < 44 || node.getBoundingClientRect().width < 44))
            .map((node) => node.outerHTML.slice(0, 100))""")
        assert small == [], (hash, small)
        # The patient stays in sight however far one scrolls.
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        box = nurse.banner.get_by_text("LE GOFF").bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= viewport["height"], (hash, box)
        nurse.shot(f"20-{name}-{hash.split('/')[0]}{'-detail' if hash.endswith(ecg) else '-decision' if hash.endswith(held) else ''}")
    assert page.evaluate("() => document.documentElement.lang") == "fr"


def test_twelve_leads_without_stutter_and_a_gap_that_is_hatched(nurse):
    """The drawing alone, with twelve leads at 1,000/s of its own making: no device of that kind is simulated yet."""
    page = nurse.page
    nurse.enter()
    # The page's module with a feed of its own, on a screen that is otherwise empty.
    result = page.evaluate("""async () => {
        const { Sweep, LEADS } = await import("/assets/ecg.js");
        const host = document.createElement("div");
        host.className = "sweep";
        document.getElementById("content").prepend(host);
        const channels = Object.keys(LEADS).map((signal) => ({ signal, name: signal, unit: "uV", rate: 1000, scale: 2.5, minimum: -20000, maximum: 20000 }));
        const gaps = [];
        const sweep = new Sweep(host, channels, (kind) => gaps.push(kind));
        window.sweep = sweep;
        const beat = (t) => { const p = t % 0.8; return 120 * Math.exp(-(((p - 0.15) / 0.025) ** 2)) + 1100 * Math.exp(-(((p - 0.3) / 0.012) ** 2)) - 250 * Math.exp(-(((p - 0.33) / 0.012) ** 2)) + 280 * Math.exp(-(((p - 0.52) / 0.05) ** 2)); };
        let sent = 0;
        const step = 50;
        await new Promise((done) => {
            const timer = setInterval(() => {
                // 50 ms late blocks are sent together, as a busy network stack would.
                while (sent < performance.now() - begun) {
                    const values = channels.map((_, lead) => Float32Array.from({ length: step }, (_, i) => beat((sent + i) / 1000) * (lead === 3 ? -0.6 : 0.4 + lead / 12)));
                    if (sent < 6000 || sent >= 6600) sweep.push(channels.map(() => sent), values, false);
                    sent += step;
                }
                if (sent >= 9000) { clearInterval(timer); done(); }
            }, 50);
            const begun = performance.now();
        });
        await new Promise((wake) => setTimeout(wake, 800));
        const frames = sweep.frames.slice(5).sort((a, b) => a - b);
        const costs = sweep.costs.slice(5).sort((a, b) => a - b);
        return { gaps, frames: frames.length, p50: frames[frames.length >> 1] * 1000, p99: frames[Math.floor(frames.length * 0.99)] * 1000, worst: frames.at(-1) * 1000, cost50: costs[costs.length >> 1], cost99: costs[Math.floor(costs.length * 0.99)] };
    }""")
    nurse.shot("21-douze-derivations")
    print("frame times, ms:", result)
    assert result["gaps"] == ["missed"]
    assert drawn(page) > 5000
    assert result["frames"] > 200, result
