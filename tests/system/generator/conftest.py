"""The two engines that are compared."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.generator.engines import fake_subject, real_subject
from tests.system.generator.subject import Subject


@pytest.fixture(scope="session")
async def real_engine(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Subject]:
    """One real engine for all comparisons: a start costs half a minute."""
    folder = tmp_path_factory.mktemp("engine")
    async with real_subject(tiny_model, engine_cache, folder) as subject:
        yield subject


@pytest.fixture
async def fake_engine() -> AsyncIterator[Subject]:
    """The fake."""
    async with fake_subject() as subject:
        yield subject


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.engine), "fake"])
def chosen(request: pytest.FixtureRequest) -> Subject:
    """One of the two."""
    engine: Subject = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture
async def subject(chosen: Subject) -> AsyncIterator[Subject]:
    """Each case runs against both, and leaves neither with an adapter."""
    yield chosen
    await chosen.clean_up()


@pytest.fixture
async def mortal_engine(
    tiny_model: Path, engine_cache: Path, tmp_path: Path
) -> AsyncIterator[Subject]:
    """A real engine that a test may end."""
    async with real_subject(tiny_model, engine_cache, tmp_path) as subject:
        yield subject


@pytest.fixture(params=[pytest.param("mortal", marks=pytest.mark.engine), "fake"])
def subject_of_its_own(request: pytest.FixtureRequest) -> Subject:
    """One of the two kinds, which no other test uses."""
    engine: Subject = request.getfixturevalue(f"{request.param}_engine")
    return engine
