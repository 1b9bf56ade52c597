// Called as hello(ctx, ...args): the arguments are the call's JSON array or object, or the query of a GET.
// What is returned is the answer; what is thrown becomes an error.
export async function hello(ctx, { name = "world" } = {}) {
  ctx.log.info("greeting", { name });
  return { greeting: `Hello, ${name}!`, request: ctx.requestId };
}
