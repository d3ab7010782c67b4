"""`python -m tap_salesforce_deletes`."""

from tap_salesforce_deletes.tap import main

main()
