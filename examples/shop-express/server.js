import express from 'express';
import { findProduct, products } from './products.js';

const app = express();
const port = process.env.PORT ?? 3000;

app.use(express.json());

app.get('/', (request, response) => {
  const rows = products.map(({ id, name, price }) => `<li><a href="/products/${id}">${name}</a> ${euros(price)}</li>`);
  response.send(`<!doctype html><title>The hatchery shop</title><h1>The hatchery shop</h1><ul>${rows.join('')}</ul>`);
});

app.get('/products', (request, response) => {
  response.json(products);
});

app.get('/products/:id', (request, response) => {
  const product = findProduct(request.params.id);
  if (product === undefined) return response.status(404).json({ error: `no product ${request.params.id}` });
  response.json(product);
});

app.post('/orders', (request, response) => {
  const lines = Array.isArray(request.body?.lines) ? request.body.lines : [];
  const unknown = lines.find(({ id }) => findProduct(id) === undefined);
  if (lines.length === 0) return response.status(422).json({ error: 'an order has at least one line' });
  if (unknown !== undefined) return response.status(422).json({ error: `no product ${unknown.id}` });
  const total = lines.reduce((sum, { id, count = 1 }) => sum + findProduct(id).price * count, 0);
  response.status(201).json({ lines, total });
});

function euros(cents) {
  return `${(cents / 100).toFixed(2)} €`;
}

const server = app.listen(port, () => {
  console.log(`the shop is open on port ${server.address().port}`);
});
