"""What the paper says: registers, descriptors, reset values, PCI ids, clause numbers. Data, no behaviour."""
