"""The network: backbone, relation embedding of AUs, decoders."""
