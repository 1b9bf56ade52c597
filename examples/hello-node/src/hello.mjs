const MOST_LETTERS = 100;

/** Greets whoever calls. `ctx` says who and how long there is; the second argument is the query or the JSON body. */
export function hello(ctx, { name = 'world' } = {}) {
  if (typeof name !== 'string' || name.length > MOST_LETTERS) {
    throw Object.assign(new RangeError(`a name has up to ${MOST_LETTERS} letters`), { status: 422 });
  }
  ctx.log.info('greeting', { name });
  return { message: `${process.env.GREETING}, ${name}!`, function: ctx.function, requestId: ctx.requestId };
}
