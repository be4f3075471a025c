"""The Lua scripts of the registry: each is one step. Times are seconds of the service's clock, as text.

A script that may have to run twice recognizes its own first run: see `run` and `run_marked` of
`runtime.redis_connection`. Texts that Python wrote are stored unchanged, so no number is rounded.
"""

from __future__ import annotations

from typing import Final

from incoming.registry import DELETION_LEASE, DELIVERY_LEASE
from incoming.runtime.redis_connection import Script

# Keys. Those that end with a colon are the beginning of several. They are stored: no release changes one.
ALL: Final = "incoming:all"
ACTIVE: Final = "incoming:active"
BY_STATE: Final = "incoming:rest:"
TO_DELETE: Final = "incoming:to-delete"
APP: Final = "incoming:app:"
LEASES: Final = "incoming:leases"
HELD: Final = "incoming:held:"
INSTANCES: Final = "incoming:instances"
INSTANCE: Final = "incoming:instance:"
CLOCK: Final = "incoming:clock"
NEWS: Final = "incoming:news"
SHARE: Final = "incoming:share:"

FOREIGN: Final = Script("""-- ARGV zsets, hashes: their names, with an empty one in between
local command, found = 'ZSCORE', {}
for _, name in ipairs(ARGV) do
    if name == '' then
        command = 'HGET'
    else
        local reply = redis.pcall(command, name, '')
        if type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE') then
            found[#found + 1] = name
        end
    end
end
return found
""")
"""Returns which of these keys have something else. It needs no right that the others do not need."""

# --- tickets -----------------------------------------------------------------------------------------------

ADD: Final = Script(f"""-- KEYS ticket
-- ARGV id, by, json, token, epoch, deliveries, app, state, receives, index, place there
local by = redis.call('HGET', KEYS[1], 'by')
if by then return by == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'v', 1, 'by', ARGV[2], 'json', ARGV[3], 'token', ARGV[4], 'epoch', ARGV[5],
           'deliveries', ARGV[6], 'app', ARGV[7], 'state', ARGV[8], 'index', ARGV[10])
redis.call('ZADD', '{ALL}', 0, ARGV[1])
redis.call('ZADD', ARGV[10], ARGV[11], ARGV[1])
if ARGV[9] == '1' then redis.call('SADD', '{APP}' .. ARGV[7], ARGV[1]) end
return 1
""")
"""Adds a ticket. Returns 0 if its id is in use."""

CHANGE: Final = Script(f"""-- KEYS ticket
-- ARGV id, version and mark that were seen, by, json, token, epoch, deliveries, state, receives, index, place
-- there, ended at (if it is to be deleted) or ''
local t = redis.call('HMGET', KEYS[1], 'v', 'by', 'app', 'index', 'to_delete')
if not t[1] then return -1 end
if t[1] ~= ARGV[2] or (t[2] or '') ~= ARGV[3] then return t[2] == ARGV[4] and 1 or 0 end
redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], 'by', ARGV[4], 'json', ARGV[5], 'token', ARGV[6], 'epoch', ARGV[7],
           'deliveries', ARGV[8], 'state', ARGV[9], 'index', ARGV[11])
if t[4] ~= ARGV[11] then redis.call('ZREM', t[4], ARGV[1]) end
redis.call('ZADD', ARGV[11], ARGV[12], ARGV[1])
if ARGV[10] == '0' then redis.call('SREM', '{APP}' .. t[3], ARGV[1]) end
if ARGV[13] ~= '' then
    redis.call('HSET', KEYS[1], 'to_delete', 1)
    redis.call('ZADD', '{TO_DELETE}', ARGV[13], ARGV[1])
elseif t[5] then
    redis.call('HDEL', KEYS[1], 'to_delete')
    redis.call('ZREM', '{TO_DELETE}', ARGV[1])
end
return 1
""")
"""Replaces a ticket if it is still the one that was seen. Returns 0 if not, -1 if it is unknown."""

FORGET: Final = Script(f"""-- KEYS ticket, manifest; ARGV id
local t = redis.call('HMGET', KEYS[1], 'app', 'index')
if t[1] then
    redis.call('ZREM', t[2], ARGV[1])
    redis.call('SREM', '{APP}' .. t[1], ARGV[1])
end
redis.call('ZREM', '{ALL}', ARGV[1])
redis.call('ZREM', '{TO_DELETE}', ARGV[1])
return redis.call('DEL', KEYS[1], KEYS[2])
""")

# --- leases ------------------------------------------------------------------------------------------------
# A lease is 'INSTANCE\nUNTIL\nKIND\nTOKEN'. No deadline is an empty text. A kind is c (claim) or w (work).

