"""`python -m target_atlan_metadata`."""

from target_atlan_metadata.target import main

main()
