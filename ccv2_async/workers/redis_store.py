"""The store of the workers' jobs in Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisError, ResponseError
from taskiq.exceptions import SendTaskError

from ccv2_async import errors
from ccv2_async.transport.quota.redis_window import open_redis
from ccv2_async.uploads.ledger import BulkState, Entry
from ccv2_async.workers.stores import JobStore, StoreUnavailable, as_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ccv2_async.uploads.ledger import Line
    from ccv2_async.workers.records import JobRecord
    from ccv2_async.workers.stores import Index, Over

T = TypeVar("T")

_REDIS_SECONDS = 2.0
# One script writes everything about a record, so that no crash leaves half of it.
_SAVE = """
local job, lock, ids, replaceable = unpack(KEYS, 1, 4)
local key, document, file_id, holder, over, job_life, ids_life = unpack(ARGV, 1, 7)
if holder ~= '' and redis.call('GET', lock) ~= holder then return 0 end
if over ~= 'any' and redis.call('EXISTS', job) == 1
  and not redis.call('ZSCORE', replaceable, key) then return 0 end
redis.call('SET', job, document)
for i = 5, #KEYS do
  redis.call('ZREM', KEYS[i], key)
  if ARGV[3 + i] ~= '' then redis.call('ZADD', KEYS[i], ARGV[3 + i], key) end
end
if job_life ~= '' then redis.call('PEXPIRE', job, job_life) end
if file_id ~= '' then
  redis.call('SADD', ids, file_id)
  if ids_life ~= '' then redis.call('PEXPIRE', ids, ids_life) end
end
return 1
"""
# The new end of a lock: milliseconds from now, or 0 to release it.
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


def _yes(response: bool | None) -> bool:
    """Return whether Redis did what was asked."""
    if response in (None, 0, 1):
        return bool(response)
    raise ValueError("neither yes nor no")


class RedisStore(JobStore):
    """Jobs in a Redis database, for workers on any number of machines.

    Turn on Redis's append-only file (`appendonly yes`) and turn off eviction (`maxmemory-policy
    noeviction`): what Redis forgets, the workers forget.

    Args:
        url: The URL of Redis.
        namespace: The prefix of all keys. Workers of other accounts need a different one.
        now: Returns the seconds since 1970.
        keep: Seconds for which settled jobs and their keys are kept; None means forever.

    Raises:
        UsageError: The URL is not a Redis URL.
    """

    def __init__(
        self, url: str, *, namespace: str, now: Callable[[], float], keep: float | None
    ) -> None:
        super().__init__(now=now, keep=keep)
        self._redis = open_redis(url, connect_timeout=_REDIS_SECONDS)
        self._namespace = namespace
        self._save_script = self._redis.register_script(_SAVE)
        self._renew_script = self._redis.register_script(_RENEW)

    async def open(self) -> None:
        """Check that Redis answers; connections are made when they are needed."""
        await answered(self._redis.ping(), _yes)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Set the time at which a job needs attention, if it is still in this line."""
        await answered(self._redis.zadd(self._name("line", line), {key: at}, xx=True))

    async def counts(self) -> dict[BulkState, int]:
        """Return how many jobs are in each state."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for state in BulkState:
                pipe.zcard(self._name("state", str(state)))
            return await answered(
                pipe.execute(),
                lambda counts: {s: int(n) for s, n in zip(BulkState, counts, strict=True) if n},
            )

    async def file_ids(self, lock: str) -> Sequence[str]:
        """Return the library IDs of all uploads that shared a lock."""
        return await answered(
            self._redis.smembers(self._name("ids", lock)), lambda ids: [*map(as_text, ids)]
        )

    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for this long if it is free; return whether it was free."""
        name, milliseconds = self._name("lock", lock), int(seconds * 1000)
        return await answered(self._redis.set(name, holder, nx=True, px=milliseconds), _yes)

    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold the lock for this long from now; return False if it was lost in the meantime."""
        arguments: list[Any] = [holder, int(seconds * 1000)]
        return await answered(self._renew_script([self._name("lock", lock)], arguments), _yes)

    async def release(self, lock: str, holder: str) -> None:
        """Release the lock if it is still held."""
        await self.renew(lock, holder, 0)

    async def is_held(self, lock: str, seconds: float) -> bool:  # noqa: ARG002  # Redis ends it
        """Return whether the lock, which is taken for this long, is held."""
        return await answered(self._redis.exists(self._name("lock", lock)), _yes)

    async def _document(self, key: str) -> bytes | str | None:
        return await answered(self._redis.get(self._name("job", key)))

    async def _write(self, record: JobRecord, *, holder: str, over: Over) -> bool:
        scores: dict[str, float | str] = {
            self._name("line", line): record.attend_at if record.line == line else ""
            for line in ("send", "follow")
        } | {
            self._name("state", state): record.updated if record.state is state else ""
            for state in BulkState
        }
        keep = int((self._keep or 0) * 1000)
        life, facts = keep if keep and record.settled else "", (record.to_json(), record.file_id)
        arguments = [record.key, *facts, holder, over, life, 2 * keep or "", *scores.values()]
        names = ("job", record.key), ("lock", record.lock), ("ids", record.lock), ("state", over)
        keys = [*(self._name(*parts) for parts in names), *scores]
        return await answered(self._save_script(keys, arguments), _yes)

    async def _forget(self, before: float) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in BulkState:
                if Entry(state=state).settled:
                    pipe.zremrangebyscore(self._name("state", state), "-inf", before)
            await answered(pipe.execute())

    async def _page(
        self, index: Index, value: str, start: int, most: int
    ) -> list[tuple[str, bytes | str | None, float]]:
        name, end = self._name(index, value), start + most - 1
        ranked = self._redis.zrange(name, start, end, desc=index == "state", withscores=True)
        found = await answered(ranked, lambda rows: [(as_text(key), float(at)) for key, at in rows])
        if not found:
            return []
        names = [self._name("job", key) for key, _ in found]
        return await answered(
            self._redis.mget(names),
            lambda documents: [
                (key, kept, at) for (key, at), kept in zip(found, documents, strict=True)
            ],
        )

    def _name(self, *parts: str) -> str:
        return ":".join((self._namespace, *parts))


async def answered(command: Awaitable[Any], read: Callable[[Any], T] = lambda found: found) -> T:
    """Return Redis's response to a command of a store or of the queue, as `read` returns it.

    Raises:
        StoreUnavailable: No response arrived in time, or it is not a valid Redis response.
    """
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            return read(await command)
    except errors.ConstantContactError:
        raise
    except (RedisError, OSError, TimeoutError, SendTaskError) as error:
        what = "refused a command" if isinstance(error, ResponseError) else "does not answer"
        why = type(error.__cause__ or error).__name__
        if why in ("TimeoutError", "CancelledError"):
            why = f"no response within {_REDIS_SECONDS:g} seconds"
    except Exception as error:  # noqa: BLE001  # of `read` or redis-py, for an odd response
        what, why = "sent an invalid response", type(error).__name__
    raise StoreUnavailable(
        f"Redis {what} ({why}). All work that was done is recorded. Check that Redis is "
        "running and can be reached, then try again."
    )
