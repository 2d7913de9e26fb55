"""What all tests share: one thread, no network, one cache of decoded images, one profile of hypothesis, one count."""

import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

import pytest
from hypothesis import settings

# Here and not in a hook, because other conftest files import torch, which reads it once, as huggingface_hub does.
# On few cores small convolutions are far slower with several threads, and bit identity is promised for equal threads.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell lets what it starts in the background ignore interrupts, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("falsewitness", deadline=None, derandomize="CI" in os.environ, max_examples=50)
settings.load_profile("falsewitness")


@pytest.fixture(scope="session", autouse=True)
def _one_cache_for_all_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FALSEWITNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


_CLAIMS = {
    "kills": "survived",
    "faults": "noticed or survived",
    "bad inputs": "refused as promised",
    "unusual inputs": "taken as promised",
}


class Tried(Protocol):
    """Counts what a test has tried; the last lines of the test run tell the sums."""

    def __call__(self, group: str, kind: str, count: int = 1) -> None:
        """Count, for instance ``tried("faults", "SIGKILL")`` or ``tried("bad inputs", "specs", 1000)``."""
        ...


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts what this test tries: ``tried(group, kind, count)``."""

    def counted(group: str, kind: str, count: int = 1) -> None:
        assert group in _CLAIMS, f"expected one of {list(_CLAIMS)}, got '{group}'"
        request.node.user_properties.append(("tried", (group, kind, count)))

    return counted


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    fine = _sums(terminalreporter.getreports("passed"))
    failed = _sums(terminalreporter.getreports("failed"))
    for group, claim in _CLAIMS.items():
        kinds = {kind: count for (found, kind), count in fine.items() if found == group}
        missed = sum(count for (found, _), count in failed.items() if found == group)
        if kinds or missed:
            listed = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
            end = f"; {missed} MORE IN TESTS THAT FAILED" if missed else ""
            every = "" if missed else "all "
            terminalreporter.write_line(f"{group} tried: {sum(kinds.values())} ({listed}), {every}{claim}{end}")


def _sums(reports: Iterable[pytest.TestReport]) -> Counter[tuple[str, str]]:
    """Sum what the tests have counted by group and kind."""
    sums: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == "tried" and report.when == "call" and isinstance(value, tuple):
                sums[value[:2]] += value[2]
    return sums
