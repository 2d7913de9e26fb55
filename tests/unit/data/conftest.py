from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test, and no data but what the test makes."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(folder))
    monkeypatch.delenv("FALSEWITNESS_DATA", raising=False)
    return folder
