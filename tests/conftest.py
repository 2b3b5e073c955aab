"""What all tests share: `needs` for parts that not every machine has, and hypothesis's profiles."""

import os
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

from motenet.bridge.parts import PARTS, Part, probe

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "default")

found = cache(probe)
"""Each part is looked for once a process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        metavar="PART,…",
        help=f"tests that need these parts fail where they are missing, instead of being skipped: {', '.join(PARTS)}",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*parts): skipped, with a reason, on a machine without these parts")
    unknown = [name for name in required(config) if name not in PARTS]
    if unknown:
        raise pytest.UsageError(f"--require: no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")


def required(config: pytest.Config) -> list[str]:
    """The parts that --require names."""
    return [name for name in config.getoption("--require").split(",") if name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail if required, a test whose parts are missing."""
    missing: list[Part] = []
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if name not in PARTS:
                raise pytest.UsageError(f"{item.nodeid} needs {name}, which nobody knows how to look for")
            if not found(name).present:
                missing.append(found(name))
    if not missing:
        return
    reason = "; ".join(f"needs {part.name}: {part.detail} ({part.remedy})" for part in missing)
    if any(part.name in required(item.config) for part in missing):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
