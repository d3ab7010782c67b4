// Reads statements as JSON lines; answers each with what two parsers say: [soql-parser-js, Salesforce's own].
"use strict";
const { parseQuery } = require("@jetstreamapp/soql-parser-js");
const { SOQLParser } = require("@salesforce/soql-common/lib/soql-parser");

const own = SOQLParser({ isApex: false, isMultiCurrencyEnabled: true, apiVersion: 60.0 });

// Salesforce's parser says on the console which characters it leaves out; for us that is a refusal.
let left_out = false;
console.error = () => {
  left_out = true;
};

function community(statement) {
  try {
    parseQuery(statement);
    return true;
  } catch {
    return false;
  }
}

function salesforce(statement) {
  left_out = false;
  return own.parseQuery(statement).getSuccess() && !left_out;
}

const lines = require("node:readline").createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const statement = JSON.parse(line);
  process.stdout.write(JSON.stringify([community(statement), salesforce(statement)]) + "\n");
});
