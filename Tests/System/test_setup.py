"""`ess-agent setup` in a small Debian: what it writes, that it is idempotent, that no key is lost on the way."""

import json
import re

import guest_tree
import pytest
from test_package import STATE, Daemon

CONF = "/etc/ess-agent/ess-agent.conf.d/10-setup.conf"
STORE = "/etc/credstore.encrypted"


@pytest.fixture
def given(installed):
    """What an administrator got from the centre."""
    root = installed.at("/root")
    (root / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nY2E=\n-----END CERTIFICATE-----\n")
    for name, kind in (("client", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), ("other", "-algorithm RSA")):
        installed.run("sh", "-ec", f"cd /root; openssl genpkey {kind} -out {name}.key; "
                      f"openssl req -x509 -new -key {name}.key -subj /CN=ess-042 -days 2 -out {name}.pem")
    installed.run("sh", "-ec", "cd /root; openssl pkey -in client.key -aes256 -passout pass:secret -out locked.key")
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
    # Whose server has a public authority's certificate names none.
    settings = given.at(CONF)
    settings.write_text(re.sub("(?m)^server-ca.*\n", "", settings.read_text()))
    assert "ok      authority: the system's authorities" in given.run("ess-agent", "setup", "--check")
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
    # Nothing else of it is put in place either.
    said = setup(given, "--team", "Organization/equipe-10", check=False)
    assert said.returncode == 65 and "equipe-10" not in given.at(CONF).read_text()
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
    (["--user", "clair"], "no such account"),
    (["--certificate", "/root/client.pem", "--key", "/root/other.key"], "not the key of"),
    (["--certificate", "/root/client.pem", "--key", "/root/locked.key"], "encrypted"),
])
def test_bad_input_changes_nothing(given, arguments, says):
    said = given.run("ess-agent", "setup", *arguments, check=False)
    assert said.returncode != 0 and says in said.stdout + said.stderr
    assert not given.at(CONF).exists() and not given.at(STORE).joinpath("ess-agent.master-key").exists()


def test_both_kinds_of_key_and_their_certificates_fit(given):
    setup(given)
    given.run("ess-agent", "setup", "--certificate", "/root/other.pem", "--key", "/root/other.key", "--with-key", "host")
    assert opened(given, "client-key").stdout == given.at("/root/other.key").read_text()


def test_a_sealed_key_serves_restore_rotation_and_doctor(given):
    """What docs/keys.md and docs/administrator.md say, step by step."""
    with Daemon(given):
        given.run("ess-agent", "backup", f"{STATE}/backup.sqlite")
    setup(given)
    assert not given.at(f"{STATE}/master.key").exists()
    findings = json.loads(given.run("ess-agent", "doctor", "--json", check=False).stdout)["findings"]
    assert [f["level"] for f in findings if f["check"] == "key"] == ["well"], findings
    assert not [f for f in findings if f["level"] == "failure" and f["check"] != "agent" and f["check"] != "device"], findings
    given.run("ess-agent", "restore", f"{STATE}/backup.sqlite")
    # Only root opens it, and a copy that only root can read says what to do.
    assert "use sudo" in given.run(
        "runuser", "-u", "ess-agent", "--", "ess-agent", "restore", f"{STATE}/backup.sqlite", check=False).stderr
    given.run("install", "-m", "600", f"{STATE}/backup.sqlite", "/root/backup.sqlite")
    refused = given.run("ess-agent", "restore", "/root/backup.sqlite", check=False)
    assert refused.returncode == 65 and "install -o ess-agent" in refused.stderr
    before = given.run("sh", "-c", f"systemd-creds --name=master-key decrypt {STORE}/ess-agent.master-key - | sha256sum")
    given.run("ess-agent", "key", "rotate", "--new", f"{STATE}/new.key")
    strangers = given.run("find", STATE, "!", "-user", "ess-agent")
    assert not strangers, f"not the agent's: {strangers}"
    given.run("mv", f"{STORE}/ess-agent.master-key", "/root/ess-agent.master-key.before")
    given.run("mv", f"{STATE}/new.key", f"{STATE}/master.key")
    with Daemon(given) as daemon:
        assert daemon.status()["counts"]["recordings"] == 0
    given.run("ess-agent", "setup", "--with-key", "host")
    assert given.run("sh", "-c", f"systemd-creds --name=master-key decrypt {STORE}/ess-agent.master-key - | sha256sum") != before


def test_a_backup_on_another_laptop(given):
    """The first start there has made a store and a key of its own."""
    with Daemon(given):
        given.run("ess-agent", "backup", f"{STATE}/backup.sqlite")
    setup(given)
    key = given.run("sh", "-c", f"systemd-creds --name=master-key decrypt {STORE}/ess-agent.master-key - | base64")
    given.at("/root/key.txt").write_text(key)
    given.run("mv", f"{STATE}/backup.sqlite", "/root/ess-042.sqlite")
    given.run("sh", "-c", f"rm -rf {STATE}/* {STORE}/* {CONF}")
    with Daemon(given):
        pass
    setup(given)
    steps = (guest_tree.ROOT / "docs/administrator.md").read_text().split("## Back up, restore")[1].split("\n## ")[0]
    here, another = re.findall(r"(?s)```sh\n(.*?)```", steps)[1:3]
    given.at("/usr/local/bin/sudo").write_text('#!/bin/sh\nexec "$@"\n')
    given.at("/usr/local/bin/sudo").chmod(0o755)
    script = (another + here).replace("/mnt/backup", "/root").replace("key.txt", "/root/key.txt")
    # Nothing runs here that could be stopped, started or asked.
    script = re.sub("(?m)^sudo systemctl .*\n", "", script)
    given.run("bash", "-ec", script, environment={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
    with Daemon(given) as daemon:
        assert "counts" in daemon.status()
    assert "sealed now" in setup(given)
    assert given.run("sh", "-c", f"systemd-creds --name=master-key decrypt {STORE}/ess-agent.master-key - | base64") == key
