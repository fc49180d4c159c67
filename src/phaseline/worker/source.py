"""Where a worker gets its phases from, and where its reports go."""
