"""The stand-in Salesforce org: rows in SQLite, SOQL, OAuth and the REST API on loopback.

Left out, and answered with an error: GROUP BY ROLLUP and CUBE, GEOLOCATION, data categories, bind variables,
references between the parts of a composite, writing by the API. Simplified: the user's time zone is GMT, the
fiscal year is the calendar year, text is compared without regard to case for ASCII letters only, a child
subquery answers all its records at once, sharing is not modelled. Not verified on a real org: the error codes
of a composite that is too large, and the texts of the refusals of the login service.
"""
