"""What every room of the house needs: clock, randomness, units, trace, state, checksum, errors."""
