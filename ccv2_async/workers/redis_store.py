"""The workers' jobs in Redis: for workers on any number of machines.

Switch on Redis's append-only file (`appendonly yes`): what Redis forgets, the workers forget.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.transport.quota.redis_client import open_redis
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.store import JobStore, StoreUnavailable, readable, required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ccv2_async.uploads.ledger import Line
    from ccv2_async.workers.records import JobRecord

_TIMEOUT = 2.0

# Everything about a record is written by one script, so that no death leaves half of it.
_SAVE = """
local job, lock, ids, line_send, line_follow = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local key, document, line, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local attend_at, now, keep = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local file_id, holder, only_new = ARGV[8], ARGV[9], ARGV[10] == '1'
if holder ~= '' and redis.call('GET', lock) ~= holder then return 0 end
if only_new and redis.call('EXISTS', job) == 1 then return 0 end
redis.call('SET', job, document)
redis.call('ZREM', line_send, key)
redis.call('ZREM', line_follow, key)
if line == 'send' then redis.call('ZADD', line_send, attend_at, key) end
if line == 'follow' then redis.call('ZADD', line_follow, attend_at, key) end
for i = 6, #KEYS do
  redis.call('ZREM', KEYS[i], key)
  if ARGV[5 + i] == state then redis.call('ZADD', KEYS[i], now, key) end
end
if file_id ~= '' then redis.call('SADD', ids, file_id) end
if keep > 0 then
  if line == 'settled' then
    redis.call('PEXPIRE', job, keep * 1000)
    for i = 6, #KEYS do
      local name = ARGV[5 + i]
      if name ~= 'pending' and name ~= 'sending' and name ~= 'accepted' then
        redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - keep)
      end
    end
  end
  if file_id ~= '' then redis.call('PEXPIRE', ids, keep * 2000) end
end
return 1
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisStore(JobStore):
    """Jobs in a Redis database.

    Args:
        url: Where Redis is.
        namespace: What all keys begin with; workers of other accounts need another.
        now: Seconds since 1970.
        keep: Seconds for which settled jobs are kept; None for ever. Their keys are known as
            long.

    Raises:
        UsageError: The URL is not one of Redis.
    """

    def __init__(
        self, url: str, *, namespace: str, now: Callable[[], float], keep: float | None
    ) -> None:
        self._redis = open_redis(url, connect_timeout=_TIMEOUT)
        self._namespace = namespace
        self._now = now
        self._keep = keep
        self._save_script = self._redis.register_script(_SAVE)
        self._renew_script = self._redis.register_script(_RENEW)
        self._release_script = self._redis.register_script(_RELEASE)

    async def open(self) -> None:
        """See that Redis answers; connections are made when they are needed."""
        async with _explained():
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def find(self, key: str) -> JobRecord | None:
        """The record of a job, or None."""
        async with _explained():
            document = await self._redis.get(self._name("job", key))
        return required(key, document) if document is not None else None

    async def add(self, record: JobRecord) -> bool:
        """Keep the record if its key is new; whether it was."""
        return await self._save(record, only_new=True)

    async def save(self, record: JobRecord, *, holder: str | None = None) -> bool:
        """Keep the record; with a holder, only while that one holds the record's lock."""
        return await self._save(record, holder=holder or "")

    async def _save(self, record: JobRecord, *, holder: str = "", only_new: bool = False) -> bool:
        now = self._now()
        record = attrs.evolve(record, updated=now)
        states = [str(state) for state in BulkState]
        keys = [
            self._name("job", record.key),
            self._name("lock", record.lock),
            self._name("ids", record.lock),
            self._name("line", "send"),
            self._name("line", "follow"),
            *(self._name("state", state) for state in states),
        ]
        arguments: list[Any] = [
            record.key,
            record.to_json(),
            record.line,
            str(record.state),
            record.attend_at,
            now,
            int(self._keep or 0),
            record.file_id,
            holder,
            int(only_new),
            *states,
        ]
        async with _explained():
            return bool(await self._save_script(keys, arguments))

    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Let a job want attention at another time, if it is still in this line."""
        async with _explained():
            await self._redis.zadd(self._name("line", line), {key: at}, xx=True)

    async def upcoming(self, line: Line, most: int) -> list[JobRecord]:
        """The jobs of a line that want attention first."""
        name = self._name("line", line)
        chosen: list[JobRecord] = []
        start = 0
        while len(chosen) < most:
            async with _explained():
                found: list[Any] = await self._redis.zrange(
                    name, start, start + most - 1, withscores=True
                )
            at = {_text(key): float(score) for key, score in found}
            for key, record in (await self._records(list(at))).items():
                chosen.append(attrs.evolve(record, key=key, attend_at=at[key]))
            if len(found) < most:
                break
            start += most  # some of them cannot be read: those behind them have their turn
        return chosen[:most]

    async def listed(self, state: BulkState, most: int) -> list[JobRecord]:
        """The jobs in a state, the last changed first."""
        name = self._name("state", str(state))
        async with _explained():
            keys: list[Any] = await self._redis.zrange(name, 0, most - 1, desc=True)
        return list((await self._records([_text(key) for key in keys])).values())

    async def counts(self) -> dict[BulkState, int]:
        """How many jobs are in each state."""
        async with _explained(), self._redis.pipeline(transaction=True) as pipe:
            for state in BulkState:
                pipe.zcard(self._name("state", str(state)))
            counts = await pipe.execute()
        return {state: int(n) for state, n in zip(BulkState, counts, strict=True) if n}

    async def file_ids(self, lock: str) -> Sequence[str]:
        """The library's ids of all uploads that shared a lock."""
        async with _explained():
            found = await self._redis.smembers(self._name("ids", lock))
        return [_text(member) for member in found]

    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for so long, if nobody has it."""
        name, milliseconds = self._name("lock", lock), int(seconds * 1000)
        async with _explained():
            return bool(await self._redis.set(name, holder, nx=True, px=milliseconds))

    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold it so long from now on; False when it was lost meanwhile."""
        async with _explained():
            return bool(
                await self._renew_script([self._name("lock", lock)], [holder, int(seconds * 1000)])
            )

    async def release(self, lock: str, holder: str) -> None:
        """Let go of the lock, if it is still held."""
        async with _explained():
            await self._release_script([self._name("lock", lock)], [holder])

    async def is_held(self, lock: str) -> bool:
        """Whether anybody holds the lock."""
        async with _explained():
            return bool(await self._redis.exists(self._name("lock", lock)))

    def _name(self, *parts: str) -> str:
        return ":".join((self._namespace, *parts))

    async def _records(self, keys: Sequence[str]) -> dict[str, JobRecord]:
        """Return those of these jobs' records that are there and can be read."""
        if not keys:
            return {}
        async with _explained():
            documents = await self._redis.mget([self._name("job", key) for key in keys])
        found = {
            key: readable(key, document)
            for key, document in zip(keys, documents, strict=True)
            if document is not None
        }
        return {key: record for key, record in found.items() if record is not None}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    from redis.exceptions import RedisError  # noqa: PLC0415  # the extra

    try:
        async with asyncio.timeout(_TIMEOUT):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(
            f"Redis does not answer ({type(error).__name__}). What was not written was not done; "
            "try again when it is back."
        ) from None
