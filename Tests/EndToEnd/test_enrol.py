"""A new laptop gets its certificate with a one-time code, and a new one before the old one ends; the key never leaves."""

import json
import os
import shutil
import subprocess

import pytest
from bench import CommandFailed, eventually
from hostile import Hostile


@pytest.fixture
def region(bench):
    bench.make_server()
    bench.start_server()
    bench.server.kill()
    port_file = bench.directory / "enrolment.port"
    bench.enrol = ("--enrolment-port", "0", "--enrolment-port-file", port_file)
    bench.start_server(options=bench.enrol)
    bench.address = "https://localhost:" + eventually("the other door", lambda: port_file.exists() and port_file.read_text().strip())
    bench.place = bench.directory / "etc"
    return bench


def invite(bench, *options):
    return bench._run([bench.server_binary, "invite", "--directory", bench.server_directory, "--name", "laptop-9", *options]).strip()


def enrol(bench, code, place=None):
    return bench._run([bench.agent_binary, "enrol", bench.address, "--code", code, "--server-ca", bench.laptop / "ca.pem",
                       "--directory", place or bench.place])


def subject(path):
    return subprocess.run(["openssl", "x509", "-in", path, "-noout", "-subject", "-serial"], check=True, capture_output=True, text=True).stdout


def test_a_new_laptop(region):
    bench = region
    code = invite(bench)
    text = enrol(bench, code)
    assert "laptop = laptop-9" in text and f"server = https://localhost:{bench.port}" in text
    assert (bench.place / "client.key").stat().st_mode & 0o777 == 0o600
    assert "laptop-9" in subject(bench.place / "client.pem")
    # A lost answer: the same again, with the same key, is the same laptop. Another key gets nothing.
    key = (bench.place / "client.key").read_bytes()
    enrol(bench, code.lower())
    assert (bench.place / "client.key").read_bytes() == key
    with pytest.raises(CommandFailed) as refused:
        enrol(bench, code, bench.directory / "thief")
    assert refused.value.status == 65 and "code" in str(refused.value)
    # The daemon lives with what was written.
    bench.configure(server_ca=bench.place / "ca.pem", client_certificate=bench.place / "client.pem",
                    client_key=bench.place / "client.key", laptop="laptop-9")
    bench.start_agent()
    bench.wait_for_visits()


def test_no_code_no_certificate(region):
    with pytest.raises(CommandFailed):
        enrol(region, "AAAA-AAAA-AAAA-AAAA")
    late = invite(region, "--hours", "0.0000001")
    with pytest.raises(CommandFailed):
        enrol(region, late)
    with pytest.raises(CommandFailed) as unknown:
        region._run([region.agent_binary, "enrol", region.address, "--code", "x", "--directory", region.place])
    assert "--server-ca" in str(unknown.value)


def enrolled_for_hours(bench):
    """A server, and a laptop whose certificate is due for renewal: valid from the day before, and for a third of a day more."""
    bench.make_server()
    for name in ("client.pem", "client.key"):
        (bench.laptop / name).unlink()
    bench._run([bench.server_binary, "enrol", "--directory", bench.server_directory, "--name", "laptop-1", "--output", bench.laptop,
                "--days", "0.3"])


def test_a_certificate_is_renewed_before_it_ends(bench):
    """It is valid from the day before; a third of a day is left of one and a third."""
    enrolled_for_hours(bench)
    before = subject(bench.laptop / "client.pem")
    bench.start_server()
    bench.configure()
    bench.start_agent()

    def renewed():
        return list((bench.state / "identity").glob("*/client.pem"))

    [pair] = eventually("renewed", renewed)
    assert "laptop-1" in subject(pair) and subject(pair) != before
    assert pair.with_name("client.key").stat().st_mode & 0o777 == 0o600
    eventually("and used", lambda: bench.cli("status", "--json")["sync"]["state"] == "online")
    bench.wait_for_visits()
    # After a restart, too: the old one may be gone from the configuration's place.
    bench.agent.stop()
    bench.start_agent()
    bench.cli("sync", "--wait")
    assert renewed() == [pair], "once"


class OtherAuthority:
    """Signs what it is asked to, and is nobody that the server believes."""

    def __init__(self, bench):
        self.place = bench.directory / "other-authority"
        self.place.mkdir()
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                      "-out", "ca.pem", "-subj", "/CN=other", "-days", "2")

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.place)

    def sign(self, request):
        (self.place / "request.pem").write_text(request)
        self._openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "made.pem",
                      "-days", "1")
        return (self.place / "made.pem").read_text()

    def pair(self, directory):
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", directory / "client.key",
                      "-out", "own.pem", "-subj", "/CN=laptop-1")
        (directory / "client.pem").write_text(self.sign((self.place / "own.pem").read_text()))


