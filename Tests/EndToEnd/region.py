"""A region's server made of other people's programs: Orthanc takes the recordings, nginx asks for client certificates in front
of it and of the FHIR server. Each on a free port of loopback, gone with the bench."""

import json
import pathlib
import shutil
import socket

import requests
from bench import Program, eventually
from ports import free_port

DICOMWEB = pathlib.Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """The PACS of Debian, with DICOMweb."""

    def __init__(self, bench, **settings):
        self.port = free_port()
        directory = bench.directory / "orthanc"
        directory.mkdir()
        self.directory = directory
        config = directory / "orthanc.json"
        config.write_text(json.dumps({
            "Name": "ESS", "StorageDirectory": str(directory / "db"), "IndexDirectory": str(directory / "db"),
            "HttpPort": self.port, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "Plugins": [str(DICOMWEB)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "OverwriteInstances": False, **settings}))
        self.program = Program(directory / "log", [shutil.which("Orthanc") or "/usr/sbin/Orthanc", config])
        bench.programs.append(self.program)
        eventually("Orthanc answers", self._answers)

    def _answers(self):
        assert self.program.process.poll() is None, self.program.text()[-2000:]
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/system", timeout=2).ok
        except requests.ConnectionError:
            return False

    def instances(self):
        return requests.get(f"http://127.0.0.1:{self.port}/instances", timeout=10).json()

    def file(self, instance):
        return requests.get(f"http://127.0.0.1:{self.port}/instances/{instance}/file", timeout=10).content


class Front:
    """nginx with mTLS, one origin for everything: `/dicom-web` goes to Orthanc, the rest to ess-server, as another client."""

    def __init__(self, bench, orthanc=None, hides=(), also=None):
        self.port = free_port()
        directory = bench.directory / "nginx"
        directory.mkdir()
        authority = bench.server_directory / "authority"
        bench._run([bench.server_binary, "enrol", "--directory", bench.server_directory, "--name", "front", "--output", directory])
        places = "".join(f"location {path} {{ return 404; }}\n" for path in hides)
        for path, target in (also or {}).items():
            places += f"location {path} {{ proxy_pass {target}; proxy_set_header Host localhost:{self.port}; " \
                      f"proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host localhost:{self.port}; }}\n"
        if orthanc:
            places += f"location /dicom-web/ {{ proxy_pass http://127.0.0.1:{orthanc.port}; }}\n"
        self.directory, self.bench = directory, bench
        self.trusted = authority / "ca.pem"
        self.config = f"""
daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log;
events {{ }}
http {{
  access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1;
  client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {authority}/server.pem; ssl_certificate_key {authority}/server.key;
    ssl_client_certificate TRUSTED; ssl_verify_client on;
    {places}
    location / {{
      proxy_pass https://127.0.0.1:{bench.port}; proxy_set_header Host localhost:{self.port};
      proxy_ssl_certificate {directory}/client.pem; proxy_ssl_certificate_key {directory}/client.key;
    }}
  }}
}}
"""
        self.start(self.trusted)

    def start(self, trusted):
        """`trusted` has made the certificates that it believes."""
        config = self.directory / "nginx.conf"
        config.write_text(self.config.replace("TRUSTED", str(trusted)))
        self.program = Program(
            self.directory / "log", [shutil.which("nginx") or "/usr/sbin/nginx", "-p", self.directory, "-c", config])
        self.bench.programs.append(self.program)

        def listens():
            assert self.program.process.poll() is None, self.program.text() + (self.directory / "error.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually("nginx listens", listens)
