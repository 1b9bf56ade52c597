import { createHash } from 'node:crypto';

const ANSWERS = ['Yes.', 'No.', 'Not before spring.', 'Sooner than you think.', 'Ask somebody with feathers.', 'Only if you sit on it.'];
const hatched = Date.now();
let answered = 0;

/** The same question always gets the same answer; an oracle that wavers is none. */
export function answer(ctx, { question } = {}) {
  if (typeof question !== 'string' || question.trim() === '') {
    throw Object.assign(new TypeError('ask a question: {"question": "..."}'), { status: 422 });
  }
  const digest = createHash('sha256').update(question.trim().toLowerCase()).digest();
  answered += 1;
  return { answer: ANSWERS[digest[0] % ANSWERS.length], answered, ageMs: Date.now() - hatched, sandbox: process.env.HATCHWAY_SANDBOX };
}
