import logging

import pytest

from spe.hub.logs import Scrub, scrubbed

SECRET = "dW9JXdlH_OAncaRY.N4"


@pytest.mark.parametrize(
    "line",
    [
        f"302 GET /hub/oauth_callback?code={SECRET}&state={SECRET} (p@127.0.0.1)",
        f"302 GET /hub/login?next=%2Fhub%2Fapi%3Fcode%3D{SECRET}%26state%3D{SECRET} (@127.0.0.1)",
        f"302 GET /hub/x?next=%252Fhub%253Fstate%253D{SECRET}%2526a%253D1",
        f"302 GET /user/a/b/lab?token={SECRET}",
        f"OAuth body client_secret={SECRET}&grant_type=authorization_code",
        f'{{"Referer": "http://localhost/hub/?x={SECRET}", "X-Xsrftoken": "{SECRET}"}}',
    ],
)
def test_a_secret_is_taken_out_however_often_it_is_encoded(line: str) -> None:
    assert SECRET not in scrubbed(line)


def test_the_rest_of_a_line_stays_readable() -> None:
    line = "200 GET /hub/api/users/p-1/servers/ws-1/progress (portal@127.0.0.1) 4370.90ms"
    assert scrubbed(line) == line


def test_a_session_id_is_not_logged_at_all() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "Setting new xsrf cookie for %r %r", ("id", {}), None)
    assert not Scrub().filter(record)


def test_arguments_of_a_record_are_scrubbed_too() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "to %s", (f"/a?code={SECRET}",), None)
    assert Scrub().filter(record)
    assert record.getMessage() == "to /a?code=[secret]"
