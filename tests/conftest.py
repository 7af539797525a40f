"""What every test may lean on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Other work on the machine must not fail a property.
settings.register_profile("paperfeed", deadline=None)
# For `make properties`.
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile("paperfeed")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded responses and benchmarks beside the checkout, where there is one."""
    path = ROOT.parent / "shared"
    if not (path / "captures").is_dir():
        pytest.skip("no ../shared beside this checkout: recorded captures are not here")
    return path


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sample's night done; tests read it and change nothing in it."""
    from tests.home import night, served

    home = tmp_path_factory.mktemp("sample_home")
    with served(home):
        night(home)
    return home
