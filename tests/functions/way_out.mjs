// Goes out by `fetch` where this Node's looks at the proxy variables, and by a request to the proxy where it does not.

import http from 'node:http';

const [major, minor] = process.versions.node.split('.').map(Number);
const fetchLooks = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);

export async function main(ctx, { url }) {
  if (fetchLooks) {
    const answer = await fetch(url);
    return { status: answer.status, body: await answer.text() };
  }
  const proxy = new URL(process.env.http_proxy);
  return new Promise((resolve, reject) => {
    const options = { host: proxy.hostname, port: proxy.port, path: url, headers: { host: new URL(url).host } };
    http.get(options, async (answer) => {
      let body = '';
      for await (const piece of answer) body += piece;
      resolve({ status: answer.statusCode, body });
    }).on('error', reject);
  });
}
