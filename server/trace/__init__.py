"""The recorded chain from a customer's behaviour to the message, for people who ask why."""
