"""`ess-agent setup` in a small Debian: what it writes, that it is idempotent, that no key is lost on the way."""

import pytest
from test_package import STATE, Daemon

CONF = "/etc/ess-agent/ess-agent.conf.d/10-setup.conf"
STORE = "/etc/credstore.encrypted"


@pytest.fixture
def given(installed):
    """What an administrator got from the centre. systemd-creds asks nothing of the contents."""
    root = installed.at("/root")
    (root / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nY2E=\n-----END CERTIFICATE-----\n")
    (root / "client.pem").write_text("-----BEGIN CERTIFICATE-----\nY2xpZW50\n-----END CERTIFICATE-----\n")
    (root / "client.key").write_text("-----BEGIN PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n")
    (root / "region.conf").write_text("# Region\nworklist-interval = 120\n")
    # systemd-creds binds the host's secret to it.
    installed.at("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    return installed


def setup(tree, *more, check=True):
    return tree.run(
        "ess-agent", "setup", "--server", "https://ess.example.fr", "--ca", "/root/ca.pem", "--certificate", "/root/client.pem", "--key",
        "/root/client.key", "--team", "Organization/equipe-9", "--laptop", "ess-042", "--with-key", "host", *more, check=check)


def opened(tree, name):
    return tree.run("systemd-creds", f"--name={name}", "decrypt", f"{STORE}/ess-agent.{name}", "-", check=False)


def test_enrolled_once_and_again(given):
    assert given.run("ess-agent", "setup", "--check", check=False).returncode == 1
    assert "set up" in setup(given, "--region", "/root/region.conf")
    settings = given.at(CONF).read_text()
    for line in (
        "server = https://ess.example.fr", "server-ca = /etc/ess-agent/ca.pem", "client-certificate = /etc/ess-agent/client.pem",
        "client-key = /run/credentials/ess-agent.service/client-key", "team = Organization/equipe-9", "laptop = ess-042",
    ):
        assert line in settings.splitlines()
    assert "worklist-interval = 120" in given.at("/etc/ess-agent/ess-agent.conf.d/20-region.conf").read_text()
    assert opened(given, "client-key").stdout == given.at("/root/client.key").read_text()
    for name in ("client-key", "master-key"):
        sealed = given.at(f"{STORE}/ess-agent.{name}")
        assert sealed.stat().st_mode & 0o777 == 0o600
        assert b"PRIVATE KEY" not in sealed.read_bytes()
    before = {p: p.stat().st_mtime_ns for p in [given.at(CONF), *given.at(STORE).iterdir()]}
    assert "Nothing to do" in setup(given, "--region", "/root/region.conf")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    said = given.run("ess-agent", "setup", "--check")
    assert "missing" not in said and "sealed, opens on this machine" in said
    # One thing anew; the rest stays.
    given.run("ess-agent", "setup", "--team", "Organization/equipe-10", "--with-key", "host")
    settings = given.at(CONF).read_text()
    assert "team = Organization/equipe-10" in settings and "laptop = ess-042" in settings and settings.count("team =") == 1


def test_the_daemons_own_key_is_sealed_and_the_plain_one_goes(given):
    with Daemon(given):
        pass
    key = given.at(f"{STATE}/master.key").read_bytes()
    setup(given)
    assert not given.at(f"{STATE}/master.key").exists()
    given.run("sh", "-c", f"systemd-creds --name=master-key decrypt {STORE}/ess-agent.master-key /root/opened")
    assert given.at("/root/opened").read_bytes() == key


def test_a_second_key_is_never_taken_for_the_first(given):
    setup(given)
    given.at(STATE).mkdir(exist_ok=True)
    given.at(f"{STATE}/master.key").write_bytes(bytes(32))
    said = setup(given, check=False)
    assert said.returncode == 65 and "different keys" in said.stderr
    assert given.at(f"{STATE}/master.key").read_bytes() == bytes(32)


def test_a_database_without_its_key_gets_no_new_one(given):
    given.at(STATE).mkdir(exist_ok=True)
    given.at(f"{STATE}/ess-agent.sqlite").write_bytes(b"")
    said = setup(given, check=False)
    assert said.returncode == 65 and "put the backup of the key back" in said.stderr
    assert not given.at(f"{STORE}/ess-agent.master-key").exists()


@pytest.mark.parametrize("arguments, says", [
    (["--server", "http://ess.example.fr"], "https://"),
    (["--ca", "/root/region.conf"], "no CERTIFICATE"),
    (["--certificate", "/root/client.pem"], "belong together"),
    (["--region", "/root/ca.pem"], "expected"),
])
def test_bad_input_changes_nothing(given, arguments, says):
    said = given.run("ess-agent", "setup", *arguments, check=False)
    assert said.returncode != 0 and says in said.stdout + said.stderr
    assert not given.at(CONF).exists() and not given.at(f"{STORE}/ess-agent.master-key").exists()
