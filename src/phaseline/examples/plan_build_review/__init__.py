"""A task planned, done and reviewed by agents, each phase handing its result on."""
