"""The door to a larger model: what it adds, the server behind it beside other servers, and what a cascade loses."""
