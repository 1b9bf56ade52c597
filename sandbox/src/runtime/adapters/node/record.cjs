'use strict';
// A record of compiled code as bytes: 8 of a mark, the length of it all and that of the table, both as 64 bits with the
// lowest first; the table, which is JSON; then texts and code as the table says.
//
//   { "files": [[name, text bytes, is text one byte a letter, code bytes or 0], ...],
//     "places": [[folder, request, index of the file, request, index, ...], ...] }

const MARK = Buffer.from('HWCODE01');
const HEAD_BYTES = 24;

function* pack(files, places) {
  const index = new Map([...files.keys()].map((name, number) => [name, number]));
  const pieces = [];
  const table = { files: [], places: [] };
  for (const [name, { text, code = Buffer.alloc(0) }] of files) {
    const bytes = Buffer.from(text);
    table.files.push([name, bytes.length, bytes.length === text.length, code.length]);
    pieces.push(bytes, code);
  }
  for (const [folder, leads] of places) {
    // Files that are no scripts (JSON, native ones) are led to by Node.
    const known = [...leads].filter(([, name]) => index.has(name));
    table.places.push([folder, ...known.flatMap(([request, name]) => [request, index.get(name)])]);
  }
  const json = Buffer.from(JSON.stringify(table));
  const head = Buffer.alloc(HEAD_BYTES);
  MARK.copy(head);
  const total = pieces.reduce((sum, piece) => sum + piece.length, HEAD_BYTES + json.length);
  head.writeBigUInt64LE(BigInt(total), 8);
  head.writeBigUInt64LE(BigInt(json.length), 16);
  yield head;
  yield json;
  yield* pieces;
}

/** Fills both maps from a record. */
function unpack(bytes, files, places) {
  if (!bytes.subarray(0, 8).equals(MARK) || bytes.readBigUInt64LE(8) !== BigInt(bytes.length)) {
    throw new Error('the record is cut or none');
  }
  let at = HEAD_BYTES + Number(bytes.readBigUInt64LE(16));
  const table = JSON.parse(bytes.toString('utf8', HEAD_BYTES, at));
  const take = (length) => bytes.subarray(at, (at += length));
  for (const [name, length, isOneByte, codeLength] of table.files) {
    const text = take(length).toString(isOneByte ? 'latin1' : 'utf8');
    files.set(name, { text, code: take(codeLength), isForNode: codeLength === 0 });
  }
  for (const [folder, ...leads] of table.places) {
    const known = new Map();
    for (let i = 0; i < leads.length; i += 2) known.set(leads[i], table.files[leads[i + 1]][0]);
    places.set(folder, known);
  }
}

module.exports = { pack, unpack };
