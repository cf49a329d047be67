-- entry reads an entry and its remaining life (ms) at one moment, so that a body
-- is never paired with the life of the one that replaced it. It stands alone:
-- entries live on other nodes of a cluster than what decides their validity.
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
