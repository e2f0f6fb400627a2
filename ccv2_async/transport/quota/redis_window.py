"""The API key's quota in Redis: a moving window of the `limits` library, paced and in lanes.

The data has the format of `limits` itself (a list of times for the second, a counter for the day),
so its own tools can read it. Four things differ from its moving window, in one script that Redis
runs atomically:

- The time is Redis's own, apart from the day. The clocks of machines differ, which would let too
  many calls through.
- The window is a margin wider than a second: two calls sent a second apart may arrive a little
  closer, and some processes take longer to send an allowed call.
- Once half of the window is used, calls are evenly spaced. Whole bursts would load the network and
  the service unevenly, and calls would move closer together on their way.
- A process that must wait leaves a claim for its lane, so that no process takes a slot for a bulk
  call while an interactive call waits in another one.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from typing import TYPE_CHECKING

import attrs
from limits import RateLimitItemPerDay, RateLimitItemPerSecond
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse

from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from ccv2_async.secret import Secret

NAMESPACE = "ccv2"
SEEN_SECONDS = 60
CLAIM_SECONDS = 0.25
"""Seconds for which a slot is kept for a call of a higher lane after it was due."""

ONE_MORE_TRY: Retry = Retry(NoBackoff(), 1)
"""One more try of a command, for a connection that broke while it was idle."""

_MOST_SEEN = 1_000_000
_WORDS = ("go", "wait", "over")

_SCRIPT = """
local window_key, day_key, state_key, seen_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, known = ARGV[1], ARGV[15]
local numbers = {}
for place = 2, 14 do numbers[place] = tonumber(ARGV[place]) end
local lane, limit, window, gap, per_day, settle, claim, seen_for = unpack(numbers, 2, 9)
local pause, end_in, unreported, reported, recent = unpack(numbers, 10, 14)

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function stamp(time) return string.format('%.6f', time) end

local state = redis.call('HMGET', state_key, 'epoch', 'paused', 'ended', 'asked')
local epoch = state[1] or me .. stamp(now)
local paused, ended = tonumber(state[2] or 0), tonumber(state[3] or 0) or 0
if tonumber(state[4] or 0) > now + 1 then
  -- The clock was set back: every time kept so far lies in the future.
  redis.call('DEL', window_key, seen_key, KEYS[5], KEYS[6])
  paused, ended = now + window, 0
  redis.call('HSET', state_key, 'paused', stamp(paused), 'ended', 0)
end
redis.call('HSET', state_key, 'asked', stamp(now), 'epoch', epoch)
redis.call('EXPIRE', state_key, 172800)

redis.call('ZADD', seen_key, stamp(now), me)
redis.call('ZREMRANGEBYSCORE', seen_key, '-inf', stamp(now - seen_for))
redis.call('EXPIRE', seen_key, 172800)
local seen = redis.call('ZCARD', seen_key)

if unreported > 0 then
  -- Another report may have arrived although its response did not, even a later one.
  local known_total = math.max(reported, tonumber(redis.call('GET', KEYS[7]) or 0))
  local total = math.max(known_total, reported + unreported)
  redis.call('INCRBY', day_key, total - known_total)
  redis.call('EXPIRE', day_key, 172800)
  redis.call('SET', KEYS[7], total, 'EX', 172800)
end
if end_in > 0 then
  ended = math.max(ended, now + end_in)
  redis.call('HSET', state_key, 'ended', stamp(ended))
end
if pause > 0 and now + pause > paused then
  paused = now + pause
  redis.call('HSET', state_key, 'paused', stamp(paused))
end
local used = tonumber(redis.call('GET', day_key) or 0)
if ended > now or (per_day > 0 and used >= per_day) then
  return {'over', stamp(math.max(0, ended - now)), used, seen, epoch}
end

local newest = tonumber(redis.call('LINDEX', window_key, 0) or 0)
if newest > now + 1 then
  redis.call('DEL', window_key)
  newest = 0
end
if known ~= '' and known ~= epoch then
  if newest < now - window and paused <= now then
    paused = now + settle
    redis.call('HSET', state_key, 'paused', stamp(paused))
  end
  -- Calls without Redis: as if they were made now, so that the list stays in order.
  for _ = 1, math.min(limit, recent) do redis.call('LPUSH', window_key, stamp(now)) end
  if limit > 0 then redis.call('LTRIM', window_key, 0, limit - 1) end
  return {'wait', stamp(window), used, seen, epoch}
end

local free = paused
if limit > 0 then
  local oldest = tonumber(redis.call('LINDEX', window_key, limit - 1) or 0)
  free = math.max(free, oldest + window)
  local half = math.floor(limit / 2)
  if half > 0 then
    local middle = tonumber(redis.call('LINDEX', window_key, half - 1) or 0)
    if middle > now - window then free = math.max(free, newest + gap) end
  end
end
local wait = free - now
redis.call('ZREM', KEYS[5], me)
redis.call('ZREM', KEYS[6], me)
if wait <= 0 then
  for above = 0, lane - 1 do
    redis.call('ZREMRANGEBYSCORE', KEYS[5 + above], '-inf', stamp(now))
    if redis.call('ZCARD', KEYS[5 + above]) > 0 then wait = gap end
  end
end
if wait > 0 then
  if lane < 2 then
    redis.call('ZADD', KEYS[5 + lane], stamp(now + wait + claim), me)
    redis.call('EXPIRE', KEYS[5 + lane], math.ceil(wait + claim) + 1)
  end
  return {'wait', stamp(wait), used, seen, epoch}
