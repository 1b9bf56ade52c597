/** The stock of the shop. Prices in cents. */
export const products = [
  { id: 'nest', name: 'Nest, woven by hand', price: 1900 },
  { id: 'incubator', name: 'Incubator for a dozen', price: 12900 },
  { id: 'feed', name: 'Feed, 5 kg', price: 850 },
  { id: 'ladder', name: 'Chicken ladder', price: 2450 },
];

export function findProduct(id) {
  return products.find((product) => product.id === id);
}
