"""How much of each provider account may be used now: rate limits, circuit breakers, shares of a channel's slots."""