end
if limit > 0 then
  redis.call('LPUSH', window_key, stamp(now))
  redis.call('LTRIM', window_key, 0, limit - 1)
  redis.call('EXPIRE', window_key, math.ceil(window) + 60)
end
used = redis.call('INCR', day_key)
redis.call('EXPIRE', day_key, 172800)
return {'go', '0', used, seen, epoch}
"""


@attrs.frozen
class Reply:
    """The response from Redis.

    Attributes:
        word: "go", "wait", or "over" for the day.
        wait: Seconds until asking again makes sense; 0 if the day's count is used up.
        used: The number of calls that all processes made today.
        seen: The number of processes that asked within the last minute.
        epoch: The ID of the state of Redis. It changes when Redis loses its state.
    """

    word: str
    wait: float
    used: int
    seen: int
    epoch: bytes | str


class PacedWindow:
    """The quota of one API key, for one of the processes that share it.

    Args:
        url: The URL of Redis: `redis://host:port/0`, `rediss://` or `unix://`.
        api_key: The key; only a digest of it goes to Redis.
        me: A unique name for this process.
        burst: Calls in a window; 0 for no limit.
        window: Its length in seconds, with the margin.
        per_day: Calls in a day; None for no limit.
        settle: Seconds without calls after Redis has lost its data.
        timeout: The maximum number of seconds to wait for Redis.

    Raises:
        UsageError: The URL is not a Redis URL.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: Secret[str],
        me: str,
        burst: int,
        window: float,
        per_day: int | None,
        settle: float,
        timeout: float,
    ) -> None:
        self._redis = open_redis(url, connect_timeout=timeout)
        self._script = self._redis.register_script(_SCRIPT)
        salted = hashlib.sha256(b"ccv2_async shared quota 1\n" + api_key.reveal().encode())
        # In braces, so that a Redis cluster keeps all keys together.
        self._key = f"{{{salted.hexdigest()[:24]}}}"
        self._second = RateLimitItemPerSecond(max(1, burst), namespace="quota")
        self._day = RateLimitItemPerDay(per_day or 1, namespace="quota")
        self._me = me
        gap = window / burst if burst else 0.0
        self._limits = (burst, window, gap, per_day or 0, settle, CLAIM_SECONDS, SEEN_SECONDS)
        self._timeout = timeout

    async def ask(
        self,
        lane: int,
        day: int,
        *,
        pause: float,
        end: float,
        unreported: int,
        reported: int,
        recent: int,
        epoch: bytes | str,
    ) -> Reply:
        """Ask whether a call may be sent now; it is then counted.

        Args:
            lane: The highest lane of this process's waiting calls: 0, 1 or 2.
            day: The day, in days since 1970 (UTC).
            pause: Seconds for which the service does not want calls; 0 for none.
            end: Seconds for which the service's daily quota is used up; 0 if it is not.
            unreported: The number of calls that were made while Redis was unavailable, and of which
                it has not confirmed the report.
            reported: The number of such calls of which it has.
            recent: How many of them still count in the window.
            epoch: The last epoch that the process knows; "" at first. After an outage it differs
                from the epoch of Redis, so that no process starts before all of them know that the
                outage is over.

        Raises:
            RedisError: Redis is unavailable, or the server is not Redis.
            TimeoutError: It does not answer in time.
            Exception: redis-py cannot read the response from a server that is not Redis.
        """
        names = (
            self._second.key_for(self._key),
            self._day.key_for(self._key, str(day)),
            *(f"quota/{self._key}/{name}" for name in ("state", "seen", "lane/0", "lane/1")),
            f"quota/{self._key}/reported/{self._me}",
        )
        keys = [f"{NAMESPACE}:{name}" for name in names]
        news = (pause, end, unreported, reported, recent, epoch)
        async with asyncio.timeout(self._timeout):
            reply = await self._script(keys, (self._me, lane, *self._limits, *news))
        try:
            word, wait, used, seen, current = reply
            word = word.decode() if isinstance(word, bytes) else str(word)
            found = Reply(word, float(wait), int(used), int(seen), current)
        except (TypeError, ValueError):
            raise InvalidResponse("not a response of the script") from None
        if found.word not in _WORDS or not 0.0 <= found.wait < math.inf or found.seen > _MOST_SEEN:
            raise InvalidResponse("not a response of the script")
        return found

    def forget_connections(self) -> None:
        """Use new connections from now on, because those of an ended event loop are dead."""
        self._redis.connection_pool.reset()  # type: ignore[no-untyped-call]  # documented

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.connection_pool.aclose()
        await self._redis.aclose()


def open_redis(url: str, *, connect_timeout: float) -> Redis:
    """Return a client of Redis. Limit each of its commands with `asyncio.timeout`.

    It has no time limit, because redis-py would use `asyncio.wait_for`, which in Python 3.11 may
    swallow a cancellation just after a command was sent.

    Args:
        url: `redis://host:port/0`, `rediss://` or `unix://`.
        connect_timeout: The maximum number of seconds for making a connection.

    Raises:
        UsageError: The URL is invalid. The message does not show it, because it may hold a
            password.
    """
    try:
        return Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=connect_timeout, retry=ONE_MORE_TRY
        )
    except (ValueError, AttributeError):  # the latter if it is not a string
        raise UsageError(
            "Invalid Redis URL: expected redis://HOST:PORT/0, rediss://, or unix://."
        ) from None
