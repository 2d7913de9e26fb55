import jaxtyping
import pytest


@pytest.fixture
def _shapes_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not enforced for users: what refuses a misshapen tensor must be the code itself."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
