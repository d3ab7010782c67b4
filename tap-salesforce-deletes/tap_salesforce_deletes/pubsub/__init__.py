"""The Pub/Sub API as its client sees it: wire contract, errors, Avro payloads, streams that mend themselves."""
