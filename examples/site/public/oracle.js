const form = document.querySelector('form');
const output = document.querySelector('output');
const note = document.querySelector('.note');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const question = form.elements.question.value;
  const begun = performance.now();
  const response = await fetch('ask', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ question }),
  });
  const body = await response.json();
  const ms = Math.round(performance.now() - begun);
  output.value = response.ok ? body.answer : body.detail;
  note.textContent = response.ok ? say(body, ms) : '';
});

/** This page came from disk; only the question started a process. */
function say({ sandbox, answered, ageMs }, ms) {
  const start = answered === 1 ? 'which hatched for you' : `its ${ordinal(answered)}, at the age of ${Math.round(ageMs / 1000)} s`;
  return `Answered in ${ms} ms by sandbox ${sandbox}, ${start}.`;
}

function ordinal(number) {
  const endings = { one: 'st', two: 'nd', few: 'rd', other: 'th' };
  return number + endings[new Intl.PluralRules('en', { type: 'ordinal' }).select(number)];
}
