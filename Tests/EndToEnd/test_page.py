"""The page's door, from outside: who gets in, who doesn't; and that every text of the page is there."""

import os
import re
import shutil
import socket
import subprocess

import pytest
import requests
from bench import BIN, ROOT, Bench, CommandFailed, eventually
from ports import free_port

ASSETS = ROOT / "Sources/Web/assets"


class Page:
    """A browser's side of the door, without a browser."""

    def __init__(self, bench, port):
        self.bench = bench
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.trust_env = False

    def token(self):
        url = eventually("a way in", lambda: self.bench.cli("open", "--print")).strip()
        assert url.startswith(f"{self.origin}/entrer#")
        return url.split("#")[1]

    def post(self, path, json=None, headers=None, cookies=True):
        client = self.session if cookies else requests
        return client.post(f"{self.origin}{path}", json=json or {}, headers=headers or {}, timeout=20)

    def get(self, path, headers=None, cookies=True):
        client = self.session if cookies else requests
        return client.get(f"{self.origin}{path}", headers=headers or {}, timeout=20)

    def enter(self):
        answer = self.post("/entrer", {"token": self.token()})
        assert answer.status_code == 200, answer.text
        self.headers = {"X-ESS-Page": answer.json()["page"]}
        return answer


def prepare(bench, **settings):
    port = free_port()
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure(page_port=port, **settings)
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    return port


@pytest.fixture(scope="module")
def door():
    """One laptop for all questions about who gets in."""
    bench = Bench()
    yield bench, prepare(bench)
    bench.close()


@pytest.fixture
def page(door):
    """A browser that nobody knows yet."""
    return Page(*door)


@pytest.fixture
def own(bench):
    """A laptop of its own, for what leaves something behind."""
    return Page(bench, prepare(bench))


def test_the_way_in_works_once(page):
    assert page.get("/api/status").status_code == 401
    token = page.token()
    answer = page.post("/entrer", {"token": token})
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Expires" not in cookie
    assert token not in answer.text and cookie.split("=")[1].split(";")[0] not in answer.text
    header = {"X-ESS-Page": answer.json()["page"]}
    assert page.get("/api/status", header).status_code == 200
    # Replayed, by the same browser or another one.
    assert page.post("/entrer", {"token": token}).status_code == 401
    assert page.post("/entrer", {"token": token}, cookies=False).status_code == 401
    assert page.post("/entrer", {"token": "0" * 64}, cookies=False).status_code == 401
    assert page.post("/entrer", {}).status_code == 400
    # Leaving ends the session at the daemon, not only in the browser.
    stolen = page.session.cookies.get_dict()
    assert page.post("/api/page/leave", headers=header).status_code == 200
    again = requests.get(f"{page.origin}/api/status", headers=header, cookies=stolen, timeout=20)
    assert again.status_code == 401


def test_cookie_and_header_only_together(page):
    page.enter()
    for path in ("/api/visits", "/api/status", "/api/live/ttySIM0"):
        # Another program's page on this laptop, which was sent the cookie: cookies don't know ports.
        assert page.get(path).status_code == 403
        assert page.get(path, {"X-ESS-Page": "0" * 64}).status_code == 403
        # Another local account, which has neither.
        assert page.get(path, cookies=False).status_code == 401
        assert page.get(path, page.headers, cookies=False).status_code == 401
    visit = page.get("/api/visits", page.headers).json()[0]["id"]
    assert page.post(f"/api/visits/{visit}/open").status_code == 403
    assert page.post(f"/api/visits/{visit}/open", cookies=False).status_code == 401
    assert page.bench.cli("status", "--json").get("openVisit") is None