def online(bench):
    return bench.cli("status", "--json")["sync"]["state"] == "online"


def test_a_renewed_certificate_that_the_server_does_not_take_replaces_nothing(bench):
    """Signed by an authority that was replaced, say: it is tried before it counts."""
    enrolled_for_hours(bench)
    bench.start_server()
    other, asked = OtherAuthority(bench), []

    def act(x):
        if x.path != "/ess/v1/certificates":
            return False
        asked.append(x.path)
        x.answer(200, {"Content-Type": "application/json"},
                 json.dumps({"certificate": other.sign(json.loads(x.body)["request"])}).encode())
        return True

    proxy = Hostile(bench, act)
    bench.configure(server=f"https://localhost:{proxy.port}", worklist_interval="0.5")
    bench.start_agent()
    bench.wait_for_visits()
    eventually("asked", lambda: asked)

    def looks():
        return len([path for _, path, _ in proxy.seen if path == "/fhir/Task"])

    before = looks()
    eventually("it goes on as before", lambda: online(bench) and looks() > before + 1)
    bench.agent.stop()
    assert not list((bench.state / "identity").glob("*/*"))
    # Without the proxy: a certificate is for whoever asks, and there that is the proxy.
    bench.configure(worklist_interval="0.5")
    bench.start_agent()
    [pair] = eventually("renewed", lambda: list((bench.state / "identity").glob("*/client.pem")))
    assert "laptop-1" in subject(pair)
    eventually("and used", lambda: online(bench))


def test_a_certificate_that_is_refused_leaves_the_one_before(bench):
    bench.make_server()
    bench.start_server()
    bench.configure(worklist_interval="0.5")
    place = bench.state / "identity" / "1790000000000"
    place.mkdir(parents=True)
    OtherAuthority(bench).pair(place)
    bench.start_agent()
    bench.wait_for_visits()
    eventually("online", lambda: online(bench))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemd-creds"), reason="needs root and systemd-creds")
def test_enrol_ends_in_what_setup_writes(region):
    """One place for one thing: the certificate from the region is sealed and named where an administrator's would be."""
    bench = region
    place = bench.directory / "taken"
    place.mkdir()
    script = f"""
        set -e
        mount -t tmpfs none /mnt && cp -a /etc/. /mnt/ && mount --move /mnt /etc
        mount -t tmpfs none /var/lib/systemd
        mkdir -p /etc/ess-agent/ess-agent.conf.d
        printf 'server = https://old.example\\n' > /etc/ess-agent/ess-agent.conf.d/50-enrolment.conf
        "$@"
        systemd-creds --name=client-key decrypt /etc/credstore.encrypted/ess-agent.client-key {place}/client.key
        cp -a /etc/ess-agent/. {place}/
        {bench.agent_binary} setup --team Organization/equipe-10 --with-key host
        {bench.agent_binary} setup --check > {place}/check || true
        cp /etc/ess-agent/ess-agent.conf.d/10-setup.conf {place}/again.conf
    """
    bench._run(["unshare", "-m", "sh", "-c", script, "sh", bench.agent_binary, "enrol", bench.address, "--code", invite(bench),
                "--server-ca", bench.laptop / "ca.pem", "--with-key", "host"])
    settings = (place / "ess-agent.conf.d" / "10-setup.conf").read_text().splitlines()
    for line in (f"server = https://localhost:{bench.port}", "server-ca = /etc/ess-agent/ca.pem", "laptop = laptop-9",
                 "client-certificate = /etc/ess-agent/client.pem",
                 "client-key = /run/credentials/ess-agent.service/client-key"):
        assert line in settings
    # Nothing that would win over it, and no plain key beside the sealed one.
    assert sorted(p.name for p in (place / "ess-agent.conf.d").iterdir()) == ["10-setup.conf"]
    assert not (place / "enrolment").exists()
    assert (place / "client.pem").stat().st_mode & 0o777 == 0o644
    again = (place / "again.conf").read_text()
    assert "team = Organization/equipe-10" in again and "laptop = laptop-9" in again
    assert "client-key: sealed, opens on this machine" in (place / "check").read_text()
    # The pair is a pair, and the server's.
    bench.configure(server_ca=place / "ca.pem", client_certificate=place / "client.pem", client_key=place / "client.key",
                    laptop="laptop-9")
    bench.start_agent()
    bench.wait_for_visits()
