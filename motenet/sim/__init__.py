"""The world: hosts, links, switches, faults, capture, snapshots."""
