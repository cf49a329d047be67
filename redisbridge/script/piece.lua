-- piece adds bytes to an upload, if all that comes before them is there. A repeated piece
-- changes nothing.
--
-- KEYS  1 the upload
-- ARGV  1 how many bytes come before   2 the bytes   3 the upload's life, ms
-- Gives 1, or 0 where the upload isn't as long as that.

local length = redis.call('STRLEN', KEYS[1])
if length == tonumber(ARGV[1]) then
  redis.call('APPEND', KEYS[1], ARGV[2])
elseif length ~= tonumber(ARGV[1]) + #ARGV[2] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
