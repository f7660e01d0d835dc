"""What the network is trained by: one task per file."""
