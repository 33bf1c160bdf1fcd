"""Sessions for the Hub's trace viewer follow its format."""

import json

from astro_factory.hub.session_traces import SESSIONS, session_files
from tests.hub.artifacts import make_data, trace


def test_a_header_then_the_messages(tmp_path):
    files = session_files(make_data(tmp_path, count=SESSIONS + 2))
    assert list(files) == [f"sessions/traces-{number}.jsonl" for number in range(SESSIONS)]
    first, *rest = map(json.loads, files["sessions/traces-1.jsonl"].splitlines())
    assert first == {"type": "session", "harness": "astro-factory", "id": "traces-1", "name": "p1"}
    assert rest == [{"type": "message", "message": message} for message in trace(1, 1)["messages"]]


def test_no_traces_no_sessions(tmp_path):
    assert session_files(make_data(tmp_path, count=0)) == {}