@pytest.mark.parametrize("host", [
    "evil.example", "127.evil.example", "127.0.0.1.evil.example:{port}", "127.0.0.1", "127.0.0.1:{other}", "localhost",
    "localhost.:{port}", "[::1]:{port}", "0.0.0.0:{port}", "127.1:{port}", "LOCALHOST.evil:{port}", "",
])
def test_other_names_of_this_machine_are_refused(page, host):
    page.enter()
    host = host.format(port=page.port, other=page.port + 1)
    for path in ("/", "/entrer", "/assets/app.js", "/api/visits", "/nowhere"):
        answer = page.get(path, {**page.headers, "Host": host})
        assert answer.status_code in (400, 403) and "LEF" not in answer.text, (host, path)


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://127.0.0.1:{port}"}, {"Origin": "http://localhost:{port}"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
])
def test_other_pages_are_refused(page, headers):
    token = page.token()
    page.enter()
    headers = {name: value.format(port=page.port) for name, value in headers.items()}
    assert page.get("/api/visits", {**page.headers, **headers}).status_code == 403
    assert page.get("/assets/app.js", headers).status_code == 403
    answer = page.post("/entrer", {"token": token}, headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    # What was refused at the door did not use the way in up.
    assert page.post("/entrer", {"token": token}, cookies=False).status_code == 200


def test_our_own_page_and_the_private_file_are_let_in(page):
    page.enter()
    own = {"Origin": page.origin, "Sec-Fetch-Site": "same-origin"}
    assert page.get("/api/visits", {**page.headers, **own}).status_code == 200
    assert page.get("/", {"Sec-Fetch-Site": "none"}).status_code == 200
    # `ess-agent open` starts from a file: a navigation from elsewhere, to the entrance only.
    away = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert page.get("/entrer", away).status_code == 200
    assert page.get("/", away).status_code == 403
    assert page.get("/entrer", {**away, "Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_headers_of_every_answer(page):
    page.enter()
    for path, headers in (("/", {}), ("/assets/style.css", {}), ("/api/visits", page.headers), ("/nowhere", {}),
                          ("/api/nowhere", page.headers), ("/api/visits", {"Host": "evil.example"})):
        answer = page.get(path, headers)
        assert answer.headers["Cache-Control"] == "no-store", path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    # What was asked for isn't said again.
    assert "<script>" not in page.get("/api/recordings/%3Cscript%3E", page.headers).text


def test_page_before_entering_knows_nothing(page):
    answer = page.get("/", cookies=False)
    assert answer.status_code == 200 and "entrer.js" in answer.text and "app.js" not in answer.text
    assert page.post("/api/page/token", {"by": "x"}, cookies=False).status_code in (401, 404)
    page.enter()
    # The page can't make itself a second way in.
    assert page.post("/api/page/token", {"by": "x"}, page.headers).status_code == 404


def test_identity_is_checked_before_a_visit_opens(own):
    own.enter()
    visit = own.get("/api/visits", own.headers).json()[0]
    path = f"/api/visits/{visit['id']}/open"
    birth = visit["patient"]["birthDate"]
    for body, key in [({}, "identity-not-checked"), ({"check": {"traitsConfirmed": True}}, "identity-not-checked"),
                      ({"check": {"traitsConfirmed": False, "birthDate": birth}}, "identity-not-checked"),
                      ({"check": {"traitsConfirmed": True, "birthDate": "1950-01-01"}}, "identity-mismatch")]:
        answer = own.post(path, body, own.headers)
        assert answer.status_code == 409 and answer.json()["key"] == key and birth not in answer.text
    assert own.bench.cli("status", "--json").get("openVisit") is None
    assert own.post(path, {"check": {"traitsConfirmed": True, "birthDate": birth}, "by": "somebody-else"}, own.headers).status_code == 200
    assert own.bench.cli("status", "--json")["openVisit"] == visit["id"]


def test_a_live_session_is_streamed_and_the_trace_is_there(own):
    own.enter()
    own.bench.plug_oximeter()
    own.bench.wait_for_device()
    assert own.get("/api/live/ttySIM0", own.headers).status_code == 409
    assert own.post("/api/devices/ttySIM0/start", {}, own.headers).status_code == 200
    events = []
    with own.session.get(f"{own.origin}/api/live/ttySIM0", headers=own.headers, stream=True, timeout=20) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith(b"event: "):
                events.append(line[7:].decode())
                if events.count("block") == 3:
                    own.post("/api/devices/ttySIM0/stop", {}, own.headers)
    assert events[0] == "begin" and events[-1] == "end" and events.count("block") >= 3
    [recording] = own.get("/api/recordings", own.headers).json()
    trace = own.get(f"/api/recordings/{recording['id']}/trace?seconds=2", own.headers).json()
    assert trace["seconds"] == 2 and [c["signal"] for c in trace["channels"]][:2] == ["plethysmogram", "spo2"]
    assert own.get(f"/api/recordings/{recording['id']}/trace?columns=5000", own.headers).status_code == 400
    assert own.get(f"/api/recordings/{recording['id']}/trace?from=x", own.headers).status_code == 400


def test_the_agent_ends_in_time_with_a_screen_that_follows(own):
    own.enter()
    own.bench.plug_oximeter()
    own.bench.wait_for_device()
    own.post("/api/devices/ttySIM0/start", {}, own.headers)
    with own.session.get(f"{own.origin}/api/live/ttySIM0", headers=own.headers, stream=True, timeout=20) as stream:
        next(stream.iter_lines())
        assert own.bench.agent.stop(seconds=8) == 0


def test_a_taken_port_never_stops_the_agent(bench):
    bench.make_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bench.configure(page_port=taken.getsockname()[1])
        bench.start_agent()
        # Whoever holds the port is not given a token either.
        with pytest.raises(CommandFailed) as refused:
            bench.cli("open", "--print")
        assert "pas disponible" in refused.value.error
        assert bench.cli("status", "--json")


def test_no_page_when_switched_off(bench):
    bench.make_server()
    bench.configure(page_port=0)
    bench.start_agent()
    with pytest.raises(CommandFailed):
        bench.cli("open", "--print")
    bench.configure(page_port=80)
    wrong = subprocess.run([BIN / "ess-agent", "serve", "--config", bench.config], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 78 and "page-port" in wrong.stderr


def test_the_browser_gets_a_private_file_and_no_argument_holds_the_token(page):
    browser = page.bench.directory / "bin"
    browser.mkdir()
    script = browser / "xdg-open"
    script.write_text(f'#!/bin/sh\ncp "$1" {page.bench.directory}/seen.html\nstat -c %a "$1" > {page.bench.directory}/mode\n')
    script.chmod(0o755)
    program = subprocess.Popen([BIN / "ess-agent", "open", "--config", page.bench.config],
                               env={"PATH": f"{browser}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(page.bench.directory)})
    try:
        seen = page.bench.directory / "seen.html"
        eventually("the browser was started", lambda: (page.bench.directory / "mode").exists() and seen.exists() and "entrer#" in seen.read_text())
        assert (page.bench.directory / "mode").read_text().strip() == "600"
        token = re.search(r"entrer#(\w+)", seen.read_text()).group(1)
        assert page.post("/entrer", {"token": token}).status_code == 200
    finally:
        program.terminate()
        program.wait()


def test_another_user_of_this_laptop_gets_nothing(page):
    """Every local account can open a TCP connection to the page's port; only the group can ask for a way in."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("being another user needs root and setpriv")
    page.enter()
    # The way there is open: it is the socket and the state directory that keep others out.
    for directory in (page.bench.directory, page.bench.laptop):
        os.chmod(directory, 0o755)
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS", "-m", "10"]

    def ask(*arguments):
        return subprocess.run([*stranger, *arguments], capture_output=True, text=True)

    socket_door = ask("--unix-socket", page.bench.socket, "-X", "POST", "http://localhost/api/page/token")
    assert socket_door.returncode != 0 and "entrer#" not in socket_door.stdout
    for path in ("/api/visits", "/api/status", "/api/opinions"):
        answer = ask("-w", "%{http_code}", f"{page.origin}{path}")
        assert answer.stdout.endswith("401") and "LEF" not in answer.stdout, path
    guess = ask("-w", "%{http_code}", "-H", "Content-Type: application/json", "-d", '{"token":"' + "0" * 64 + '"}', f"{page.origin}/entrer")
    assert guess.stdout.endswith("401")
    # Nor can it read the file that the browser starts from, or the database.
    assert ask(f"file://{page.bench.state}/ess-agent.sqlite").returncode != 0


# The page's files

def test_every_text_is_there_and_used():
    table = set(re.findall(r'^  "([\w.-]+)": "', (ASSETS / "strings.js").read_text(), re.M))
    used, families = set(), set()
    for path in [*ASSETS.glob("*.js"), *ASSETS.glob("*.html")]:
        if path.name == "strings.js":
            continue
        text = path.read_text()
        used |= set(re.findall(r'data-t="([^"]+)"', text))
        families |= set(re.findall(r'`([a-z][\w-]*\.(?:[\w-]+\.)*)\$\{', text))
        used |= {word for word in re.findall(r'"([a-z][\w-]*(?:\.[\w-]+)+|loading|close|cancel|unknown|simulated|title)"', text)}
        for call in re.findall(r'\bt\("([^"]+)"', text):
            assert call in table, f"{path.name}: no text for {call}"
        for call in re.findall(r'data-t="([^"]+)"', text):
            assert call in table, f"{path.name}: no text for {call}"
    unused = {key for key in table if key not in used and not any(key.startswith(family) for family in families)}
    assert not unused, f"texts that nothing uses: {sorted(unused)}"


def test_nothing_of_the_page_comes_from_elsewhere():
    for path in ASSETS.iterdir():
        text = path.read_text().replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text, path.name
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text and "eval(" not in text, path.name
        if path.suffix == ".html":
            assert "<style" not in text and " style=" not in text and not re.search(r"\son\w+=", text), path.name
            assert not re.search(r"<script(?![^>]*src=)", text), path.name


def test_every_file_of_the_page_is_in_the_program(page):
    for path in ASSETS.iterdir():
        answer = page.get(f"/assets/{path.name}", cookies=False)
        assert answer.status_code == 200 and answer.content == path.read_bytes(), path.name
    assert page.get("/assets/../../etc/passwd").status_code == 404
    assert page.get("/assets/%2e%2e%2fapp.js").status_code == 404
