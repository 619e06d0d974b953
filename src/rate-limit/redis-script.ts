import { createHash } from 'node:crypto';

/** A Lua script for Redis that works on one key, so that in a cluster it runs where that key is. */
export interface RedisScript {
  readonly source: string;
  /** How `EVALSHA` knows it. */
  readonly sha1: string;
}

function defineScript(source: string): RedisScript {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

// Replies of Lua lose the fraction of a number, so amounts and times go as texts.

/** () -> used, ms left; -2 when no window is open. */
export const readWindow = defineScript(`
local used = redis.call('GET', KEYS[1])
if not used then return { '0', -2 } end
return { used, redis.call('PTTL', KEYS[1]) }
`);

/**
 * (amount, limit, window in ms) -> 1 if taken or 0, used, ms left; -2 when no window is open. The limit may be `inf`.
 *
 * A key without an end, which only somebody else can have made, gets one: it would limit for ever.
 */
export const takeFromWindow = defineScript(`
local used = redis.call('GET', KEYS[1]) or '0'
if tonumber(used) + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return { 0, used, redis.call('PTTL', KEYS[1]) } end
used = redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  left = tonumber(ARGV[3])
end
return { 1, used, left }
`);

/** Arguments with which {@link takeFromWindow} changes nothing, and fails wherever it could not count. */
export const takeNothing = [0, 'inf', 0] as const;

/** Whether a script has written, by its reply: those that write begin it with a number, the others with a text. */
export function hasWritten(reply: readonly unknown[]): boolean {
  return reply[0] === 1;
}

/**
 * (requests a second, burst) -> 1 if accepted or 0, ms until the request's turn.
 *
 * What is kept is the moment at which the bucket is empty, by the clock of Redis: those of gateways differ. A clock that was
 * set back must not keep requests out for longer than a full bucket does.
 */
export const leakIntoBucket = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local interval = 1000 / tonumber(ARGV[1])
local longest = (tonumber(ARGV[2]) + 1) * interval
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
turn = math.min(turn, now + longest)
local delay = turn - now
local text = string.format('%.17g', delay)
if delay > (tonumber(ARGV[2]) + 0.0005) * interval then return { 0, text } end
local ttl = math.min(math.ceil(delay + interval), 9007199254740991)
redis.call('SET', KEYS[1], string.format('%.17g', turn + interval), 'PX', string.format('%.0f', ttl))
return { 1, text }
`);
