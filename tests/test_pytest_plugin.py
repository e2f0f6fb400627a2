"""The fixtures as users run them: each test here starts its own pytest."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

USE = """
    async def use(client, tmp_path):
        path = tmp_path / "menu.png"
        path.write_bytes(b"content")
        file = await client.library.upload(path)
        assert file.status == "Active"
        assert [found.id async for found in client.library.files()] == [file.id]
        return file
"""
STRICT = (
    "-W",
    "error",
    "-p",
    "no:cacheprovider",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


@pytest.fixture
def users(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project, whose warnings are errors."""
    pytester.makeini("[pytest]")  # or pytest takes that of a directory above it
    pytester.makepyfile(use=USE)
    pytester.syspathinsert()
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*STRICT, *options)


@pytest.mark.parametrize("options", [(), ("-o", "asyncio_default_test_loop_scope=session")])
def test_an_asyncio_test_gets_a_client_in_its_own_loop_whatever_the_loops_scope(
    users: pytest.Pytester, options: tuple[str, ...]
) -> None:
    users.makepyfile(
        """
        import pytest
        from use import use

        @pytest.mark.asyncio
        async def test_default(ccv2_client, tmp_path):
            await use(ccv2_client, tmp_path)

        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(ccv2_client, tmp_path):
            await use(ccv2_client, tmp_path)

        class TestClass:
            pytestmark = pytest.mark.asyncio(loop_scope="class")

            async def test_class(self, ccv2_client, tmp_path):
                await use(ccv2_client, tmp_path)

            @pytest.mark.asyncio(loop_scope="function")
            async def test_function(self, ccv2_client, tmp_path):
                await use(ccv2_client, tmp_path)

        @pytest.mark.asyncio(loop_scope="session")
        async def test_session(ccv2_client, tmp_path):
            await use(ccv2_client, tmp_path)
        """
    )
    run(users, *options).assert_outcomes(passed=5)


def test_a_strict_mode_asyncio_test_gets_an_open_client(
    users: pytest.Pytester,
) -> None:
    users.makepyfile(
        """
        import pytest
        import pytest_asyncio
        from use import use

        @pytest_asyncio.fixture
        async def uploaded(ccv2_client, tmp_path):
            yield await use(ccv2_client, tmp_path)
            assert await ccv2_client.library.files().first()

        @pytest.mark.asyncio
        async def test_it(ccv2_client, uploaded):
            assert (await ccv2_client.library.get_file(uploaded.id)).name == "menu.png"
        """
    )
    run(users, "-o", "asyncio_mode=strict").assert_outcomes(passed=1)


def test_an_auto_mode_asyncio_test_gets_an_open_client(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        from use import use

        async def test_it(ccv2_client, tmp_path):
            await use(ccv2_client, tmp_path)
        """
    )
    run(users, "-o", "asyncio_mode=auto").assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [(), ("-p", "no:asyncio")])
def test_an_anyio_test_gets_an_open_client(
    users: pytest.Pytester, options: tuple[str, ...]
) -> None:
    users.makepyfile(
        """
        import pytest
        from use import use

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def uploaded(ccv2_client, tmp_path):
            return await use(ccv2_client, tmp_path)

        async def test_it(ccv2_client, uploaded):
            assert (await ccv2_client.library.get_file(uploaded.id)).name == "menu.png"
        """
    )
    given = [option for option in STRICT if not (options and option.startswith("asyncio_"))]
    if options:
        given.remove("-o")
    users.runpytest_subprocess(*given, *options).assert_outcomes(passed=1)


def test_a_sync_test_can_open_the_client_in_its_own_loop(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import asyncio
        from use import use

        def test_it(ccv2_client, tmp_path):
            async def main():
                async with ccv2_client as client:
                    await use(client, tmp_path)

            asyncio.run(main())
        """
    )
    run(users).assert_outcomes(passed=1)


def test_tests_do_not_share_state(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import pytest
        from use import use

        @pytest.mark.parametrize("turn", [1, 2])
        async def test_it(ccv2_client, ccv2_sandbox, tmp_path, turn):
            assert ccv2_sandbox.admin.files() == []
            assert ccv2_sandbox.admin.settings()["mode"] == "at_once"
            await use(ccv2_client, tmp_path)
            ccv2_sandbox.admin.configure(mode="looks", looks=9)
            ccv2_sandbox.admin.fault("hang", times=None)
        """
    )
    run(users, "-o", "asyncio_mode=auto").assert_outcomes(passed=2)


def test_slow_jobs_and_faults_do_not_slow_down_tests(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import time
        from use import use

        async def test_it(ccv2_client, ccv2_sandbox, tmp_path):
            ccv2_sandbox.admin.configure(mode="looks", looks=3)
            ccv2_sandbox.admin.fault("unavailable", "GET")
            clock = ccv2_client._clock
            clock_began, began = clock.monotonic(), time.monotonic()
            await use(ccv2_client, tmp_path)
            seconds = time.monotonic() - began
            assert clock.monotonic() - clock_began >= 9.9 * seconds
        """
    )
    run(users, "-o", "asyncio_mode=auto").assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_descriptions(users: pytest.Pytester) -> None:
    result = run(users, "--fixtures")
    result.stdout.fnmatch_lines(
        ["*ccv2_sandbox*", "*A running sandbox*", "*ccv2_client*", "*A client of*"]
    )


def test_loading_the_plugin_imports_neither_the_client_nor_the_sandbox() -> None:
    code = """
import sys
import pytest
import ccv2_async.pytest_plugin
for name in ("httpx", "anyio", "aiofiles", "orjson", "starlette", "uvicorn"):
    assert name not in sys.modules, name
print(sorted(name for name in sys.modules if name.startswith("ccv2_async")))
"""
    ran = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "ccv2_async.client" not in ran.stdout


def test_a_run_without_the_fixtures_starts_no_sandbox(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import sys

        def test_it():
            for name in ("starlette", "uvicorn", "ccv2_async.sandbox"):
                assert name not in sys.modules
        """
    )
    run(users).assert_outcomes(passed=1)


def test_a_marker_gives_the_sandbox_its_arguments(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.ccv2_sandbox(seed="demo", latency=0.5)

        def test_of_the_module(ccv2_sandbox):
            settings = ccv2_sandbox.admin.settings()
            assert (settings["mode"], settings["latency"]) == ("at_once", 0.5)
            assert ccv2_sandbox.admin.state()["contacts"] == 120

        @pytest.mark.ccv2_sandbox(latency=0, mode="looks", host="localhost")
        def test_of_its_own(ccv2_sandbox):
            settings = ccv2_sandbox.admin.settings()
            assert (settings["mode"], settings["latency"]) == ("looks", 0)
            assert ccv2_sandbox.admin.state()["contacts"] == 120
        """
    )
    run(users, "--strict-markers").assert_outcomes(passed=2)
