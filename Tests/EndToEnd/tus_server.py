"""Other people's tus server (tuspyserver) as a region's bytes lane, with receipts beside it. `python tus_server.py PORT DIRECTORY
honest|lying|dying`: the lying one is tuspyserver's default mode, which forgets what it has when it is killed (sync.md 1.2.2); the
dying one is an honest one that is killed between the last byte and the receipt, once for each recording, and never notices."""

import hashlib
import json
import os
import pathlib
import signal
import sys

import uvicorn
from fastapi import FastAPI, Response
from tuspyserver import create_tus_router

port, directory, mode = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
files, done = directory / "files", directory / "done"
for place in (files, done):
    place.mkdir(parents=True, exist_ok=True)


def finished(path, metadata):
    """The last byte is there, says tuspyserver; what is really there goes into the receipt."""
    died = directory / f"died-{metadata['rid']}"
    if mode == "dying" and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    found = pathlib.Path(path).read_bytes()
    (done / f"{metadata['rid']}.json").write_text(json.dumps({
        "rid": metadata["rid"], "sha256": hashlib.sha256(found).hexdigest(), "size": len(found), "path": str(path),
        "announced": metadata["sha256"]}))


options = {}
if mode != "lying":
    from tuspyserver.params import TusUploadParams
    from tuspyserver.storage.local import LocalFileStorage

    # Its storage wants pydantic 2; the judges of R4 (fhir.resources 6) are pinned to 1, where the same method has another name.
    if not hasattr(TusUploadParams, "model_dump"):
        TusUploadParams.model_dump = TusUploadParams.dict

    options["storage"] = LocalFileStorage(str(files))
    # Killed between the last byte and the hook: a truthful server notices at its next start, tuspyserver doesn't.
    for sidecar in files.glob("*.info") if mode == "honest" else ():
        known = json.loads(sidecar.read_text())
        if known["offset"] == known["size"] and not (done / f"{known['metadata']['rid']}.json").exists():
            finished(sidecar.with_suffix(""), known["metadata"])
app = FastAPI()
app.include_router(create_tus_router(
    prefix="files", files_dir=str(files), max_size=1 << 30, on_upload_complete=finished, **options))


@app.get("/ess/v1/recordings/{rid}/receipt")
def receipt(rid: str):
    path = done / f"{rid}.json"
    if not path.exists():
        return Response(status_code=404, content="{}", media_type="application/json")
    known = json.loads(path.read_text())
    if known["sha256"] != known["announced"]:
        return Response(status_code=409, content=json.dumps({"sha256": known["sha256"]}), media_type="application/json")
    return {"rid": rid, "sha256": known["sha256"], "size": known["size"], "storedAt": "2026-01-01T00:00:00Z",
            "durability": "fsync", "storeEpoch": ""}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
