-- start reads where the policy stands, makes sure that the epoch is of this server and its
-- data, and turns every deadline that has passed, and every raise that has become due, into
-- a raise with a number and an event: only then may a script give a ticket.

do
  local server = identity()
  local found = redis.call('HMGET', state, 'epoch', 'seq', 'next', 'server', 'due')
  epoch, seq, earliest = found[1], tonumber(found[2] or ''), tonumber(found[3] or '')
  due = found[5] or ''
  if not (epoch and seq and earliest) or found[4] ~= server or seq >= last_number then
    begin_epoch(server)
  end
  expire()
  raise_due()
end

