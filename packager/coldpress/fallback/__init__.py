"""The door to a larger model, as it is packed: when requests go out, what answers them, and what that costs."""
