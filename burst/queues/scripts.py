"""The Lua scripts: what must happen on a shard in one step or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest by which EVALSHA names it."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


FENCED = "FENCED"
"""First word of the error that a script answers to a worker whose lease is over."""

SETTLE = _script("""
-- KEYS lease, settled, done, lane streams...
-- ARGV epoch, number, group, delta, batches, people, accepted, then for each lane: how many ids, the ids
local lease = redis.call('HMGET', KEYS[1], 'epoch', 'settled')
if lease[1] ~= ARGV[1] then return redis.error_reply('FENCED the lease is over') end
if tonumber(lease[2]) >= tonumber(ARGV[2]) then return 0 end
local at, acked, wanted = 8, 0, 0
for lane = 4, #KEYS do
  local count = tonumber(ARGV[at])
  if count > 0 then
    local ids = {}
    for i = 1, count do ids[i] = ARGV[at + i] end
    acked = acked + redis.call('XACK', KEYS[lane], ARGV[3], unpack(ids))
  end
  wanted = wanted + count
  at = at + count + 1
end
if acked ~= wanted then return redis.error_reply('FENCED acknowledged ' .. acked .. ' of ' .. wanted) end
redis.call('HSET', KEYS[1], 'settled', ARGV[2])
redis.call('XADD', KEYS[2], '*', 'd', ARGV[4])
redis.call('HINCRBY', KEYS[3], 'batches', ARGV[5])
redis.call('HINCRBY', KEYS[3], 'people', ARGV[6])
redis.call('HINCRBY', KEYS[3], 'accepted', ARGV[7])
return 1
""")

RENEW = _script("""
-- KEYS lease; ARGV epoch, ttl ms
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

TAKE_OVER = _script("""
-- KEYS dead lease, own lease, stream; ARGV group, dead consumer, own consumer, own epoch, at most
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[4] then return redis.error_reply('FENCED the lease is over') end
local pending = redis.call('XPENDING', KEYS[3], ARGV[1], '-', '+', ARGV[5], ARGV[2])
if #pending == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[3], ARGV[1], ARGV[2])
  return {}
end
local ids = {}
for i, entry in ipairs(pending) do ids[i] = entry[1] end
return redis.call('XCLAIM', KEYS[3], ARGV[1], ARGV[3], 0, unpack(ids))
""")
