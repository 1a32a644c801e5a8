"""From a plan to a folder and a zip: wheels for the target, the tree, trimming, bytecode, bill of materials."""
