"""kill -9 at random moments of capture, download, import, freezing and upload: what was reported as stored is there after the
restart, nothing is lost, and nothing is twice on the server."""

import os
import random
import time

from bench import LONG, CommandFailed, eventually

KILLS = int(os.environ.get("ESS_KILLS", "500" if LONG else "40"))


class Nurse:
    """Does the next sensible thing, whatever state the last kill left; remembers what was reported as stored."""

    def __init__(self, field, rng):
        self.field, self.rng = field, rng
        self.stored = {}  # recording -> samples that were reported as stored
        self.cards = 0

    def see(self):
        """Everything that the agent claims to have stored is noted down; a later look must find at least that."""
        for device in self.field.cli("devices", "--json"):
            for recording in (device.get("session") or {"recordings": []})["recordings"]:
                self.note(recording["recording"], recording["samples"])

    def note(self, recording, samples):
        self.stored[recording] = max(self.stored.get(recording, 0), samples)

    def act(self):
        choice = self.rng.choice(["live", "live", "download", "import", "wait"])
        field = self.field
        if not any(v["status"] == "open" for v in field.visits()):
            field.cli("visit", "open", field.visits()[self.rng.randrange(2)]["id"])
        if choice == "live":
            field.wait_for_device()
            for recording in field.cli("start", "ttySIM0", "--json")["recordings"]:
                self.note(recording["recording"], recording["samples"])
            for _ in range(self.rng.randrange(1, 8)):
                self.see()
                time.sleep(0.1)  # lets the stream run; nothing is concluded from it
            field.cli("stop", "ttySIM0")
        elif choice == "download":
            field.wait_for_device()
            for recording in field.cli("download", "ttySIM0", "--json")["recordings"]:
                self.note(recording["recording"], recording["samples"])
        elif choice == "import":
            self.cards += 1
            card = field.make_card("--number", str(self.cards))
            for recording in field.cli("import", card, "--json")["imported"]:
                self.note(recording, 1)
        else:
            time.sleep(0.3)


def test_kill_at_random_moments(field):
    seed = int(os.environ.get("ESS_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"ESS_SEED={seed}")
    rng = random.Random(seed)
    field.plug_oximeter("--night-seconds", "20000")
    field.start_server()
    nurse = Nurse(field, rng)
    for kill in range(KILLS):
        deadline = time.monotonic() + rng.uniform(0.05, 2.0)
        # The nurse works in this process; the kill comes from a timer in between.
        killer = KillAt(field, deadline)
        killer.start()
        try:
            while time.monotonic() < deadline:
                nurse.act()
        except CommandFailed:
            pass  # the agent died under the command: that is the point
        killer.join()
        if rng.random() < 0.2:
            field.server.kill()
            field.start_server()
        field.start_agent()
        for recording in field.recordings():
            assert recording["state"] != "open", (kill, recording)
        missing = set(nurse.stored) - {r["id"] for r in field.recordings()}
        assert not missing, (kill, missing)

    for recording, samples in nurse.stored.items():
        detail = field.cli("recording", recording, "--json")
        held = max(channel["samples"] for channel in detail["channels"])
        assert held >= samples, (recording, samples, held)

    # The night is fetched whole in the end; then the visits close and everything goes.
    field.wait_for_device()
    field.cli("download", "ttySIM0")
    if any(v["status"] == "open" for v in field.visits()):
        field.cli("visit", "close")
    eventually("everything is frozen", lambda: all(
        # Killed before the first second was committed: nothing was reported as stored, and nothing can be sent.
        r["documents"] or r.get("supersededBy") or r.get("visit") is None or r["originalBytes"] == 0
        for r in field.recordings()))
    files = field.synced()
    recordings = field.recordings()
    documents = [d["id"] for r in recordings for d in r["documents"]]
    assert len(documents) == len(set(documents)) and set(documents) == set(files)
    # Nothing twice: no two originals on the server are the same recording's bytes.
    nights = [r for r in recordings if r["kind"] == "stored" and r["documents"] and r["state"] == "complete"]
    assert len(nights) == 1, nights
    # (Live captures are told apart by their identity: the simulator plays the same finger each time, so two that were cut
    # after the same number of frames hold the same bytes, and are two recordings all the same.)
    originals = {}
    for recording in recordings:
        for document in recording["documents"]:
            if document["role"] == "original" and recording["kind"] != "live":
                originals.setdefault(files[document["id"]][1], []).append((recording["id"], recording["kind"]))
    assert all(len(same) == 1 for same in originals.values()), originals


import threading  # noqa: E402


class KillAt(threading.Thread):
    def __init__(self, field, deadline):
        super().__init__()
        self.field, self.deadline = field, deadline

    def run(self):
        time.sleep(max(0, self.deadline - time.monotonic()))
        self.field.agent.kill()
