// Does what its query says: /puppet?do=wait&gate=a waits until somebody calls /puppet?do=open&gate=a.

const gates = new Map();
const seen = [];
let running = 0;
let peak = 0;

function gate(name = 'gate') {
  if (!gates.has(name)) {
    const one = {};
    one.opened = new Promise((open) => (one.open = open));
    gates.set(name, one);
  }
  return gates.get(name);
}

/** Ends when the gate opens, or throws when the caller leaves first. */
function opened(ctx, name) {
  const left = new Promise((_, leave) => {
    const tell = () => leave(new Error('left'));
    if (ctx.signal.aborted) tell();
    ctx.signal.addEventListener('abort', tell);
  });
  return Promise.race([gate(name).opened, left]);
}

const orders = {
  hello: (ctx, order) => ({ pid: process.pid, requestId: ctx.requestId, order, greeting: process.env.GREETING }),

  async wait(ctx, { gate: name }) {
    seen.push('waits');
    try {
      await opened(ctx, name);
    } catch (error) {
      seen.push(error.message);
      throw error;
    }
    return { waited: name ?? 'gate', pid: process.pid };
  },

  open(ctx, { gate: name }) {
    gate(name).open();
    gates.delete(name ?? 'gate');
    return { opened: name ?? 'gate' };
  },

  /** What befell those who waited. */
  seen: () => seen,

  /** An event, then one for each time that the gate opens. */
  async *events(ctx, { count, gate: name }) {
    try {
      for (let n = 0; n < Number(count); n += 1) {
        yield { n };
        if (n + 1 < Number(count)) await opened(ctx, name);
      }
    } finally {
      seen.push('stream ended');
    }
  },

  /** Streams for as long as somebody reads. */
  async *endless() {
    try {
      for (;;) {
        yield 'x'.repeat(1024);
        await new Promise((next) => setImmediate(next));
      }
    } finally {
      seen.push('stream ended');
    }
  },

  /** Some events, a little time between them. */
  async *drip(ctx, { count, ms = '20' }) {
    for (let n = 0; n < Number(count); n += 1) {
      yield { n };
      await new Promise((next) => setTimeout(next, Number(ms)));
    }
  },

  /** Works a little, and tells how many did so side by side at most. */
  async work(ctx, { ms = '5' }) {
    running += 1;
    peak = Math.max(peak, running);
    await new Promise((done) => setTimeout(done, Number(ms)));
    running -= 1;
    return { pid: process.pid, peak, sandbox: process.env.HATCHWAY_SANDBOX };
  },

  exit: (ctx, { code }) => process.exit(Number(code)),

  throw(ctx, { status }) {
    throw Object.assign(new Error('as told'), status === undefined ? {} : { status: Number(status) });
  },

  print(ctx, { line, count = '1' }) {
    for (let n = 0; n < Number(count); n += 1) console.log(line);
    console.error(`error: ${line}`);
    return {};
  },

  /** Takes memory until there is no more of it. */
  eat(ctx, { mib }) {
    const eaten = [];
    for (let n = 0; n < Number(mib); n += 1) eaten.push(Buffer.alloc(1024 * 1024, n));
    return { eaten: eaten.length };
  },

  /** Burns processor time until it has had so much of it, however long that takes. */
  spin(ctx, { ms }) {
    const begun = process.cpuUsage();
    let used;
    do {
      for (let n = 0; n < 1e5; n += 1);
      used = process.cpuUsage(begun);
    } while ((used.user + used.system) / 1000 < Number(ms));
    return { ms: Number(ms) };
  },
};

export function puppet(ctx, order = {}) {
  return orders[order.do ?? 'hello'](ctx, order);
}
