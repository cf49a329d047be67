-- start makes sure that the epoch is of this server and its data, and turns every deadline
-- that has passed, and every raise that has become due, into a raise with a number and an event:
-- only then may a script give a ticket.

if not current then begin_epoch() end
expire()
raise_due()