_LEASES: Final = f"""
local ran_s = tonumber(redis.call('HGET', '{CLOCK}', 'ran_us') or 0) / 1000000
local function lives(instance)
    local until_s = redis.call('ZSCORE', '{INSTANCES}', instance)
    return until_s and tonumber(until_s) > ran_s
end
local function read(name)
    local raw = redis.call('HGET', '{LEASES}', name)
    if not raw then return nil end
    local instance, until_s, kind, token = string.match(raw, '^([^\\n]*)\\n([^\\n]*)\\n(.)\\n(.*)$')
    local is_over_at_s = until_s == '' and math.huge or tonumber(until_s)
    return {{instance = instance, until_s = is_over_at_s, kind = kind, token = token}}
end
local function drop(name, lease)
    redis.call('HDEL', '{LEASES}', name)
    redis.call('ZREM', '{HELD}' .. lease.instance, name)
end
local function write(name, instance, until_s, kind, token)
    local raw = table.concat({{instance, until_s, kind, token}}, '\\n')
    redis.call('HSET', '{LEASES}', name, raw)
    redis.call('ZADD', '{HELD}' .. instance, until_s == '' and 'inf' or until_s, name)
end
"""

TAKE: Final = Script(f"""-- ARGV id, token, instance, until, is repeated{_LEASES}
local lease, before = read(ARGV[1]), nil
if lease then
    if lives(lease.instance) or lease.instance == ARGV[3] then before = lease.token end
    if ARGV[5] == '1' and before == ARGV[2] then before = nil end
    drop(ARGV[1], lease)
end
write(ARGV[1], ARGV[3], ARGV[4], 'c', ARGV[2])
return before or false
""")

ACQUIRE: Final = Script(f"""-- ARGV name, token, instance, until, now{_LEASES}
local lease = read(ARGV[1])
if lease then
    local is_live = lives(lease.instance) or lease.instance == ARGV[3]
    if lease.token ~= ARGV[2] and is_live and lease.until_s > tonumber(ARGV[5]) then return 0 end
    drop(ARGV[1], lease)
end
write(ARGV[1], ARGV[3], ARGV[4], 'w', ARGV[2])
return 1
""")

RENEW: Final = Script(f"""-- ARGV id, token, instance, until{_LEASES}
local lease = read(ARGV[1])
if not lease or lease.token ~= ARGV[2] then return 0 end
if not lives(lease.instance) and lease.instance ~= ARGV[3] then return 0 end
if lease.until_s < tonumber(ARGV[4]) then write(ARGV[1], lease.instance, ARGV[4], lease.kind, ARGV[2]) end
return 1
""")

RELEASE: Final = Script(f"""-- ARGV id, token, instance, over at or '', is repeated{_LEASES}
local lease = read(ARGV[1])
if not lease then return tonumber(ARGV[5]) end
if lease.token ~= ARGV[2] then return 0 end
if ARGV[4] ~= '' and lease.until_s > tonumber(ARGV[4]) then
    if lives(lease.instance) or lease.instance == ARGV[3] then return 0 end
end
drop(ARGV[1], lease)
return 1
""")

HOLDER: Final = Script(f"""-- ARGV id, instance{_LEASES}
local lease = read(ARGV[1])
if lease and (lives(lease.instance) or lease.instance == ARGV[2]) then return lease.token end
return false
""")

EXPIRED: Final = Script(f"""-- ARGV instance, now, most{_LEASES}
local found = {{}}
local function collect(instance, until_s)
    local key = '{HELD}' .. instance
    local names = redis.call('ZRANGEBYSCORE', key, '-inf', until_s, 'LIMIT', 0, ARGV[3])
    for _, name in ipairs(names) do
        local lease = read(name)
        if not lease or lease.instance ~= instance then
            redis.call('ZREM', key, name)
        elseif lease.kind == 'w' then
            drop(name, lease)
        else
            found[#found + 1] = name
            found[#found + 1] = lease.token
        end
    end
end
collect(ARGV[1], ARGV[2])
for _, instance in ipairs(redis.call('ZRANGEBYSCORE', '{INSTANCES}', '-inf', ran_s)) do
    if instance ~= ARGV[1] then
        collect(instance, '+inf')
        if redis.call('EXISTS', '{HELD}' .. instance) == 0 then
            redis.call('ZREM', '{INSTANCES}', instance)
            redis.call('DEL', '{INSTANCE}' .. instance)
        end
    end
end
return found
""")
"""Finds what this instance holds for too long, and what instances hold that do not live any more."""

# --- shares ------------------------------------------------------------------------------------------------
# A share is 'INSTANCE\nBYTES', in a hash for each source, by upload.

ADMIT: Final = Script(f"""-- KEYS shares of a source; ARGV upload, instance, bytes, limit, kept for s{_LEASES}
local total, is_alive = tonumber(ARGV[3]), {{[ARGV[2]] = true}}
local shares = redis.call('HGETALL', KEYS[1])
for i = 1, #shares, 2 do
    local instance, bytes = string.match(shares[i + 1], '^([^\\n]*)\\n(.*)$')
    if is_alive[instance] == nil then is_alive[instance] = lives(instance) or false end
    if not is_alive[instance] then
        redis.call('HDEL', KEYS[1], shares[i])
    elseif shares[i] ~= ARGV[1] then
        total = total + tonumber(bytes)
    end
end
if total > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '\\n' .. ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
""")
"""Counts an upload for its source. Returns 0, and changes nothing, where that would exceed the limit."""

