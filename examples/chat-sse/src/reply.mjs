/** What it can talk about: the first topic whose words occur in the prompt. */
const TOPICS = [
  {
    words: ['egg', 'eggs', 'hatch', 'hatches'],
    reply: 'An egg waits, costs almost nothing while it does, and hatches when it is kept warm. Good functions are like that.',
  },
  {
    words: ['cold', 'slow', 'start'],
    reply: 'A cold start is the time between a request and the first instruction that is yours. Ours is mostly yours.',
  },
  {
    words: ['hello', 'hi', 'hey'],
    reply: 'Hello! I was not running a moment ago. You woke me, and I shall be gone again soon after we are done.',
  },
];

export function replyTo(prompt) {
  const words = new Set(prompt.toLowerCase().match(/\p{L}+/gu));
  const topic = TOPICS.find((topic) => topic.words.some((word) => words.has(word)));
  return topic?.reply ?? `You said "${prompt.trim()}". I am only a mock of a model, but I stream like a real one.`;
}
