-- controls sets what operators want of caches, or puts back what was lost.
--
-- KEYS  3 the controls
-- ARGV  own+1 0, or the version to put back, if what is there is older   own+2 most settings
--       own+3… a setting, "<cache> <name>", and its value; empty: none
-- Gives epoch, sequence and the present ms.

local controls, back = KEYS[3], tonumber(ARGV[own + 1])
local version = tonumber(redis.call('HGET', controls, 'version') or '0')
if back > 0 and back <= version then return {epoch, text(seq), now} end
if back > 0 then
  redis.call('DEL', controls)
elseif redis.call('HLEN', controls) + (#ARGV - own - 2) / 2 > tonumber(ARGV[own + 2]) then
  return redis.error_reply('TOOMANY controls set: at most ' .. ARGV[own + 2])
end
-- Greater than every one before, also where those are forgotten.
redis.call('HSET', controls, 'version', text(back > 0 and back or math.max(now, version + 1)))
for i = own + 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', controls, ARGV[i])
  else
    redis.call('HSET', controls, ARGV[i], ARGV[i + 1])
  end
end
take('c', '')
stand()
return {epoch, text(seq), now}
