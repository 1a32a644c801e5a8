"""The search for the smallest model that is still right: what each weight may cost, which to pay, and what passes."""
