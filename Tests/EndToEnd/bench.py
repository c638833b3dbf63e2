"""The real binaries on a bench: ess-server, ess-agent, ess-sim, each in its own temporary directory on free ports.

Nothing here knows how the agent works inside: it is told what a nurse would tell it, and everything is read back through
the command line or from the server's disk."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = (ROOT / os.environ.get("ESS_BIN_DIR", ".build/debug")).resolve()
SHARED = ROOT.parent / "shared"
LONG = bool(os.environ.get("ESS_LONG"))


DAEMON_NOT_RUNNING = 10


def eventually(what, check, seconds=60.0, gone=None):
    """Polls until `check` returns something true; a deadline, never an assumption about speed.

    `gone` says that the agent is dead: then there is nothing to wait for."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = check()
        except CommandFailed as failure:
            if failure.status == DAEMON_NOT_RUNNING and gone and gone():
                raise
            last = failure
        if last and not isinstance(last, CommandFailed):
            return last
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s; last seen: {last!r}")


class CommandFailed(Exception):
    def __init__(self, arguments, status, output, error):
        super().__init__(f"{' '.join(map(str, arguments))}: exit {status}\n{output}\n{error}")
        self.status, self.output, self.error = status, output, error


class Program:
    """A child process with its output in a file."""

    def __init__(self, log, arguments, environment=None):
        self.log = log
        self.file = open(log, "ab")
        self.process = subprocess.Popen(
            [str(part) for part in arguments], stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file,
            env={**os.environ, **(environment or {})})

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.file.close()

    def stop(self, seconds=20):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no clean end within {seconds} s:\n{self.text()[-2000:]}")
        self.file.close()
        return status

    def text(self):
        return pathlib.Path(self.log).read_text(errors="replace")


class Bench:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ess-bench-"))
        self.programs = []
        self.server_directory = self.directory / "server"
        self.laptop = self.directory / "laptop"
        self.laptop.mkdir()
        self.socket = self.laptop / "api.sock"
        self.state = self.laptop / "state"
        self.config = self.laptop / "agent.conf"
        self.server = self.agent = None
        self.server_binary, self.agent_binary = BIN / "ess-server", BIN / "ess-agent"
        self.port = None
        self.ports = []

    def close(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.kill()
        if os.environ.get("ESS_KEEP"):
            print("kept:", self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, arguments, input=None, timeout=120):
        done = subprocess.run(
            [str(part) for part in arguments], input=input, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise CommandFailed(arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    # The server

    def make_server(self):
        server = BIN / "ess-server"
        self._run([server, "init", "--directory", self.server_directory])
        self._run([server, "seed", "--directory", self.server_directory])
        self._run([server, "enrol", "--directory", self.server_directory, "--name", "laptop-1", "--output", self.laptop])

    def start_server(self, *faults, options=(), wrapper=()):
        port_file = self.directory / "server.port"
        port_file.unlink(missing_ok=True)
        arguments = [*wrapper, BIN / "ess-server", "serve", "--directory", self.server_directory, "--port", self.port or 0,
                     "--port-file", port_file]
        arguments += options
        for fault in faults:
            arguments += ["--fault", fault]
        self.server = Program(self.directory / "server.log", arguments)
        self.programs.append(self.server)

        def listening():
            assert self.server.process.poll() is None, self.server.text()
            return port_file.exists() and port_file.read_text().strip()

        self.port = int(eventually("the server listens", listening))

    def server_list(self):
        return json.loads(self._run([BIN / "ess-server", "list", "--directory", self.server_directory, "--json"]))

    def server_files(self):
        """rid -> (size, SHA-256), hashed from outside."""
        found = {}
        for path in (self.server_directory / "recordings").iterdir():
            bytes = path.read_bytes()
            found[path.name] = (len(bytes), hashlib.sha256(bytes).hexdigest())
        return found

    def fhir(self, path):
        """Asks the running server as this laptop would."""
        answer = requests.get(
            f"https://localhost:{self.port}/fhir/{path}", verify=str(self.laptop / "ca.pem"),
            cert=(str(self.laptop / "client.pem"), str(self.laptop / "client.key")), timeout=20)
        answer.raise_for_status()
        return answer.json()

    # The laptop

    def configure(self, **more):
        if self.port is None:
            self.start_server()
            self.server.kill()
        settings = {
            "state-directory": self.state, "socket": self.socket, "server": f"https://localhost:{self.port}",
            "server-ca": self.laptop / "ca.pem", "client-certificate": self.laptop / "client.pem",
            "client-key": self.laptop / "client.key", "test-server": "yes", "retry-min": "0.2", "retry-max": "1",
            "worklist-interval": "5", "log-level": "debug", **{key.replace("_", "-"): value for key, value in more.items()},
        }
        lines = [f"{key} = {value}" for key, value in settings.items() if value is not None]
        lines += [f"port = {path} {driver}" for path, driver in self.ports]
        self.config.write_text("\n".join(lines) + "\n")

    def start_agent(self, wrapper=(), environment=None):
        self.agent = Program(
            self.laptop / "agent.log", [*wrapper, BIN / "ess-agent", "serve", "--config", self.config], environment)
        self.programs.append(self.agent)
        self.wait_for_agent()

    def wait_for_agent(self):
        def answers():
            if self.agent.process.poll() is not None:
                raise AssertionError(f"the agent ended: {self.agent.text()[-3000:]}")
            return self.cli("status", "--json")

        eventually("the agent answers", answers)

    def cli(self, *arguments, timeout=120):
        """`ess-agent …`; JSON when `--json` is among the arguments."""
        output = self._run([BIN / "ess-agent", *arguments, "--config", self.config], timeout=timeout)
        return json.loads(output) if "--json" in arguments else output

    def tool(self, *arguments):
        """A command that needs no daemon."""
        output = self._run([BIN / "ess-agent", *arguments])
        return json.loads(output) if "--json" in arguments else output

    def recordings(self):
        return self.cli("recordings", "--json")

    def visits(self):
        return self.cli("visits", "--json")

    def wait_for_visits(self):
        return eventually("visits came down", self.visits)

    # Devices

    def plug_oximeter(self, *options, name="ttySIM0"):
        """An oximeter on a pty; the agent watches its path as a port named by hand."""
        link = self.directory / name
        program = Program(self.directory / f"{name}.log", [BIN / "ess-sim", "oximeter", "--link", link, *options])
        self.programs.append(program)
        eventually("the simulated port is there", lambda: link.is_symlink())
        return program

    def name_port(self, name="ttySIM0", driver="contec-oximeter"):
        self.ports.append((self.directory / name, driver))

    def wait_for_device(self, state="ready", name="ttySIM0"):
        def there():
            for device in self.cli("devices", "--json"):
                if device["name"] == name and device["state"] == state:
                    return device
            return None

        return eventually(f"{name} is {state}", there, gone=lambda: self.agent.process.poll() is not None)

    def make_card(self, *options):
        card = pathlib.Path(tempfile.mkdtemp(prefix="card-", dir=self.directory))
        self._run([BIN / "ess-sim", "card", card, *options])
        return card

    # Proof

    def synced(self):
        """Everything that may be sent has a receipt that matches the bytes on the server's disk; nothing is there twice."""
        self.cli("sync", "--wait", "--timeout", "90")
        files = self.server_files()
        for recording in self.recordings():
            for document in recording["documents"]:
                assert document["state"] == "received", document
                assert document.get("receipt")["matches"] is True, document
                assert files[document["id"]] == (document["size"], document["sha256"]), document
                assert document.get("receipt")["sha256"] == document["sha256"]
        return files
