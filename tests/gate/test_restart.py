"""A gate that is killed, restarted, or started twice: counters hold, doors come back, one gate at a time."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spe.gate.budget import block_size
from spe.gate.listening import beside
from spe.gate.notebook import open_socket
from tests.gate.support import COOKIE, PERSON, until, world

DAILY = 10_000_000
PIECE = 50_000


async def lump(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"x" * PIECE)


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_a_killed_gate_forgets_no_byte_it_has_sent() -> None:
    async def story() -> list[tuple[int, int]]:
        async with world(lump, daily_bytes=DAILY) as around:
            sent, seen = 0, []
            for _ in range(4):
                for _ in range(7):
                    sent += len((await around.get("api/contents/a"))[2])
                around.kill()
                await around.start()
                seen.append((sent, await around.used()))
            return seen

    seen = run(story())
    for kills, (sent, used) in enumerate(seen, start=1):
        assert sent <= used <= sent + kills * (block_size(DAILY) + 4096)


def test_a_kill_in_the_middle_of_a_flood_does_not_win_anything() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async def story() -> tuple[int, int]:
        async with world(endless, daily_bytes=3_000_000, message_bytes=10**9) as around:
            total = 0
            for _ in range(30):
                reader, writer = await asyncio.open_unix_connection(str(around.inbound))
                path = f"/user/{PERSON}/ws-1/api/contents/a"
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:8000\r\nCookie: {COOKIE}\r\n\r\n".encode())
                first = await reader.read(200_000)
                if b" 429 " in first[:30]:
                    writer.close()
                    break
                around.kill()
                total += first.count(b"x") + (await reader.read(-1)).count(b"x")
                writer.close()
                await around.start()
            return total, await around.used()

    total, used = run(story())
    assert total <= 3_000_000
    assert used <= 3_000_000
    assert used > 2_000_000


def test_a_gate_told_to_stop_keeps_the_exact_figure_and_takes_its_doors_away() -> None:
    async def story() -> tuple[int, int, list[bool]]:
        async with world(lump) as around:
            await around.get("api/contents/a")
            before = await around.used()
            around.stop()
            doors = [around.inbound, around.folder / "control.sock", around.door("hub.sock"), around.door("spe.sock")]
            gone = [path.exists() for path in doors]
            await around.start()
            return before, await around.used(), gone

    before, after, left = run(story())
    assert before == after
    assert not any(left)


def test_doors_left_by_a_kill_are_replaced() -> None:
    async def story() -> list[int]:
        async with world(lump) as around:
            around.kill()
            assert around.inbound.exists()
            beside(around.inbound).write_text("left half done")
            await around.start()
            return [
                (await around.get("api/contents/a"))[0],
                (await around.call("spe.sock", "GET", "/workspace/permit"))[0],
            ]

    assert run(story()) == [200, 200]


def test_a_second_gate_for_the_folder_does_not_start_and_harms_nothing() -> None:
    async def story() -> tuple[int, str, int, bool]:
        async with world(lump) as around:
            inode = around.inbound.stat().st_ino
            second = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "spe.gate", str(around.folder)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            status, _, _ = await around.get("api/contents/a")
            return second.returncode, second.stderr, status, inode == around.inbound.stat().st_ino

    code, said, status, same = run(story())
    assert code == 75
    assert "another gate" in said
    assert status == 200
    assert same


def test_a_second_gate_takes_over_when_the_first_ends() -> None:
    async def story() -> int:
        async with world(lump) as around:
            first = around.process
            starting = asyncio.create_task(around.start())
            await until(lambda: around.process is not first)
            assert first is not None
            first.kill()
            first.wait(10)
            await starting
            await until(around.answers)
            return (await around.get("api/contents/a"))[0]

    assert run(story()) == 200


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_wrong_usage_is_said(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "spe.gate", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_folder_without_a_configuration_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "spe.gate", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "cannot be read" in json.loads(line)["reason"]


def test_damaged_counters_stop_the_start() -> None:
    async def story() -> tuple[int, str]:
        async with world(lump, start=False) as around:
            (around.root / "state").mkdir()
            (around.root / "state" / "gate.sqlite").write_bytes(b"damaged " * 1000)
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "spe.gate", str(around.folder)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            return done.returncode, done.stderr

    code, said = run(story())
    assert code == 1
    assert "cannot be read" in said or "damaged" in said


def test_a_notebooks_socket_is_opened_only_as_a_socket_of_this_account(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "link", "pipe", "missing"):
        with pytest.raises(OSError):
            open_socket(tmp_path / name)


def test_the_counters_are_readable_by_the_own_account_only() -> None:
    async def story() -> int:
        async with world(lump) as around:
            return (around.root / "state" / "gate.sqlite").stat().st_mode & 0o777

    assert run(story()) == 0o600
