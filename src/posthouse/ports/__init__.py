"""What the engines and operations need from the outside world, in our words.

Purpose: Protocols for stores, clock, DNS, network and wake-ups, with the plain values they exchange. The contract of
each is what tests/contract proves on every implementation. May import: the pure ground (mail, wire, domain, model).
Not here: any implementation; those live in stores/ and adapters/, and only assembly imports them.
"""
