'use strict';
// From a request to the arguments of a call.
//
//   no body                              the query as one object; no query, no argument
//   application/json, +json              an array gives its elements, anything else is one argument
//   application/x-www-form-urlencoded    one object
//   text/*                               one string
//   anything else                        one Buffer
//
// A name that is there more than once gives an array. Arguments are collected, so they are limited; a function that
// takes large bodies is a server of its own (`main`) and reads them as they come.

const { Refusal } = require('./problem.cjs');

const BODY_LIMIT_BYTES = 10 * 1024 * 1024;

async function readArguments(request) {
  const body = await collect(request);
  return body.length === 0 ? fromQuery(request.url) : fromBody(body, request.headers);
}

/** True when the head alone says that no body follows (RFC 9112, section 6.3). */
function hasNoBody({ headers }) {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}

function fromQuery(url) {
  const start = url.indexOf('?');
  if (start === -1 || start === url.length - 1) return [];
  return [fromForm(url.slice(start + 1))];
}

async function collect(request) {
  if (Number(request.headers['content-length'] ?? 0) > BODY_LIMIT_BYTES) throw tooLarge();
  const chunks = [];
  let length = 0;
  // Left early, the request stays open: the refusal goes out on the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > BODY_LIMIT_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length);
}

function tooLarge() {
  return new Refusal(413, `the body is larger than ${BODY_LIMIT_BYTES} bytes, the most that fits an argument`);
}

function fromBody(body, headers) {
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding !== 'identity') throw new Refusal(415, `content encoding ${coding} is not undone for arguments`);
  const [type, ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';').map((part) => part.trim());
  if (type === 'application/json' || type.endsWith('+json')) return fromJson(body);
  if (type === 'application/x-www-form-urlencoded') return [fromForm(body.toString())];
  if (type.startsWith('text/')) return [decode(body, charset(parameters))];
  return [body];
}

function fromJson(body) {
  let value;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw new Refusal(400, `the body is not JSON: ${error.message}`);
  }
  return Array.isArray(value) ? value : [value];
}

function fromForm(text) {
  const values = new Map();
  for (const [name, value] of new URLSearchParams(text)) {
    const seen = values.get(name);
    values.set(name, seen === undefined ? value : [].concat(seen, value));
  }
  // Not by assignment: a parameter named __proto__ must become a property like any other.
  return Object.fromEntries(values);
}

function charset(parameters) {
  const found = parameters.find((parameter) => parameter.startsWith('charset='));
  return found === undefined ? 'utf-8' : found.slice('charset='.length).replaceAll('"', '');
}

function decode(body, label) {
  if (label === 'utf-8') return body.toString();
  let decoder;
  try {
    decoder = new TextDecoder(label);
  } catch {
    throw new Refusal(415, `charset ${label} is not known`);
  }
  return decoder.decode(body);
}

module.exports = { readArguments, hasNoBody, fromQuery };
