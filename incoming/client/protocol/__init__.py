"""The client's side of an upload, pure: protocol version 2 as a state machine, and what it is made of."""
