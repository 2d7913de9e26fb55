"""What all tests share: one thread, no network, one cache of decoded images, one profile of hypothesis."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Here and not in a hook, because other conftest files import torch, which reads it once, as huggingface_hub does.
# On few cores small convolutions are far slower with several threads, and bit identity is promised for equal threads.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

settings.register_profile("falsewitness", deadline=None, derandomize="CI" in os.environ, max_examples=50)
settings.load_profile("falsewitness")


@pytest.fixture(scope="session", autouse=True)
def _one_cache_for_all_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FALSEWITNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
