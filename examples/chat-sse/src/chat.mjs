import { setTimeout as pause } from 'node:timers/promises';
import { replyTo } from './reply.mjs';

/**
 * Answers word by word, as a language model would, and says at the end what it cost.
 * When the caller leaves, the pause is broken off and the generator ends: nobody pays for words that nobody reads.
 */
export async function* chat(ctx, { prompt } = {}) {
  if (typeof prompt !== 'string' || prompt.trim() === '') {
    throw Object.assign(new TypeError('send {"prompt": "..."}'), { status: 422 });
  }
  const words = replyTo(prompt).match(/\S+\s*/g);
  for (const [index, delta] of words.entries()) {
    await pause(Number(process.env.MS_PER_WORD), undefined, { signal: ctx.signal });
    yield { index, delta };
  }
  ctx.log.info('answered', { words: words.length });
  yield { done: true, usage: { prompt: prompt.trim().split(/\s+/).length, completion: words.length } };
}
