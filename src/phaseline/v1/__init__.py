"""The messages and stubs of the contract, generated from `protos/` and never edited."""