KEEP: Final = Script("""-- ARGV instance, kept for s; then by upload: shares of its source, id, bytes or ''
for i = 3, #ARGV, 3 do
    local key, upload, bytes = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local share = redis.call('HGET', key, upload)
    if share and string.match(share, '^[^\\n]*') == ARGV[1] then
        if bytes == '' then
            redis.call('HDEL', key, upload)
        else
            redis.call('HSET', key, upload, ARGV[1] .. '\\n' .. bytes)
            redis.call('EXPIRE', key, ARGV[2])
        end
    end
end
return 1
""")
"""Changes, or ends, shares that this instance still counts."""

# --- what is due -------------------------------------------------------------------------------------------

ACTIVE_PAGE: Final = Script(f"""-- ARGV after, count, now{_LEASES}
local ids = redis.call('ZRANGEBYLEX', '{ACTIVE}', ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local found = {{#ids == tonumber(ARGV[2]) and ids[#ids] or false}}
for _, id in ipairs(ids) do
    local is_uploading = redis.call('HGET', 'incoming:{{' .. id .. '}}:t', 'state') == 'uploading'
    local lease = read(is_uploading and id or '{DELIVERY_LEASE}' .. id)
    local is_cared_for = lease and lives(lease.instance)
    if is_cared_for and not is_uploading then is_cared_for = lease.until_s > tonumber(ARGV[3]) end
    if not is_cared_for then found[#found + 1] = id end
end
return found
""")
"""Returns the last id of a full page, else nil; then the ids that nobody takes care of."""

STATE_PAGE: Final = Script("""-- KEYS rest; ARGV since, after, before, count
local ids, offset, count = {}, 0, tonumber(ARGV[4])
while #ids < 2 * count do
    local range = {ARGV[1], '(' .. ARGV[3], 'WITHSCORES', 'LIMIT', offset, count}
    local page = redis.call('ZRANGEBYSCORE', KEYS[1], unpack(range))
    if #page == 0 then break end
    for i = 1, #page, 2 do
        if page[i + 1] ~= ARGV[1] or page[i] > ARGV[2] then
            ids[#ids + 1] = page[i]
            ids[#ids + 1] = page[i + 1]
        end
    end
    offset = offset + count
end
return ids
""")
"""Returns ids and times of a page, those that rest longest first.

Of those with the time `since`, it returns only the ids after `after`.
"""

NOT_DELETED: Final = Script(f"""-- ARGV now, ids{_LEASES}
local found = {{}}
for i = 2, #ARGV do
    local lease = read('{DELETION_LEASE}' .. ARGV[i])
    if redis.call('EXISTS', 'incoming:{{' .. ARGV[i] .. '}}:t') == 0 then
        redis.call('ZREM', '{TO_DELETE}', ARGV[i])
    elseif not (lease and lives(lease.instance) and lease.until_s > tonumber(ARGV[1])) then
        found[#found + 1] = ARGV[i]
    end
end
return found
""")
"""Returns those of these ids whose files nobody deletes at the moment.

An older version forgets a ticket without its entry here.
"""

# --- time, and instances -----------------------------------------------------------------------------------

TICK: Final = Script(f"""-- ARGV longest tick in us, least time of the service in us
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local clock = redis.call('HMGET', '{CLOCK}', 'ran_us', 'at_us')
local ran_us, at_us = tonumber(clock[1]) or 0, tonumber(clock[2]) or now_us
ran_us = ran_us + math.max(0, math.min(now_us - at_us, tonumber(ARGV[1])))
ran_us = string.format('%.0f', math.max(ran_us, tonumber(ARGV[2])))
redis.call('HSET', '{CLOCK}', 'ran_us', ran_us, 'at_us', string.format('%.0f', now_us))
return ran_us
""")
"""Moves the service's clock on, and returns how many microseconds the service has run."""

BEAT: Final = Script(f"""-- ARGV instance, life in s, facts
local ran_s = tonumber(redis.call('HGET', '{CLOCK}', 'ran_us') or 0) / 1000000
redis.call('ZADD', '{INSTANCES}', string.format('%.6f', ran_s + ARGV[2]), ARGV[1])
redis.call('SET', '{INSTANCE}' .. ARGV[1], ARGV[3])
return 1
""")

LIVING: Final = Script(f"""-- names and facts of the instances that live
local ran_s = tonumber(redis.call('HGET', '{CLOCK}', 'ran_us') or 0) / 1000000
local found = {{}}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', '{INSTANCES}', '(' .. ran_s, '+inf')) do
    found[#found + 1] = name
    found[#found + 1] = redis.call('GET', '{INSTANCE}' .. name) or '{{}}'
end
return found
""")

LEAVE: Final = Script(f"""-- ARGV instance: it does not live any more; what it holds is collected by others
redis.call('ZADD', '{INSTANCES}', 'XX', 0, ARGV[1])
return 1
""")
