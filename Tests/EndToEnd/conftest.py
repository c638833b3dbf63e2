import pytest

from bench import Bench


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def field(bench):
    """A laptop that was enrolled and has its visits, and is offline now: the server is down."""
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure()
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    return bench
