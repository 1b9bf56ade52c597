// Called as hello(ctx, ...args): a JSON array gives its elements, a JSON object or the query of a GET one object.
// What is returned is the answer; what is thrown becomes an error.
export async function hello(ctx, { name = "world" } = {}) {
  ctx.log.info("greeting", { name });
  return { greeting: `Hello, ${name}!`, request: ctx.requestId };
}
