// An unmodified HTTP server. POST counts the body and answers with the number of its bytes;
// GET /...?bytes=N answers with as many, no faster than they are read.

import http from 'node:http';

const piece = Buffer.alloc(256 * 1024, 'x');

function download(response, bytes) {
  response.writeHead(200, { 'content-length': bytes });
  let left = bytes;
  const more = () => {
    while (left > 0) {
      const part = left < piece.length ? piece.subarray(0, left) : piece;
      left -= part.length;
      if (!response.write(part)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

http
  .createServer((request, response) => {
    const url = new URL(request.url, 'http://server');
    if (request.method === 'GET') return download(response, Number(url.searchParams.get('bytes') ?? 2));
    let count = 0;
    request.on('data', (part) => (count += part.length));
    request.on('end', () => response.end(String(count)));
  })
  .listen(process.env.PORT);
