"""`python -m tap_salesforce_temporal`."""

from tap_salesforce_temporal.tap import main

main()
