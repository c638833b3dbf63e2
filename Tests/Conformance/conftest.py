"""Where the region's server is: environment variables, so that the same files run against anything.

    ESS_SERVER=https://ess.region.example ESS_CA=ca.pem ESS_CERT=client.pem ESS_KEY=client.key [ESS_TOKEN=…] \
        python -m pytest Tests/Conformance

Without ESS_SERVER they start the ess-server of ESS_BIN_DIR on a free port, and are its own tests."""

import os
import pathlib
import sys

import pytest
import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))


@pytest.fixture(scope="session")
def server():
    """A session that is who it should be; `server.url(path)`."""
    session = requests.Session()
    # Else REQUESTS_CA_BUNDLE and .netrc of whoever runs it win over what is said here.
    session.trust_env = False
    named = os.environ.get("ESS_SERVER")
    bench = None
    if named:
        session.base = named.rstrip("/")
        session.verify = os.environ.get("ESS_CA", True)
        if os.environ.get("ESS_CERT"):
            session.cert = (os.environ["ESS_CERT"], os.environ["ESS_KEY"])
        if os.environ.get("ESS_TOKEN"):
            session.headers["Authorization"] = "Bearer " + os.environ["ESS_TOKEN"]
    else:
        from bench import Bench

        bench = Bench()
        bench.make_server()
        bench.start_server()
        session.base = f"https://localhost:{bench.port}"
        session.verify = str(bench.laptop / "ca.pem")
        session.cert = (str(bench.laptop / "client.pem"), str(bench.laptop / "client.key"))
    session.url = lambda path: path if path.startswith("https:") else session.base + path
    yield session
    if bench:
        bench.close()
