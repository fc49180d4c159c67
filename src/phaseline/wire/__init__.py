"""What both ends of a call agree on: statuses and the shapes of messages."""
