"""Atlan on loopback: a catalog of one org and its warehouse that pyatlan, unmodified, reads and writes.

The server is a program of its own, `python -m localcloud.atlan.server --org DIR [--port N] [--ready-file F] [--tls]`;
`localcloud up` starts it on port 8183. The first line of its ready file is `127.0.0.1:PORT`; with TLS a line
`scheme https` follows, and `DIR/tls/ca.pem` is the authority to trust. The catalog is kept in `DIR/atlan.sqlite`. It is
made at the first start, from the schema of the org in DIR, or of a new org where DIR holds none.

In tests::

    from localcloud.atlan.running import serve_in_thread

    with serve_in_thread(tmp_path) as atlan:  # port=0, seed=7, clock=None, tls_cert=None, tls_key=None,
        ...                                   # requests_per_minute=400 (None: no limit), sleep=asyncio.sleep

    atlan.url            # such as http://127.0.0.1:40123
    atlan.api_key        # also OAuth: atlan.oauth_client_id, atlan.oauth_client_secret
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "times": 2}])  # returns State
    atlan.journal()      # what was asked: JournalPage of localcloud.journal; kinds are below
    atlan.assets("SalesforceObject")  # list of Asset: what the catalog holds now, whatever the index shows
    atlan.asset(guid)    # one of them, archived or not; None: it is not there
    atlan.custom_metadata("Activity", guid)  # {attribute's display name: value} of one asset

Endpoints (journal kind first; `/api/meta` is the metadata service, `/api/service` the one of users):

    typedefs_read         GET    /api/meta/types/typedefs/?type=...   (repeatable; structs are never empty)
    typedefs_create       POST   /api/meta/types/typedefs/
    typedefs_update       PUT    /api/meta/types/typedefs/
    typedef, typedef_delete   GET, DELETE /api/meta/types/typedef/name/{name}
    search                POST   /api/meta/search/indexsearch
    bulk                  POST   /api/meta/entity/bulk/
    bulk_delete           DELETE /api/meta/entity/bulk?guid=...
    evaluate              POST   /api/meta/entity/evaluator   (what the caller may do)
    entity                GET    /api/meta/entity/guid/{guid}
    entity_by_name        GET    /api/meta/entity/uniqueAttribute/type/{type}?attr:qualifiedName=...
    entity_update         PUT    the same
    custom_metadata       POST   /api/meta/entity/guid/{guid}/businessmetadata/{set id}   (204)
    lineage_list          POST   /api/meta/lineage/list
    user, whoami, roles    GET    /api/service/users/current, /api/service/whoami, /api/service/roles
    users, groups, api_tokens   GET  /api/service/users, /api/service/v2/groups, /api/service/apikeys
    oauth_token           POST   /api/service/oauth-clients/token
    openlineage           POST   /events/openlineage/{connector}/api/v1/lineage   (202)

For testers, from this machine only: `GET /` (the page), `GET /__localcloud__/journal`, `GET /__localcloud__/status`,
`POST /__localcloud__/control`, whose switches are the keyword arguments of `atlan.control`:

    reset: true                    all switches off; assets and definitions stay
    clear_journal: true
    latency_ms: 80                 of every request
    delay: [{pattern, times, skip, seconds}]
    fail:  [{pattern, times, skip, status, retry_after, after_commit, html, body}]   times: None is always
    drop:  [{pattern, times, skip, mode, after_bytes}]     after_bytes: 0 is "committed, then the connection ends"
    rate_limit: {per_minute, block_seconds, retry_after}   per_minute 0: none; over it, 429 until the block is over
    index_lag_seconds: 5           how long search shows the state before a write; 0 catches up at once
    tokens: {expire: true}         OAuth tokens end; {revoke_keys: true}: API keys are refused; {restore: true}
    privileges: {deny: [...]}      create_custom_metadata, write_custom_metadata, update_assets, create_assets, search
    refuse: [guid or qualified name, ...]    a bulk request with one of these is refused whole (400)
    lose: [{times, skip, guids, counted}]     answers leave these assets out of a page, and count them; counted: false:
                                   searches that match one of them leave all of them out, and do not count them
    clock: {set, advance_seconds, tell}   the catalog's own clock; it rules the rate limit, the lag, all stamps and the
                                   `Date` of answers; tell: false leaves that header out
    crawl: {objects: {name: [fields]}, remove: [object or object.field], new_guids: bool}
                                   a crawl of the Salesforce connection: adds, archives, refreshes
    add: [{type_name, attributes}]      any asset, as another crawler or person would make it
    archive: [guid], purge: [guid]

A seed decides the forms of qualified names: do not build one, search.
"""
