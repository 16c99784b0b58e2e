"""The measured start of a session is a start that works: what the benchmark times, once, in the tests' environment."""

from tests.bench.session_start import player
from tests.support.person import Company


def test_what_the_benchmark_of_starts_times_ends_at_an_answering_notebook(people: Company) -> None:
    with player(people.running, "researcher-b") as ours:
        assert ours.start() > 0
